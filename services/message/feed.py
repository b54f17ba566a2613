"""Hands the log to those who watch it: one tail for each instance that is watched, one watcher for each stream."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, UserTyped
from roomline.v1.event_service_pb2 import WatchRequest, WatchResponse, WatchTopic

from services.common import timestamps
from services.common.backoff import Backoff
from services.common.call import Caller, Level
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.users import Users
from services.message.attachments import Attachments
from services.message.entries import entry_of
from services.message.event_store import ROLES, Batch, EventStore, Opened, UserAccess
from services.message.tail import Tail
from services.message.typing_limit import TypingLimit
from services.message.watcher import Watcher

log = structlog.get_logger()

MAX_STREAMS = {Level.USER: 64, Level.SERVER: 1024, Level.SERVICE: 1024}
"""Streams that one user has at once, or all servers of an instance, or all of our own processes in one."""
MEDIA_PATIENCE_SECONDS = 1.0
"""A media service that takes longer, and fails, is left alone for a while: all live events wait for it."""
MEDIA_PAUSE_SECONDS = 15.0
SHORTEST_PAUSE = 0.75
"""Of the time between heartbeats: streams that began together do not beat together."""


class Feed:
    """All streams of this process. `heartbeat` is the longest silence on a stream, in seconds."""

    def __init__(
        self,
        store: EventStore,
        users: Users,
        attachments: Attachments,
        clock: Clock,
        backoff: Backoff,
        heartbeat: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._users = users
        self._attachments = attachments
        self._clock = clock
        self._backoff = backoff
        self._heartbeat = heartbeat
        self._chance = chance
        self._tails: dict[str, Tail] = {}
        self._watchers: set[Watcher] = set()
        self._streams: Counter[tuple[str, Level, str]] = Counter()
        self._typing = TypingLimit(clock)
        self._media_back_at = 0.0
        """Time of the event loop from which on the media service is asked again."""
        self._stopped = False

    def wake(self, news: Iterable[str]) -> None:
        """Says that these instances have new events or, behind `ROLES`, other roles."""
        for one in news:
            tail = self._tails.get(one.removeprefix(ROLES))
            if tail is not None and one.startswith(ROLES):
                tail.recheck()
            elif tail is not None:
                tail.wake()

    def stop(self) -> None:
        """Ends all streams, and refuses new ones, so that the server can stop."""
        self._stopped = True
        for watcher in self._watchers:
            watcher.stop()

    def typed(self, instance_id: str, typed: UserTyped) -> None:
        """Tells those who watch that somebody types, unless they have heard that too often."""
        tail = self._tails.get(instance_id)
        if tail is not None and self._typing.passes(instance_id, typed.user_id):
            event = Event(user_typed=typed, created_at=timestamps.to_proto(self._clock()))
            tail.tell(entry_of(event))

    async def watch(self, caller: Caller, requests: AsyncIterator[WatchRequest]) -> AsyncGenerator[WatchResponse]:
        """The answers of one stream. Raises SHUTTING_DOWN, QUOTA_EXCEEDED, FIELD_INVALID, FIELD_REQUIRED."""
        with self._counted(caller):
            async with self._tail(caller.instance_id) as tail:
                watcher = Watcher(self, tail, caller, self._clock, self._pause)
                tail.listeners.add(watcher)
                self._watchers.add(watcher)
                try:
                    async with contextlib.aclosing(watcher.responses(requests)) as responses:
                        async for response in responses:
                            yield response
                finally:
                    tail.listeners.discard(watcher)
                    self._watchers.discard(watcher)

    async def open(self, caller: Caller, topics: Sequence[WatchTopic]) -> Opened:
        """See `Log.open`."""
        opened = await self._store.open(caller, topics)
        found = zip(topics, opened.topics, strict=True)
        # A member of any room exists.
        unknown = [topic.user_id for topic, access in found if isinstance(access, UserAccess) and not access.spans]
        if unknown:
            existing = await self._users.existing(caller.instance_id, list(dict.fromkeys(unknown)))
            for index, topic in enumerate(topics):
                if topic.user_id in unknown and topic.user_id not in existing:
                    opened.topics[index] = ErrorReason.ERROR_REASON_USER_NOT_FOUND
        return opened

    async def read(self, instance_id: str, after: int, size: int, max_bytes: int) -> Batch:
        """See `Source.read`. While the media service is away, attachments keep their ids only."""
        batch = await self._store.read(instance_id, after, size, max_bytes)
        messages = [entry.message for entry in batch.entries if entry.message is not None]
        now = asyncio.get_running_loop().time
        started = now()
        if started < self._media_back_at:
            return batch
        try:
            await self._attachments.fill(instance_id, messages)
        except RoomlineError as error:
            log.warning("attachments_missing", instance=instance_id, reason=error.message)
            if now() - started > MEDIA_PATIENCE_SECONDS:
                self._media_back_at = now() + MEDIA_PAUSE_SECONDS
        return batch

    def _pause(self) -> float:
        return self._heartbeat * (SHORTEST_PAUSE + (1 - SHORTEST_PAUSE) * self._chance())

    @contextlib.asynccontextmanager
    async def _tail(self, instance_id: str) -> AsyncIterator[Tail]:
        """The instance's tail, which is kept up to date as long as somebody has it."""
        tail = self._tails.get(instance_id)
        if tail is None:
            tail = self._tails[instance_id] = Tail(instance_id, self, self._backoff)
            tail.run()
        tail.streams += 1
        try:
            await tail.begun()
            yield tail
        finally:
            tail.streams -= 1
            if not tail.streams:
                del self._tails[instance_id]
                await tail.stop()

    @contextlib.contextmanager
    def _counted(self, caller: Caller) -> Iterator[None]:
        if self._stopped:
            raise RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
        key = (caller.instance_id, caller.level, caller.user_id if caller.is_user else "")
        if self._streams[key] >= MAX_STREAMS[caller.level]:
            raise RoomlineError(ErrorReason.ERROR_REASON_QUOTA_EXCEEDED, quota="streams")
        self._streams[key] += 1
        try:
            yield
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]
