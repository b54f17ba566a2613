"""What is known of a room that a user is in."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.message_pb2 import Message
from roomline.v1.room_pb2 import Room, UserRoom


@dataclass(eq=False)
class RoomState:
    """A room as one of its members sees it, kept current by events.

    Attributes and members follow the events exactly. The count of unread messages can be ahead of them, since it is
    sometimes read anew; `counted_at` says how far.
    """

    room: Room
    """Without `member_user_ids`."""
    member_ids: list[str]
    unread_count: int
    cursor: Cursor | None
    since: int
    """The position of what it began with: events up to there are part of it."""
    counted_at: int
    """The position up to which events are part of the count, the cursor and `last_message_at`."""
    stale: bool = False
    """The count may be wrong: it has to be read anew before anybody is told."""
    newest_id: int = 0
    """The newest message, if one was sent since it began."""

    @classmethod
    def of(cls, value: UserRoom, position: int) -> RoomState:
        """What a service has answered, as of a position."""
        cursor = value.cursor if value.HasField("cursor") else None
        members = _member_ids(value.room.member_user_ids)
        return cls(_without_members(value.room), members, value.unread_count, cursor, position, position)

    @classmethod
    def created(cls, room: Room, position: int) -> RoomState:
        """A room that has just been made."""
        return cls(_without_members(room), _member_ids(room.member_user_ids), 0, None, position, position)

    def update(self, room: Room) -> None:
        """Takes changed attributes."""
        updated = _without_members(room)
        updated.ClearField("last_message_at")
        if self.room.HasField("last_message_at"):
            updated.last_message_at.CopyFrom(self.room.last_message_at)
        self.room = updated

    def recount(self, value: UserRoom, position: int) -> None:
        """Takes what changes without an event of its own, as of a position."""
        self.unread_count = value.unread_count
        self.cursor = value.cursor if value.HasField("cursor") else None
        self.room.ClearField("last_message_at")
        if value.room.HasField("last_message_at"):
            self.room.last_message_at.CopyFrom(value.room.last_message_at)
        self.counted_at = position
        self.stale = False

    def count(self, message: Message, position: int) -> None:
        """Takes a new message."""
        self.newest_id = max(self.newest_id, message.id)
        if position > self.counted_at:
            self.room.last_message_at.CopyFrom(message.created_at)
            if self.cursor is None or message.id > self.cursor.position:
                self.unread_count += 1

    def knows_unread(self, cursor: Cursor, position: int) -> bool:
        """Whether the count is known when this cursor has been set; else it has to be read anew."""
        if position <= self.counted_at:
            return True
        if self.newest_id and cursor.position >= self.newest_id:
            return True
        forward = self.cursor is not None and cursor.position >= self.cursor.position
        return forward and self.unread_count == 0

    def read(self, cursor: Cursor, position: int) -> None:
        """Takes a cursor that was set, if `knows_unread`: nothing is unread then."""
        if position > self.counted_at:
            self.cursor = cursor
            self.unread_count = 0

    def leave(self) -> None:
        """The user is no member any more, which a later event will say: nothing needs to be known till then."""
        self.stale = False
        self.counted_at = sys.maxsize


def _without_members(room: Room) -> Room:
    bare = Room()
    bare.CopyFrom(room)
    bare.ClearField("member_user_ids")
    return bare


def _member_ids(user_ids: Iterable[str]) -> list[str]:
    """The ids, each kept once for all members who are online: of large rooms there would be thousands of copies."""
    return [sys.intern(user_id) for user_id in user_ids]
