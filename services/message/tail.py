"""The newest events of an instance, read once for everybody who watches it.

What is here is kept as it may be shown: a message that is deleted later loses its content here too. Every stream is
told of changes of access before it can see any event as new as they are.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence, Set
from operator import attrgetter
from typing import Protocol

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common import timestamps
from services.common.backoff import Backoff
from services.common.waiting import is_set_within
from services.message.entries import bury_in, lose, renew
from services.message.event_store import Batch, Entry

log = structlog.get_logger()

KEPT_EVENTS = 4096
KEPT_BYTES = 8 * 1024 * 1024
READ_EVENTS = 512
READ_BYTES = 2 * 1024 * 1024
POLL_SECONDS = 1.0
"""How often the log is looked at without being told to; a wake-up is only a hint."""

_POSITION = attrgetter("position")
_CHANGES_ACCESS = {
    *("room_created", "room_updated", "room_deleted", "members_added", "members_removed"),
    "user_deleted",
}


class Source(Protocol):
    """The log with everything that belongs to its events."""

    async def read(self, instance_id: str, after: int, size: int, max_bytes: int) -> Batch:
        """See `EventStore.read`; attachments have their metadata."""


class Listener(Protocol):
    """A stream."""

    def learn(self, entry: Entry) -> None:
        """See `Topic.learn`."""

    def lose(self, reason: ErrorReason.ValueType, before: int) -> None:
        """Ends all topics that were opened before this place in the log."""

    def offer(self, rooms: Set[str], users: Set[str], before: int, after: int) -> None:
        """Says that events from one position to another, about these rooms and users, can be sent now."""

    def recheck(self) -> None:
        """Says that roles have changed."""

    def tell(self, entry: Entry) -> None:
        """Hands over an event that is not logged."""


class Tail:
    """The end of one instance's log, kept up to date while somebody listens."""

    def __init__(self, instance_id: str, source: Source, backoff: Backoff) -> None:
        self.listeners: set[Listener] = set()
        self.streams = 0
        """How many have it."""
        self.start = 0
        """Events after this position are here."""
        self.ready = 0
        """Events up to this position can be sent."""
        self._end = 0
        self._instance_id = instance_id
        self._source = source
        self._backoff = backoff
        self._entries: list[Entry] = []
        self._bytes = 0
        self._unready: deque[tuple[int, int]] = deque()
        self._by_message: dict[int, list[Entry]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()

    def wake(self) -> None:
        """Says that there may be new events."""
        self._wake.set()

    def recheck(self) -> None:
        """Has everybody look again whether it still may see what it follows."""
        for listener in self.listeners:
            listener.recheck()

    def tell(self, entry: Entry) -> None:
        """Hands everybody an event that is not logged."""
        for listener in self.listeners:
            listener.tell(entry)

    async def begun(self) -> None:
        """Waits until it knows where the log ends."""
        await self._begun.wait()

    async def reaches(self, position: int) -> None:
        """Waits until everybody has learnt of all changes of access up to this position."""
        if self._end >= position:
            return
        waiting = (position, asyncio.get_running_loop().create_future())
        self._waiting.add(waiting)
        self._wake.set()
        try:
            await waiting[1]
        finally:
            self._waiting.discard(waiting)

    def between(self, after: int, to: int) -> Sequence[Entry]:
        """The events after one position, up to another one that is ready. Raises LookupError if they are not here."""
        if after < self.start:
            raise LookupError
        first = bisect_right(self._entries, after, key=_POSITION)
        return self._entries[first : bisect_right(self._entries, to, key=_POSITION)]

    def since(self, position: int) -> Sequence[Entry]:
        """All events after a position, ready or not. Raises LookupError if they are not here."""
        return self.between(position, self._end)

    def run(self) -> None:
        """Keeps it up to date from now on, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        pause = self._backoff.first
        while True:
            self._wake.clear()
            try:
                if not self._begun.is_set():
                    await self._begin()
                while await self._load():
                    pass
                pause = self._backoff.first
            except Exception as error:
                log.error("tail_failed", instance=self._instance_id, exc_info=error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._backoff.longest)
                continue
            await is_set_within(self._wake, POLL_SECONDS)

    async def _begin(self) -> None:
        batch = await self._source.read(self._instance_id, 0, 0, 0)
        self.start = self.ready = self._end = batch.as_of
        self._begun.set()

    async def _load(self) -> bool:
        """Reads on; False if there was nothing new."""
        batch = await self._source.read(self._instance_id, self._end, READ_EVENTS, READ_BYTES)
        if batch.end == self._end:
            return False
        if batch.start > self._end:
            self._lost(batch)
        for entry in batch.entries:
            self._take(entry)
        self._end = batch.end
        self._unready.append((batch.end, batch.as_of))
        self._publish()
        self._evict()
        return True

    def _lost(self, batch: Batch) -> None:
        """The log begins after what was read last: it was wiped, or we were far too slow."""
        reset, expired = ErrorReason.ERROR_REASON_INSTANCE_RESET, ErrorReason.ERROR_REASON_CURSOR_EXPIRED
        for listener in self.listeners:
            listener.lose(reset if batch.was_reset else expired, batch.start)
        self._entries.clear()
        self._by_message.clear()
        self._unready.clear()
        self._bytes = 0
        self.start = self.ready = batch.start

    def _take(self, entry: Entry) -> None:
        kind = entry.event.WhichOneof("change")
        if kind in _CHANGES_ACCESS:
            for listener in self.listeners:
                listener.learn(entry)
        self._bring_up_to_date(entry)
        self._entries.append(entry)
        self._bytes += entry.size
        if entry.message_id:
            self._by_message.setdefault(entry.message_id, []).append(entry)

    def _bring_up_to_date(self, entry: Entry) -> None:
        """Earlier events show messages as they are now."""
        event = entry.event
        same_message = self._by_message.get(entry.message_id, ())
        match event.WhichOneof("change"):
            case "message_edited":
                for earlier in same_message:
                    renew(earlier, event.message_edited.message)
            case "message_deleted":
                for earlier in same_message:
                    bury_in(earlier, timestamps.from_proto(event.created_at))
            case "message_hidden":
                _hide(same_message, event.message_hidden.user_id)
            case "room_discarded":
                discarded = event.room_discarded
                of_room = self._of_room(discarded.room_uid)
                _hide((one for one in of_room if one.message_id <= discarded.message_id), discarded.user_id)
            case "room_deleted":
                for earlier in self._of_room(event.room_deleted.room_uid):
                    lose(earlier)

    def _of_room(self, room_uid: str) -> list[Entry]:
        """Events about messages of a room."""
        return [entry for entry in self._entries if entry.message_room == room_uid]

    def _publish(self) -> None:
        """Lets events be sent that show nothing newer than what everybody has learnt of."""
        for waiting in list(self._waiting):
            if waiting[0] <= self._end and not waiting[1].done():
                waiting[1].set_result(None)
        before = self.ready
        while self._unready and self._unready[0][1] <= self._end:
            self.ready = max(self.ready, self._unready.popleft()[0])
        if self.ready == before:
            return
        entries = self.between(max(before, self.start), self.ready)
        rooms = {room_uid for entry in entries for room_uid in entry.rooms}
        users = {user_id for entry in entries for user_id in entry.users}
        for listener in self.listeners:
            listener.offer(rooms, users, before, self.ready)

    def _evict(self) -> None:
        """Forgets the oldest; whoever still needs them reads the log itself."""
        count = 0
        while len(self._entries) - count > KEPT_EVENTS or self._bytes > KEPT_BYTES:
            entry = self._entries[count]
            self._bytes -= entry.size
            self.start = entry.position
            count += 1
            if entry.message_id:
                same_message = self._by_message[entry.message_id]
                same_message.remove(entry)
                if not same_message:
                    del self._by_message[entry.message_id]
        del self._entries[:count]


def _hide(entries: Iterable[Entry], user_id: str) -> None:
    """The user has hidden the message; that it has done so it may know."""
    for entry in entries:
        if not entry.event.HasField("message_hidden"):
            entry.hidden_from.add(user_id)
