"""Events of subscriptions as Chatkit's JSON (spec §10.6 to §10.12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from roomline.v1.room_pb2 import Room

from gateway.chatkit import render
from gateway.chatkit.render import Json, timestamp

if TYPE_CHECKING:
    from roomline.v1.cursor_pb2 import Cursor

    from gateway.live.room_state import RoomState

PUSH_ICON = "https://pusher.com/favicon.ico"
PUSH_LINK = "https://pusher.com?ck_room_id="
"""The suites compare both exactly."""
PUSH_LENGTH = 140
PUSH_WITHOUT_TEXT = "📎"


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


def notification(room: Room, sender_name: str, text: str, *, members: int) -> Json:
    """A push notification (spec §10.12); `text` is empty if the message has none, `members` how many the room has."""
    body = text if len(text) <= PUSH_LENGTH else text[:PUSH_LENGTH] + "…"
    body = body or PUSH_WITHOUT_TEXT
    title = sender_name if members == 2 else room.name
    if room.HasField("push_notification_title_override"):
        title = room.push_notification_title_override
    return {
        "notification": {
            "title": title,
            "body": body if members == 2 else f"{sender_name}: {body}",
            "icon": PUSH_ICON,
            "deep_link": PUSH_LINK + room.id,
        },
        "data": {"chatkit": {"roomId": room.id}},
    }
