"""The user subscription of v1 to v6 (spec §10.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.chatkit import render, render_live
from gateway.chatkit.live_events import event_id, tail
from gateway.chatkit.live_self import LiveSelf
from gateway.live.change import Change, ChangeKind

if TYPE_CHECKING:
    from roomline.v1.user_pb2 import User

    from gateway.chatkit.render import Json
    from gateway.live.room_state import RoomState
    from gateway.live.user_feed import UserFeed


class LiveUsers(LiveSelf):
    """Rooms with unread counts and without members; cursors."""

    def state(self, user: User, feed: UserFeed) -> Json:
        """See `LiveSelf`."""
        return {
            "current_user": render.user(user),
            "rooms": [render_live.feed_room(state) for state in feed.rooms.values()],
            "cursors": [render.cursor(cursor) for cursor in feed.cursors.values()],
        }

    def tails(self, change: Change) -> list[bytes]:
        """See `LiveSelf`."""
        happening, id_, room = change.happening, event_id(change.happening.position, 2 * change.number), change.room
        match change.kind:
            case ChangeKind.ROOM_ADDED if room:
                return [_room_tail(change, "added_to_room", id_, room)]
            case ChangeKind.ROOM_UPDATED | ChangeKind.MESSAGE_SENT if room:
                return [_room_tail(change, "room_updated", id_, room)]
            case ChangeKind.ROOM_REMOVED:
                return [tail(happening, id_, "removed_from_room", lambda: {"room_id": change.room_id}, change.room_id)]
            case ChangeKind.ROOM_DELETED:
                return [tail(happening, id_, "room_deleted", lambda: {"room_id": change.room_id})]
            case ChangeKind.CURSOR_SET if cursor := change.cursor:
                tails = [tail(happening, id_, "new_cursor", lambda: render.cursor(cursor))]
                if room is not None:
                    next_id = event_id(happening.position, 2 * change.number + 1)
                    tails.append(_room_tail(change, "room_updated", next_id, room))
                return tails
            case _:
                return []


def _room_tail(change: Change, name: str, id_: str, room: RoomState) -> bytes:
    """An event with a room, which only looks different to members who have read differently far."""
    looks: tuple[object, ...] = (room.room.id, room.unread_count, room.room.last_message_at.seconds)
    if change.kind is ChangeKind.ROOM_ADDED:  # and been added: the room can have been read as of different positions
        looks = (*looks, room.since)
    return tail(change.happening, id_, name, lambda: {"room": render_live.feed_room(room)}, *looks)
