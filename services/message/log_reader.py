"""Tells the logs of instances to those that must miss nothing, also while this process is down: webhooks, web push.

Each consumer has a reader of its own, with a position that is stored: what one of them does holds up no other. It gets
everything at least once, in order, and each piece again in the same bounds until it has taken it; messages as they are
by then, so that what was unsent or has expired meanwhile shows no content (fault 23). Of what the log no longer has,
it learns how much it was.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import structlog

from services.common.backoff import Backoff
from services.common.errors import RoomlineError
from services.common.waiting import is_set_within
from services.message.event_store import Entry
from services.message.log_reader_store import LogReaderStore, Progress
from services.message.tail import Source

log = structlog.get_logger()

BATCH_EVENTS = 100
BATCH_BYTES = 256 * 1024
"""At most, unless a single event has more. As JSON it may be some times as much, and many web servers refuse more than
1 MiB."""
REPEATED_BYTES = 4 * 1024 * 1024
"""What was begun is repeated whole, also if its messages were made longer meanwhile; not if that comes to so much that
somebody could fill the memory with it."""
POLL_SECONDS = 30.0
"""How often the log is looked at without being told to; a wake-up is only a hint."""
TRIES = 8
"""How often a consumer may fail over one event before it is left out; pauses come in between."""
SHORTEST_PAUSE = 0.5
"""Of a pause: consumers that failed together do not come back together."""


class Piece(NamedTuple):
    """A piece of the log."""

    entries: Sequence[Entry]
    after: int
    """It has everything after this position."""
    end: int
    """The last position that it covers. A piece that is repeated has the same bounds, but for what was lost."""
    epoch: str
    """Of the positions; another one after a backup was restored, from when on they are used again."""
    lost: int
    """How many places of the log the consumer never got, since it began."""


class NotNow(Exception):  # noqa: N818 - it is no error of the consumer's
    """The consumer wants the piece again later: after a pause that doubles, and after so many seconds at least.

    `problem` is kept in `Progress`, for people.
    """

    def __init__(self, problem: str, seconds: float = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.seconds = seconds


class Finished(Exception):  # noqa: N818 - it is no error
    """The consumer wants nothing any more. Where it stands stays stored, and so does the `problem`, if there is one."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(problem)
        self.problem = problem


class Consumer(Protocol):
    """Somebody that a log is told to."""

    @property
    def instance_id(self) -> str:
        """Whose log."""

    @property
    def name(self) -> str:
        """Its own in the instance, and the same after a restart; `sqlite_log_readers.begin` has it known."""

    async def take(self, piece: Piece) -> int:
        """Takes a piece, or raises NotNow or Finished. RoomlineError counts as NotNow.

        How many of its events could not be taken and were left out; they count as lost.

        Whatever else it raises is the fault of an event. That one is found, and left out after some tries: it must not
        stop the rest for ever (fault 24).
        """


