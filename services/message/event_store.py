"""What the message service's store promises of the event log; see `store`, whose preface counts here too."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, MessageDeleted, MessageHidden, UserTyped
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.message_pb2 import Message

from services.common.call import Caller


@dataclass(slots=True, eq=False)
class Entry:
    """An event, and what has to be known to decide who gets it."""

    event: Event
    """With the message as it is, if it is about one: without content if that was deleted or has expired."""
    rooms: tuple[str, ...] = ()
    """The rooms that it is about, by their `uid`."""
    users: tuple[str, ...] = ()
    """The users that it is about, beside the rooms' members."""
    hidden_from: set[str] = field(default_factory=set)
    """Users who have hidden the message."""
    size: int = 0
    """Bytes, when it was read."""

    @property
    def position(self) -> int:
        """Its place in the log, 0 for one that is not logged."""
        return self.event.position

    @property
    def message(self) -> Message | None:
        """The message that was sent or edited."""
        kind = self.event.WhichOneof("change")
        if kind == "message_sent":
            return self.event.message_sent.message
        return self.event.message_edited.message if kind == "message_edited" else None

    @property
    def trace(self) -> MessageDeleted | MessageHidden | None:
        """The end of a message, for all or for one user, which shows what is left of it."""
        kind = self.event.WhichOneof("change")
        if kind == "message_deleted":
            return self.event.message_deleted
        return self.event.message_hidden if kind == "message_hidden" else None

    @property
    def message_id(self) -> int:
        """The message that was sent, edited, deleted or hidden; 0 for other events."""
        if self.message is not None:
            return self.message.id
        return 0 if self.trace is None else self.trace.message_id

    @property
    def message_room(self) -> str:
        """The `uid` of that message's room."""
        if self.message is not None:
            return self.message.room_uid
        return "" if self.trace is None else self.trace.room_uid


class Batch(NamedTuple):
    """A piece of the log."""

    entries: list[Entry]
    start: int
    """Where it begins: after the position asked for, or later if the log does not reach back to that."""
    end: int
    """The last position that it covers: `as_of` if there are no more."""
    as_of: int
    """The end of the log when it was read."""
    was_reset: bool
    """It begins later because the instance was reset."""


class RoomAccess(NamedTuple):
    """A room that may be followed."""

    uid: str
    private: bool
    member: bool
    """Whether the caller is one."""


Spans = dict[str, list[tuple[int, int | None]]]
"""Room `uid` → from which position to before which position a user was a member; None: still is."""


class UserAccess(NamedTuple):
    """A user, if there is one, who may be followed."""

    spans: Spans


class InstanceAccess(NamedTuple):
    """The whole instance may be followed."""


Access = RoomAccess | UserAccess | InstanceAccess


class Opened(NamedTuple):
    """What the caller may follow."""

    epoch: str
    start: int
    """The log has everything after this position."""
    position: int
    """The end of the log at that moment."""
    topics: list["Access | ErrorReason.ValueType"]
    """What was found for each topic, or why it is refused."""


ROLES = "roles of "
"""Announced before the id of an instance whose roles have changed; no instance has such an id."""


class EventStore(Protocol):
    """The log, as it is read."""

    async def open(self, caller: Caller, topics: Sequence[WatchTopic]) -> Opened:
        """Looks whether the caller may follow the topics, all at one moment. It does not look at their positions.

        Reasons: PERMISSION_MISSING, NOT_A_MEMBER, ROOM_NOT_FOUND, SUBJECT_MISMATCH, CALLER_NOT_ALLOWED. Whether a user
        exists who is in no room is for the user service to say. For a feed, the caller's role in a room does not count.
        """

    async def read(self, instance_id: str, after: int, size: int, max_bytes: int) -> Batch:
        """Events after a position, in order: at most so many, and at least one, if there is any, of so many bytes.

        An event that cannot be read is left out, with a line in our own log.
        """

    async def typed(self, caller: Caller, user_id: str, room_id: str) -> UserTyped:
        """What to tell when the user types. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def renew_epoch(self, lost_seconds: int) -> None:
        """Begins another history, for a database restored from a backup of so long ago: what followed is unknown here.

        All positions that were given out so far count for nothing. Messages go on with ids that nobody has seen, since
        clients ask for what is newer than the last one that they know.
        """
