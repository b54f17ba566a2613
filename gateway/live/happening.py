"""One event on its way to everybody whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

from roomline.v1.event_pb2 import Event

T = TypeVar("T")


class Concerned(NamedTuple):
    """The rooms and users that an event is about."""

    rooms: Sequence[str] = ()
    users: Sequence[str] = ()


class Happening:
    """An event of an instance, shared by all whom it reaches; what is made of it once serves all of them.

    Happenings are a chain: whoever keeps one reaches all later ones, and what nobody keeps is gone.
    """

    __slots__ = ("_made", "concerned", "event", "kind", "later", "position")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.kind = event.WhichOneof("change") or ""
        """Which field of `Event.change` is set; empty for one that this version does not know."""
        self.position = event.position
        """Its place in the log; 0 for what is not logged."""
        self.concerned = _concerned(self.kind, event)
        self.later: Happening | None = None
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns: it is called for the first one who asks for the key."""
        made: T | None = self._made.get(key)
        if made is None:
            made = self._made[key] = make()
        return made


def _concerned(kind: str, event: Event) -> Concerned:
    change: Any = getattr(event, kind) if kind else None
    match kind:
        case "room_created":
            return Concerned((change.room.id,), change.room.member_user_ids)
        case "room_updated":
            return Concerned((change.room.id,))
        case "room_deleted":
            return Concerned((change.room_id,), change.member_user_ids)
        case "members_added" | "members_removed":
            return Concerned((change.room_id,), change.user_ids)
        case "message_sent" | "message_edited":
            return Concerned((change.message.room_id,))
        case "message_hidden" | "room_discarded":
            return Concerned((), (change.user_id,))
        case "message_deleted" | "messages_imported" | "user_typed":
            return Concerned((change.room_id,))
        case "cursor_set":
            return Concerned((change.cursor.room_id,), (change.cursor.user_id,))
        case "user_deleted":
            return Concerned(change.room_ids, (change.user_id,))
        case _:
            return Concerned()
