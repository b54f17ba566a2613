"""The rooms of v7 as JSON: the room, who is in it and how far a user has read, one beside the other (spec §4.8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from roomline.v1.room_pb2 import Room, UserRoom

from gateway.chatkit import render
from gateway.chatkit.render import Json, timestamp
from services.common.structs import from_struct

if TYPE_CHECKING:
    from roomline.v1.cursor_pb2 import Cursor


def room(value: Room) -> Json:
    """A room, without its members; what is unset is null."""
    override = value.push_notification_title_override
    return {
        "id": value.id,
        "name": value.name,
        "created_by_id": value.created_by_id,
        "private": value.private,
        "custom_data": from_struct(value.custom_data) if value.HasField("custom_data") else None,
        "push_notification_title_override": override if value.HasField("push_notification_title_override") else None,
        "last_message_at": timestamp(value.last_message_at) if value.HasField("last_message_at") else None,
        "created_at": timestamp(value.created_at),
        "updated_at": timestamp(value.updated_at),
        "deleted_at": None,
    }


def membership(room_id: str, user_ids: Iterable[str]) -> Json:
    """The members of a room."""
    return {"room_id": room_id, "user_ids": list(user_ids)}


def read_state(room_id: str, unread_count: int, cursor: Cursor | None) -> Json:
    """How far the user has read in a room; without a cursor if none is set."""
    data: Json = {"room_id": room_id, "unread_count": unread_count}
    if cursor is not None:
        data["cursor"] = render.cursor(cursor)
    return data


def room_with_members(value: Room) -> Json:
    """A room as in get one."""
    return {**room(value), "member_user_ids": list(value.member_user_ids)}


def room_and_membership(value: Room) -> Json:
    """A room as in create and join."""
    return {"room": room(value), "membership": _membership(value)}


def rooms_and_memberships(values: Sequence[Room]) -> Json:
    """Rooms as in the joinable ones (U9)."""
    return {"rooms": [room(one) for one in values], "memberships": [_membership(one) for one in values]}


def user_rooms(values: Sequence[UserRoom]) -> Json:
    """Rooms as one of their members sees them (U8)."""
    return {**rooms_and_memberships([one.room for one in values]), "read_states": [_read_state(one) for one in values]}


def _membership(value: Room) -> Json:
    return membership(value.id, value.member_user_ids)


def _read_state(value: UserRoom) -> Json:
    return read_state(value.room.id, value.unread_count, value.cursor if value.HasField("cursor") else None)
