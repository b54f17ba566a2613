"""What happens to many users: one stream from the message service, a topic for each of them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event
from roomline.v1.event_service_pb2 import EndedTopic, WatchRequest, WatchResponse, WatchTopic

from gateway.live.happening import Happening
from gateway.live.lasting_stream import LastingStream
from services.common.backoff import Backoff
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub

    from services.common.tokens import ServiceTokens

log = structlog.get_logger()

AT_ONCE = 1000
"""Topics that are added, or dropped, with one message."""

_FOR_GOOD = {ErrorReason.ERROR_REASON_USER_NOT_FOUND, ErrorReason.ERROR_REASON_INSTANCE_RESET}

Prepare = Callable[[Sequence[Event]], Awaitable[None]]
"""Gets ready what is needed to tell of events. If it fails, they come again a moment later."""


class Place(NamedTuple):
    """A place in the log. All events up to there have been told."""

    epoch: str
    position: int


class UserListener(ABC):
    """Whom the events of one user are told. Nothing here waits."""

    @abstractmethod
    def begin(self, place: Place) -> None:
        """Nothing is missed from here on. Called once, before all else."""

    @abstractmethod
    def tell(self, happening: Happening, epoch: str) -> None:
        """Something has happened."""

    @abstractmethod
    def reach(self, place: Place) -> None:
        """Nothing has happened up to there of what was not told."""

    @abstractmethod
    def lose(self, place: Place) -> None:
        """What has happened up to there cannot be told any more."""

    @abstractmethod
    def end(self, error: RoomlineError) -> None:
        """It is over."""


class Following:
    """A listener on its way through the log."""

    __slots__ = ("_has_begun", "is_live", "is_lost", "listener", "place", "topic_id", "user_id")

    def __init__(self, user_id: str, place: Place | None, listener: UserListener) -> None:
        self.user_id = user_id
        self.place = place
        """How far it has come; None for as far as its stream, or before it is live, for wherever the log ends."""
        self.listener = listener
        self.topic_id = 0
        self.is_live = False
        """The stream has said that it takes part."""
        self.is_lost = False
        """It could not go on where it was."""
        self._has_begun = False

    def topic(self) -> WatchTopic:
        """What to ask for."""
        topic = WatchTopic(id=self.topic_id, user_id=self.user_id)
        if self.place is not None:
            topic.epoch, topic.after_position = self.place
        return topic

    def reach(self, place: Place) -> None:
        """Takes part from here on."""
        self.is_live, self.place = True, place
        first, self._has_begun = not self._has_begun, True
        lost, self.is_lost = self.is_lost, False
        if first:
            self.listener.begin(place)
        if lost:
            self.listener.lose(place)
        elif not first:
            self.listener.reach(place)


class UserStream:
    """Tells each listener what happens to its user, without gaps and repeats over lost streams.

    Who gets what is for the service to decide, as if each user watched by itself. `progress` is called after each
    answer.
    """

    def __init__(
        self,
        instance_id: str,
        events: EventServiceAsyncStub,
        tokens: ServiceTokens,
        prepare: Prepare,
        backoff: Backoff,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.place = Place("", 0)
        """How far all have come that are not said to be elsewhere."""
        self._instance_id = instance_id
        self._events = events
        self._tokens = tokens
        self._prepare = prepare
        self._lasting = LastingStream("user events", instance_id, backoff)
        self._progress = progress
        self._open = asyncio.Event()
        self._topics: dict[int, Following] = {}
        self._elsewhere: dict[int, Following] = {}
        """Those that are live and have a place of their own."""
        self._last_id = 0
        self._to_add: dict[int, WatchTopic] = {}
        self._to_drop: list[int] = []
        self._changed = asyncio.Event()

    @property
    def followings(self) -> Iterable[Following]:
        """All who take part, or will."""
        return tuple(self._topics.values())

    async def opened(self) -> None:
        """Returns when `place` has been the end of the log."""
        await self._open.wait()

    def add(self, following: Following) -> None:
        """Goes on where the listener is."""
        self._last_id += 1
        following.topic_id, following.is_live = self._last_id, False
        self._topics[following.topic_id] = following
        self._to_add[following.topic_id] = following.topic()
        self._changed.set()

    def remove(self, following: Following) -> bool:
        """Tells the listener nothing more; False if it takes no part here."""
        topic_id = following.topic_id
        if self._topics.get(topic_id) is not following:
            return False
        self._forget(following)
        if self._to_add.pop(topic_id, None) is None:
            self._to_drop.append(topic_id)
            self._changed.set()
        return True

    def place_of(self, following: Following) -> Place:
        """How far a listener has come that is live."""
        return following.place or self.place

    async def run(self) -> None:
        """Works until cancelled; a stream that is lost is resumed where it ended."""
        await self._lasting.run(self._read)

    async def _read(self) -> bool:
        """Takes the answers of one stream. Raises AioRpcError when it ends, and what `prepare` does."""
        self._begin_again()
        call: Any = self._events.Watch(metadata=self._tokens.metadata(self._instance_id), wait_for_ready=True)
        writing = asyncio.create_task(self._write(call))
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                if answer.events:
                    await self._prepare([watched.event for watched in answer.events])
                self._take(answer)
                self._lasting.answered()
                self._progress()
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return False

    def _begin_again(self) -> None:
        self._to_drop.clear()
        self._to_add.clear()
        self._elsewhere.clear()
        for following in self._topics.values():
            if following.is_live:
                following.place, following.is_live = self.place_of(following), False
            self._to_add[following.topic_id] = following.topic()

    async def _write(self, call: Any) -> None:
        """Asks for what is wanted; the first time though it be nothing, to learn where the log ends."""
        while True:
            added = [self._to_add.pop(topic_id) for topic_id in tuple(self._to_add)[:AT_ONCE]]
            dropped, self._to_drop = self._to_drop[:AT_ONCE], self._to_drop[AT_ONCE:]
            await call.write(WatchRequest(add=added, drop=dropped))
            while not (self._to_add or self._to_drop):
                self._changed.clear()
                await self._changed.wait()

    def _take(self, answer: WatchResponse) -> None:
        for watched in answer.events:
            happening = Happening(watched.event)
            for topic_id in watched.topic_ids:
                following = self._topics.get(topic_id)
                if following is not None:
                    self._tell(following, happening, answer.epoch)
        for ended in answer.ended_topics:
            self._end(ended)
        place = Place(answer.epoch, answer.position)
        for topic_id in answer.live_topic_ids:
            following = self._topics.get(topic_id)
            if following is not None:
                self._elsewhere[topic_id] = following
                following.reach(place)
        if answer.live_topic_ids:
            return
        for topic_id in answer.topic_ids:
            following = self._topics.get(topic_id)
            if following is not None:
                self._elsewhere[topic_id] = following
                following.place = place
        if not answer.topic_ids:
            self._all_reach(place, silently=bool(answer.events or answer.ended_topics))

    def _all_reach(self, place: Place, *, silently: bool) -> None:
        self.place = place
        self._open.set()
        for following in self._elsewhere.values():
            following.place = None
        self._elsewhere.clear()
        if not silently:
            for following in self._topics.values():
                if following.is_live:
                    following.listener.reach(place)

    def _tell(self, following: Following, happening: Happening, epoch: str) -> None:
        try:
            following.listener.tell(happening, epoch)
        except Exception as error:  # what cannot be told is no reason to keep the rest from anybody
            log.error("delivery_failed", instance=self._instance_id, kind=happening.kind, exc_info=error)

    def _end(self, ended: EndedTopic) -> None:
        following = self._topics.get(ended.id)
        if following is None:
            return
        self._forget(following)
        if ended.reason == ErrorReason.ERROR_REASON_CURSOR_EXPIRED:
            following.place, following.is_lost = None, True
            self.add(following)
        elif ended.reason in _FOR_GOOD:
            following.listener.end(RoomlineError(ended.reason))
        else:  # such as more topics than a stream may have
            following.listener.end(RoomlineError(ErrorReason.ERROR_REASON_OVERLOADED))

    def _forget(self, following: Following) -> None:
        del self._topics[following.topic_id]
        self._elsewhere.pop(following.topic_id, None)
