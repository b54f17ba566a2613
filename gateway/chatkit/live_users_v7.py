"""The user subscription of v7 (spec §10.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.chatkit import render, render_v7
from gateway.chatkit.live_events import event_id, tail
from gateway.chatkit.live_self import LiveSelf
from gateway.live.change import Change, ChangeKind

if TYPE_CHECKING:
    from roomline.v1.user_pb2 import User

    from gateway.chatkit.render import Json
    from gateway.live.room_state import RoomState
    from gateway.live.user_feed import UserFeed

MAX_READ_STATES = 1000
"""Of the most recently active rooms."""


class LiveUsersV7(LiveSelf):
    """Rooms, their members and read states, one beside the other."""

    def state(self, user: User, feed: UserFeed) -> Json:
        """See `LiveSelf`."""
        rooms = feed.rooms.values()
        active = sorted(rooms, key=_active_at, reverse=True)[:MAX_READ_STATES]
        return {
            "current_user": render.user(user),
            "rooms": [render_v7.room(state.room) for state in rooms],
            "read_states": [_read_state(state) for state in active],
            "memberships": [render_v7.membership(state.room.id, state.member_ids) for state in rooms],
        }

    def tails(self, change: Change) -> list[bytes]:
        """See `LiveSelf`."""
        happening, room_id, room = change.happening, change.room_id, change.room
        id_ = event_id(happening.position, 2 * change.number)
        match change.kind:
            case ChangeKind.ROOM_ADDED if room:
                return [_added_tail(change, id_, room)]
            case ChangeKind.ROOM_UPDATED if room:
                return [_room_tail(change, id_, room)]
            case ChangeKind.MESSAGE_SENT if room:
                next_id = event_id(happening.position, 2 * change.number + 1)
                return [_room_tail(change, id_, room), _read_tail(change, next_id, room)]
            case ChangeKind.CURSOR_SET:
                return [_read_tail(change, id_, room)] if room else []
            case ChangeKind.ROOM_REMOVED:
                return [tail(happening, id_, "removed_from_room", lambda: {"room_id": room_id}, room_id)]
            case ChangeKind.ROOM_DELETED:
                return [tail(happening, id_, "room_deleted", lambda: {"room_id": room_id})]
            case ChangeKind.MEMBER_JOINED:
                return [_member_tail(change, "user_joined_room", id_)]
            case ChangeKind.MEMBER_LEFT:
                return [_member_tail(change, "user_left_room", id_)]
            case _:
                return []


def _active_at(state: RoomState) -> tuple[int, int]:
    at = state.room.last_message_at if state.room.HasField("last_message_at") else state.room.created_at
    return at.seconds, at.nanos


def _read_state(state: RoomState) -> Json:
    return render_v7.read_state(state.room.id, state.unread_count, state.cursor)


def _added_tail(change: Change, id_: str, room: RoomState) -> bytes:
    def data() -> Json:
        return {
            "room": render_v7.room(room.room),
            "membership": render_v7.membership(change.room_id, room.member_ids),
            "read_state": _read_state(room),
        }

    return tail(change.happening, id_, "added_to_room", data, "v7", room)


def _room_tail(change: Change, id_: str, room: RoomState) -> bytes:
    looks = ("v7", room.room.last_message_at.seconds)
    return tail(change.happening, id_, "room_updated", lambda: {"room": render_v7.room(room.room)}, *looks)


def _read_tail(change: Change, id_: str, room: RoomState) -> bytes:
    return tail(change.happening, id_, "read_state_updated", lambda: {"read_state": _read_state(room)}, room)


def _member_tail(change: Change, name: str, id_: str) -> bytes:
    data = {"room_id": change.room_id, "user_id": change.user_id}
    return tail(change.happening, id_, name, lambda: data, change.room_id, change.user_id)
