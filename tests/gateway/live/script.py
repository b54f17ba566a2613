"""A scripted `EventService.Watch`: the tests say what each stream sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, MessageSent, UserTyped
from roomline.v1.event_service_pb2 import EndedTopic, WatchedEvent, WatchRequest, WatchResponse, WatchTopic
from roomline.v1.message_pb2 import Message

from gateway.live.follower import Follower
from gateway.live.happening import Happening
from services.common.errors import RoomlineError

SECONDS = 30.0
EPOCH = "the epoch"


def sent(position: int, room_id: str = "r", *, message_id: int = 0) -> Event:
    """A new message."""
    message = Message(id=message_id or position, room_id=room_id, user_id="bob")
    return Event(position=position, message_sent=MessageSent(message=message))


def typed(room_id: str = "r") -> Event:
    """Somebody types."""
    return Event(user_typed=UserTyped(room_id=room_id, user_id="bob"))


@dataclass
class Stream:
    """One stream, from the server's end."""

    topic: WatchTopic
    _answers: asyncio.Queue[WatchResponse | RoomlineError] = field(default_factory=asyncio.Queue)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def live(self, position: int) -> None:
        """Says that the topic is live after the position."""
        self._answers.put_nowait(WatchResponse(position=position, epoch=EPOCH, live_topic_ids=[self.topic.id]))

    def tell(self, *events: Event) -> None:
        """Sends events."""
        watched = [WatchedEvent(event=event, topic_ids=[self.topic.id]) for event in events]
        position = max((event.position for event in events), default=0)
        self._answers.put_nowait(WatchResponse(events=watched, position=position, epoch=EPOCH))

    def end_topic(self, reason: ErrorReason.ValueType) -> None:
        """Ends the topic."""
        self._answers.put_nowait(WatchResponse(ended_topics=[EndedTopic(id=self.topic.id, reason=reason)]))

    def fail(self, reason: ErrorReason.ValueType) -> None:
        """Ends the stream."""
        self._answers.put_nowait(RoomlineError(reason))

    async def answers(self) -> AsyncIterator[WatchResponse]:
        try:
            while True:
                answer = await self._answers.get()
                if isinstance(answer, RoomlineError):
                    raise answer
                yield answer
        finally:
            self.ended.set()


class Script:
    """The streams in the order of their beginning."""

    def __init__(self) -> None:
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()

    async def watch(self, requests: AsyncIterator[WatchRequest]) -> AsyncIterator[WatchResponse]:
        """An answer for `Backend.answers`."""
        stream = Stream((await anext(requests)).add[0])
        self._streams.put_nowait(stream)
        async for answer in stream.answers():
            yield answer

    async def stream(self) -> Stream:
        """The next stream, as soon as it begins."""
        async with asyncio.timeout(SECONDS):
            return await self._streams.get()

    @property
    def is_done(self) -> bool:
        """There is no stream that nobody has asked for."""
        return self._streams.empty()


class Listener(Follower):
    """Follows, and keeps what it is told."""

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self._told: asyncio.Queue[Happening] = asyncio.Queue()

    def receive(self, happening: Happening) -> None:
        self._told.put_nowait(happening)

    async def next(self) -> Happening:
        """What it is told next."""
        async with asyncio.timeout(SECONDS):
            return await self._told.get()

    def told(self) -> list[int]:
        """The positions of what it has been told since the last look."""
        return [self._told.get_nowait().position for _ in range(self._told.qsize())]