class LogReaders:
    """The readers of this process, for the time of an `async with` block."""

    def __init__(
        self,
        store: LogReaderStore,
        source: Source,
        backoff: Backoff,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._source = source
        self._backoff = backoff
        self._chance = chance
        self._readers: dict[str, dict[str, _Reader]] = {}
        """By instance and name."""

    async def __aenter__(self) -> LogReaders:
        return self

    async def __aexit__(self, *_: object) -> None:
        readers = [reader for of_instance in self._readers.values() for reader in of_instance.values()]
        self._readers.clear()
        await asyncio.gather(*(reader.stop() for reader in readers))

    def wake(self, news: Iterable[str]) -> None:
        """Says that these instances have new events."""
        for instance_id in news:
            for reader in self._readers.get(instance_id, {}).values():
                reader.wake()

    async def follow(self, consumer: Consumer) -> None:
        """Tells the consumer the log from now on; it takes the place of an earlier one of its name."""
        await self.leave(consumer.instance_id, consumer.name)
        reader = _Reader(consumer, self._store, self._source, self._backoff, self._chance)
        self._readers.setdefault(consumer.instance_id, {})[consumer.name] = reader
        reader.start(lambda: self._remove(consumer, reader))

    def follows(self, instance_id: str, name: str) -> bool:
        """Whether a consumer of this name is told the log."""
        reader = self._readers.get(instance_id, {}).get(name)
        return reader is not None and not reader.has_ended()

    async def leave(self, instance_id: str, name: str) -> None:
        """Tells it nothing any more, from when this returns; fine if there is no such consumer."""
        while (reader := self._readers.get(instance_id, {}).get(name)) is not None:
            await reader.stop()  # it removes itself

    def _remove(self, consumer: Consumer, reader: _Reader) -> None:
        of_instance = self._readers.get(consumer.instance_id, {})
        if of_instance.get(consumer.name) is reader:
            del of_instance[consumer.name]
            if not of_instance:
                del self._readers[consumer.instance_id]


class _Reader:
    """Tells one consumer its log."""

    def __init__(
        self,
        consumer: Consumer,
        store: LogReaderStore,
        source: Source,
        backoff: Backoff,
        chance: Callable[[], float],
    ) -> None:
        self._consumer = consumer
        self._key = (consumer.instance_id, consumer.name)
        self._store = store
        self._source = source
        self._backoff = backoff
        self._chance = chance
        self._pause = backoff.first
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None]
        self._one_by_one_until = 0
        """An event up to here is at fault."""
        self._failures = 0
        """Of the event that is at fault."""

    def start(self, ended: Callable[[], None]) -> None:
        """Begins; `ended` is called when the consumer wants no more, or was stopped."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: ended())

    async def stop(self) -> None:
        """Ends."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    def has_ended(self) -> bool:
        """Whether it tells nothing any more."""
        return self._task.done()

    def wake(self) -> None:
        """Says that there may be new events."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                more = await self._step()
                self._pause = self._backoff.first
            except Finished as reason:
                if reason.problem:
                    await self._note(reason.problem)
                return
            except NotNow as reason:
                await self._wait_longer(reason.problem, reason.seconds)
                continue
            except Exception as error:
                log.error("log_reader_failed", instance=self._key[0], consumer=self._key[1], exc_info=error)
                await self._wait_longer("the server failed", 0)
                continue
            if not more:
                await is_set_within(self._wake, self._shortened(POLL_SECONDS))

    async def _step(self) -> bool:
        """Tells the next piece; False if there was none."""
        progress = await self._store.progress(*self._key)
        if progress is None:
            if self._wake.is_set():  # it may have begun anew while we looked
                return True
            raise Finished
        size, max_bytes = self._bounds(progress)
        batch = await self._source.read(self._key[0], progress.position, size, max_bytes)
        if batch.end <= progress.position:
            if progress.failing_since is not None:  # reading failed, and goes again
                await self._store.told(*self._key, progress.position)
            return False
        if (batch.start, batch.end) != (progress.position, progress.batch_end):
            await self._store.telling(*self._key, batch.start, batch.end)
        lost = batch.start - progress.position
        if lost:
            log.warning("events_lost", instance=self._key[0], consumer=self._key[1], count=lost, reset=batch.was_reset)
        left_out = batch.end - batch.start - len(batch.entries)  # unreadable: the log has no holes
        if batch.entries:
            piece = Piece(batch.entries, batch.start, batch.end, progress.epoch, progress.lost + lost)
            taken = await self._take(piece)
            if taken is None:
                return True
            left_out += taken
        await self._store.told(*self._key, batch.end, left_out)
        self._failures = 0
        return True

    def _bounds(self, progress: Progress) -> tuple[int, int]:
        """How many events the next piece has, and bytes."""
        if progress.position < self._one_by_one_until:
            return 1, BATCH_BYTES
        if progress.batch_end > progress.position:
            return progress.batch_end - progress.position, REPEATED_BYTES  # the log has no holes
        return BATCH_EVENTS, BATCH_BYTES

    async def _take(self, piece: Piece) -> int | None:
        """How many events the consumer has left out; None if the piece is to be told again, in smaller ones."""
        try:
            return await self._consumer.take(piece)
        except (NotNow, Finished):
            raise
        except RoomlineError as error:
            raise NotNow(error.message) from error
        except Exception as error:
            where = {"instance": self._key[0], "consumer": self._key[1], "after": piece.after, "end": piece.end}
            log.error("events_not_taken", **where, exc_info=error)
            if len(piece.entries) > 1:
                self._one_by_one_until = piece.end
                return None
            self._failures += 1
            if self._failures < TRIES:
                raise NotNow("an event cannot be handled") from error
            log.error("event_left_out", **where)
            return 1

    async def _note(self, problem: str) -> None:
        try:
            await self._store.failed(*self._key, problem)
        except Exception as error:
            log.error("log_reader_failed", instance=self._key[0], consumer=self._key[1], exc_info=error)

    async def _wait_longer(self, problem: str, seconds: float) -> None:
        await self._note(problem)
        await asyncio.sleep(max(self._shortened(self._pause), min(seconds, self._backoff.longest)))
        self._pause = min(self._pause * 2, self._backoff.longest)

    def _shortened(self, pause: float) -> float:
        return pause * (SHORTEST_PAUSE + (1 - SHORTEST_PAUSE) * self._chance())
