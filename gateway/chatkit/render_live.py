"""Events of subscriptions as Chatkit's JSON (spec §10.6 to §10.12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.chatkit import render
from gateway.chatkit.render import Json, timestamp

if TYPE_CHECKING:
    from roomline.v1.cursor_pb2 import Cursor

    from gateway.live.room_state import RoomState


def feed_room(state: RoomState) -> Json:
    """A room in a user subscription of v1 to v6: without its members."""
    data = render.room(state.room)
    data["unread_count"] = state.unread_count
    if state.room.HasField("last_message_at"):
        data["last_message_at"] = timestamp(state.room.last_message_at)
    return data


def cursors(values: Iterable[Cursor]) -> Json:
    """What a cursor subscription begins with (spec §10.10)."""
    return {"cursors": [render.cursor(one) for one in values]}
