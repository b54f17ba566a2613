"""One stream of `EventService.Watch`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence, Set
from typing import Protocol

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_service_pb2 import EndedTopic, WatchedEvent, WatchRequest, WatchResponse, WatchTopic

from services.common import timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.message.board import MAX_TOPICS, Board, Group
from services.message.deletions_told import narrowed, told_alike
from services.message.entries import bury
from services.message.event_store import Batch, Entry, Opened
from services.message.tail import Tail
from services.message.topics import RoomTopic, Topic, topic_of
from services.message.watch_requests import check

BATCH_EVENTS = 256
BATCH_BYTES = 512 * 1024
MAX_TYPING = 64
"""Who types is of no interest later: of more than so many that were not taken, the oldest are dropped."""
TYPING_SECONDS = 3.0


class Log(Protocol):
    """What a stream reads from."""

    async def open(self, caller: Caller, topics: Sequence[WatchTopic]) -> Opened:
        """See `EventStore.open`; users who do not exist are USER_NOT_FOUND."""

    async def read(self, instance_id: str, after: int, size: int, max_bytes: int) -> Batch:
        """See `Source.read`."""


class Watcher:
    """What one caller follows on one stream. It reads on only when its last answer was taken.

    `pause` gives the seconds until the next heartbeat.
    """

    def __init__(self, log: Log, tail: Tail, caller: Caller, clock: Clock, pause: Callable[[], float]) -> None:
        self._log = log
        self._tail = tail
        self._caller = caller
        self._viewer = caller.user_id if caller.is_user else ""
        self._clock = clock
        self._pause = pause
        self._epoch = ""
        self._board = Board()
        self._typing: deque[tuple[float, Entry]] = deque(maxlen=MAX_TYPING)
        self._wake = asyncio.Event()
        self._ending = False
        self._unsure = False
        self._stopped = False

    def stop(self) -> None:
        """Ends the stream: SHUTTING_DOWN."""
        self._stopped = True
        self._wake.set()

    def learn(self, entry: Entry) -> None:
        """See `Listener`."""
        if self._board.learn(entry, self._viewer):
            self._ending = True
            self._wake.set()

    def lose(self, reason: ErrorReason.ValueType, before: int) -> None:
        """See `Listener`."""
        for topic in self._board.topics.values():
            topic.lose(reason, before)
        self._ending = True
        self._wake.set()

    def offer(self, rooms: Set[str], users: Set[str], before: int, after: int) -> None:
        """See `Listener`. Whoever is up to date and not concerned is not woken."""
        group = self._board.only()
        if group is not None and group.cursor == before and not self._board.may_take(rooms, users):
            group.cursor = after
        elif self._board.topics:
            self._wake.set()

    def recheck(self) -> None:
        """See `Listener`."""
        self._unsure = self._caller.is_user
        self._wake.set()

    def tell(self, entry: Entry) -> None:
        """See `Listener`."""
        if self._board.takers(entry):
            self._typing.append((asyncio.get_running_loop().time(), entry))
            self._wake.set()

    async def responses(self, requests: AsyncIterator[WatchRequest]) -> AsyncGenerator[WatchResponse]:
        """The stream's answers, until it is stopped or its topics cannot be changed as it asks."""
        incoming: asyncio.Task[WatchRequest | None] | None = self._next(requests)
        heartbeat = 0.0
        try:
            while not self._stopped:
                self._wake.clear()
                answers: Iterable[WatchResponse] = ()
                if incoming is not None and incoming.done():
                    request = incoming.result()
                    if request is not None:
                        answers = await self._change(request)
                    incoming = None if request is None else self._next(requests)
                elif (news := await self._news()) is not None:
                    answers = (news,)
                elif not await self._woken(heartbeat):
                    answers = (self._stamped(WatchResponse()),)
                for answer in answers:
                    yield answer
                    heartbeat = asyncio.get_running_loop().time() + self._pause()
            raise RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
        finally:
            if incoming is not None:
                incoming.cancel()
                await asyncio.gather(incoming, return_exceptions=True)

    def _next(self, requests: AsyncIterator[WatchRequest]) -> asyncio.Task[WatchRequest | None]:
        """Waits for the caller's next message. Only one is taken at a time: the rest stays with the caller."""

        async def take() -> WatchRequest | None:
            return await anext(requests, None)

        task = asyncio.create_task(take())
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def _woken(self, until: float) -> bool:
        """Waits for something to do; False if it is time for a sign of life."""
        if not until:  # nothing was sent yet: the first answer is that to the first message
            await self._wake.wait()
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        return self._wake.is_set()

    # Topics come and go

    async def _change(self, request: WatchRequest) -> list[WatchResponse]:
        """Does what the caller asks; the answers say where each topic begins."""
        for topic_id in request.drop:
            self._board.remove(topic_id)
        check(request, self._board.topics)
        answer = WatchResponse()
        wanted = list(request.add)
        while len(self._board.topics) + len(wanted) > MAX_TOPICS:
            _end(answer, wanted.pop().id, ErrorReason.ERROR_REASON_QUOTA_EXCEEDED)
        if not self._epoch or wanted:
            begins = await self._open(wanted, answer)
        else:
            begins = {}
        answers = [
            WatchResponse(position=position, epoch=self._epoch, live_topic_ids=topic_ids)
            for position, topic_ids in begins.items()
        ]
        if answers:
            answers[0].MergeFrom(answer)
            return answers
        return [self._stamped(answer)]

    async def _open(self, wanted: list[WatchTopic], answer: WatchResponse) -> dict[int, list[int]]:
        """Adds the topics; returns after which positions which ones begin. Says in the answer which are refused."""
        while True:
            opened = await self._log.open(self._caller, wanted)
            try:
                missed = self._tail.since(opened.position)
            except LookupError:  # it took so long that what has happened since is not known any more
                continue
            break
        self._epoch = opened.epoch
        begins: dict[int, list[int]] = {}
        for asked, access in zip(wanted, opened.topics, strict=True):
            begin = asked.after_position if asked.HasField("after_position") else opened.position
            if isinstance(access, int):
                _end(answer, asked.id, access)
            elif not opened.start <= begin <= opened.position or asked.epoch not in {"", opened.epoch}:
                _end(answer, asked.id, ErrorReason.ERROR_REASON_CURSOR_EXPIRED)
            else:
                topic = topic_of(asked.id, opened.position, self._viewer, asked.user_id, access)
                for entry in missed:
                    topic.learn(entry)
                self._ending = self._ending or bool(topic.ended)
                self._board.add(topic, begin)
                begins.setdefault(begin, []).append(asked.id)
        return begins

    # What has happened

    async def _news(self) -> WatchResponse | None:
        """The next answer that says something; None if there is nothing to say."""
        response = WatchResponse()
        while not response.events:
            if self._unsure:
                await self._check_again()
            if self._ending:
                return self._ended()
            front = self._board.hindmost()
            if front is None:
                break
            group, next_cursor = front
            limit = self._tail.ready if next_cursor is None else min(next_cursor, self._tail.ready)
            if group.cursor >= limit:
                break
            entries, end = await self._entries(group, limit)
            response = self._composed(group, entries, end)
            if not response.events:
                await asyncio.sleep(0)  # others' turn: much may be of no concern to this stream
        response.events.extend(self._typed())
        return self._stamped(response) if response.events else None

    async def _check_again(self) -> None:
        """Ends topics whose messages the caller, a user, must not read any more."""
        self._unsure = False
        topics = list(self._board.topics.values())
        asked = [
            WatchTopic(room_uid=topic.room_uid) if isinstance(topic, RoomTopic) else WatchTopic(user_id=topic.viewer)
            for topic in topics
        ]
        for topic, access in zip(topics, (await self._log.open(self._caller, asked)).topics, strict=True):
            if access == ErrorReason.ERROR_REASON_PERMISSION_MISSING:
                topic.end(ErrorReason.ERROR_REASON_PERMISSION_MISSING)
                self._ending = True

    async def _entries(self, group: Group, limit: int) -> tuple[Sequence[Entry], int]:
        """The group's next events, up to the limit, and how far that is."""
        with contextlib.suppress(LookupError):
            return self._tail.between(group.cursor, limit), limit
        batch = await self._log.read(self._caller.instance_id, group.cursor, BATCH_EVENTS, BATCH_BYTES)
        await self._tail.reaches(batch.as_of)  # what it shows must be shown only to those who may still see it
        if batch.start > group.cursor:
            for topic in group.topics.values():
                topic.end(ErrorReason.ERROR_REASON_CURSOR_EXPIRED)
            self._ending = True
            return (), group.cursor
        return [entry for entry in batch.entries if entry.position <= limit], min(batch.end, limit)

    def _composed(self, group: Group, entries: Sequence[Entry], end: int) -> WatchResponse:
        """As many of the events as an answer has at most. The group has come that far then."""
        response = WatchResponse()
        size = 0
        for entry in entries:
            takers = self._board.takers(entry, group)
            if not takers:
                continue
            size += entry.size
            if response.events and (len(response.events) == BATCH_EVENTS or size > BATCH_BYTES):
                return response
            response.events.extend(self._watched(entry, alike) for alike in told_alike(entry, takers))
            group.cursor = entry.position
        group.cursor = end
        return response

    def _watched(self, entry: Entry, takers: Sequence[Topic]) -> WatchedEvent:
        watched = WatchedEvent(event=entry.event, topic_ids=[topic.id for topic in takers])
        message = watched.event.message_sent.message if entry.event.HasField("message_sent") else None
        if entry.event.HasField("message_edited"):
            message = watched.event.message_edited.message
        if message is not None and message.HasField("expires_at"):
            expires_at = timestamps.from_proto(message.expires_at)
            if expires_at <= self._clock():
                bury(message, expires_at)
        if entry.event.HasField("user_deleted"):
            watched.event.user_deleted.CopyFrom(narrowed(entry.event.user_deleted, takers))
        return watched

    def _ended(self) -> WatchResponse:
        """What to say of topics that have ended."""
        self._ending = False
        response = WatchResponse()
        for topic in [topic for topic in self._board.topics.values() if topic.ended]:
            if topic.farewell is not None:
                response.events.append(WatchedEvent(event=topic.farewell.event, topic_ids=[topic.id]))
            _end(response, topic.id, topic.ended)
            self._board.remove(topic.id)
        return self._stamped(response)

    def _typed(self) -> list[WatchedEvent]:
        """Who has typed a moment ago."""
        oldest = asyncio.get_running_loop().time() - TYPING_SECONDS
        typing = [(entry, self._board.takers(entry)) for told, entry in self._typing if told >= oldest]
        self._typing.clear()
        return [self._watched(entry, takers) for entry, takers in typing if takers]

    def _stamped(self, response: WatchResponse) -> WatchResponse:
        """The answer with the place to resume at."""
        response.epoch = self._epoch
        front = self._board.hindmost()
        response.position = self._tail.ready if front is None else front[0].cursor
        if front is not None and front[1] is not None:
            response.topic_ids.extend(front[0].topics)
        return response


def _end(response: WatchResponse, topic_id: int, reason: ErrorReason.ValueType) -> None:
    response.ended_topics.append(EndedTopic(id=topic_id, reason=reason))
