"""What a stream follows: which events belong to it, and when access to it ends.

Whoever may follow what was looked up once, at a place in the log; from there on the log itself says what changes.
"""

from abc import ABC, abstractmethod

from roomline.v1.error_reason_pb2 import ErrorReason

from services.message.event_store import Access, Entry, InstanceAccess, RoomAccess, Spans, UserAccess


class Topic(ABC):
    """One topic of one stream."""

    def __init__(self, topic_id: int, as_of: int, viewer: str) -> None:
        self.id = topic_id
        self.viewer = viewer
        """The user whose sight counts; empty for a server."""
        self.ended: ErrorReason.ValueType = ErrorReason.ERROR_REASON_UNSPECIFIED
        """Why it has ended, if it has."""
        self.farewell: Entry | None = None
        """The event that has ended it, if it is to be told of it."""
        self.filed: set[str] = set()
        """The rooms that it is to be found under."""
        self._as_of = as_of

    def end(self, reason: "ErrorReason.ValueType") -> None:
        """Ends it; the first reason counts."""
        self.ended = self.ended or reason

    def lose(self, reason: "ErrorReason.ValueType", before: int) -> None:
        """Ends it, unless it was opened at this place in the log or later."""
        if self._as_of < before:
            self.end(reason)

    def learn(self, entry: Entry) -> None:
        """Takes note of an event that may change access. It comes before any event is sent that is as new."""
        if entry.position > self._as_of and not self.ended:
            self._learn(entry)

    def takes(self, entry: Entry) -> bool:
        """Whether the event is sent for this topic."""
        return not self.ended and self.viewer not in entry.hidden_from and self._takes(entry)

    def knows(self, room_uid: str) -> bool:
        """Whether it may be told who is in the room."""
        return room_uid in self.filed

    @abstractmethod
    def _learn(self, entry: Entry) -> None: ...

    @abstractmethod
    def _takes(self, entry: Entry) -> bool: ...


class RoomTopic(Topic):
    """One room."""

    def __init__(self, topic_id: int, as_of: int, viewer: str, access: RoomAccess) -> None:
        super().__init__(topic_id, as_of, viewer)
        self.room_uid = access.uid
        self.filed.add(access.uid)
        self._private = access.private
        self._member = access.member

    def _learn(self, entry: Entry) -> None:
        event = entry.event
        kind = event.WhichOneof("change")
        if self.viewer and kind == "user_deleted" and event.user_deleted.user_id == self.viewer:
            self.end(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
        if self.room_uid not in entry.rooms:
            return
        if kind == "room_deleted":
            self.end(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
        elif not self.viewer:
            return
        elif kind == "members_added":
            self._member = self._member or self.viewer in entry.users
        elif kind == "members_removed" and self.viewer in entry.users:
            self.end(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
        elif kind == "room_updated":
            self._private = event.room_updated.room.private
            if self._private and not self._member:
                self.end(ErrorReason.ERROR_REASON_NOT_A_MEMBER)

    def _takes(self, entry: Entry) -> bool:
        return self.room_uid in entry.rooms


class UserTopic(Topic):
    """One user, who sees what it would see itself, whoever watches."""

    def __init__(self, topic_id: int, as_of: int, user_id: str, spans: Spans) -> None:
        super().__init__(topic_id, as_of, user_id)
        self._spans = spans
        self.filed.update(spans)

    def knows(self, room_uid: str) -> bool:
        """If the user is in it."""
        return self._is_in(room_uid)

    def _is_in(self, room_uid: str) -> bool:
        return any(left is None for _, left in self._spans.get(room_uid, ()))

    def _was_in(self, room_uid: str, position: int) -> bool:
        """At that time; those who are no members now get nothing of earlier times either."""
        spans = self._spans.get(room_uid, ())
        was = any(joined <= position and (left is None or position < left) for joined, left in spans)
        return was and self._is_in(room_uid)

    def _learn(self, entry: Entry) -> None:
        if self.viewer not in entry.users:
            return
        kind = entry.event.WhichOneof("change")
        if kind == "user_deleted":
            self.end(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
            self.farewell = entry
        elif kind in {"room_created", "members_added"}:
            if not self._is_in(entry.rooms[0]):
                self._spans.setdefault(entry.rooms[0], []).append((entry.position, None))
                self.filed.add(entry.rooms[0])
        elif kind == "members_removed":
            spans = self._spans.get(entry.rooms[0], [])
            spans[:] = [(joined, entry.position if left is None else left) for joined, left in spans]
        elif kind == "room_deleted":
            self._spans.pop(entry.rooms[0], None)

    def _takes(self, entry: Entry) -> bool:
        kind = entry.event.WhichOneof("change")
        if self.viewer in entry.users:
            # Its own removal, that of its room, its cursors and what it hides. Being added counts as long as it lasts.
            return kind not in {"room_created", "members_added"} or self._was_in(entry.rooms[0], entry.position)
        if kind == "cursor_set":
            return False
        if kind == "user_typed":
            return self._is_in(entry.rooms[0])
        return any(self._was_in(room_uid, entry.position) for room_uid in entry.rooms)


class InstanceTopic(Topic):
    """Everything; for servers."""

    def _learn(self, entry: Entry) -> None:
        """Nothing ends it but what ends all topics."""

    def _takes(self, entry: Entry) -> bool:  # noqa: ARG002 - whatever it is
        return True


def topic_of(topic_id: int, as_of: int, viewer: str, user_id: str, access: Access) -> Topic:
    """The topic for what the store has found. `viewer` is the caller, if it is a user."""
    match access:
        case RoomAccess():
            return RoomTopic(topic_id, as_of, viewer, access)
        case UserAccess(spans):
            return UserTopic(topic_id, as_of, user_id, spans)
        case InstanceAccess():
            return InstanceTopic(topic_id, as_of, "")
