"""What changes for a user: its rooms, their members, how far it has read."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from roomline.v1.cursor_pb2 import Cursor

    from gateway.live.happening import Happening
    from gateway.live.room_state import RoomState


class ChangeKind(Enum):
    """What sort of change it is, and which fields of `Change` it has beside `room_id`."""

    ROOM_ADDED = auto()
    """The user has become a member; `room`."""
    ROOM_REMOVED = auto()
    """The user is a member no longer."""
    ROOM_UPDATED = auto()
    """Attributes of a room were changed; `room`."""
    ROOM_DELETED = auto()
    MESSAGE_SENT = auto()
    """There is a new message in a room; `room`. What it says is in `happening`."""
    CURSOR_SET = auto()
    """The user has read on; `cursor`, and `room` if the user is a member of it."""
    MEMBER_JOINED = auto()
    """Somebody else has become a member; `room` and `user_id`."""
    MEMBER_LEFT = auto()
    """Somebody else is a member no longer; `room` and `user_id`."""


class Change(NamedTuple):
    """One change, as the user's subscriptions are told of it. `room` goes on changing: what is told is told at once."""

    kind: ChangeKind
    happening: Happening
    room_id: str
    room: RoomState | None = None
    user_id: str = ""
    cursor: Cursor | None = None
    number: int = 0
    """Tells apart what one event changes for the user."""
