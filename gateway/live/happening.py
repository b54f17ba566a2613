"""One event on its way to everybody whom it concerns."""

from __future__ import annotations

import asyncio
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

    __slots__ = ("_made", "_waiting", "concerned", "event", "kind", "later", "leaders", "position")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.kind = event.WhichOneof("change") or ""
        """Which field of `Event.change` is set; empty for one that this version does not know."""
        self.position = event.position
        """Its place in the log; 0 for what is not logged."""
        self.concerned = _concerned(self.kind, event)
        self.later: Happening | None = None
        self._made: dict[Hashable, Any] = {}
        self.leaders = 0
        """How many have to be told of it before all others, and have not been."""
        self._waiting: dict[Callable[[], None], None] = {}

    def lead(self) -> None:
        """Somebody has to be told of it first: `led` follows, once for each call of this."""
        self.leaders += 1

    def led(self) -> None:
        """That has been done, or never will be."""
        self.leaders -= 1
        if not self.leaders:
            waiting, self._waiting = self._waiting, {}
            for go_on in waiting:
                asyncio.get_running_loop().call_soon(go_on)

    def waits(self, go_on: Callable[[], None]) -> bool:
        """Whether somebody else has to be told first. `go_on` is called soon after that, once."""
        if self.leaders:
            self._waiting[go_on] = None
        return self.leaders > 0

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
