"""A client of `EventService.Watch` that keeps account of what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event
from roomline.v1.event_service_pb2 import WatchedEvent, WatchRequest, WatchResponse, WatchTopic

from tests.support.cluster import Cluster, Metadata

if TYPE_CHECKING:
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub

    WatchCall = grpc.aio.StreamStreamCall[WatchRequest, WatchResponse]

SECONDS = 30
"""Far longer than anything takes that a test waits for."""


class Stream:
    """One stream."""

    def __init__(self, call: WatchCall) -> None:
        self.call = call
        self.epoch = ""
        self.positions: dict[int, int] = {}
        """Where to resume each topic."""
        self.events: list[WatchedEvent] = []
        self.ended: dict[int, str] = {}

    async def ask(self, *add: WatchTopic, drop: tuple[int, ...] = ()) -> None:
        """Sends a request; does not wait for the answer."""
        await self.call.write(WatchRequest(add=add, drop=drop))

    async def read(self) -> WatchResponse:
        """The next answer. Raises AioRpcError if the stream has failed, and EOFError if it has ended."""
        async with asyncio.timeout(SECONDS):
            answer = await self.call.read()
        if not isinstance(answer, WatchResponse):
            raise EOFError
        self.epoch = answer.epoch
        self.ended.update(
            (topic.id, ErrorReason.Name(topic.reason).removeprefix("ERROR_REASON_")) for topic in answer.ended_topics
        )
        for topic in answer.ended_topics:
            self.positions.pop(topic.id, None)
        self.events.extend(answer.events)
        concerned = list(answer.live_topic_ids or answer.topic_ids or self.positions)
        self.positions.update(dict.fromkeys(concerned, answer.position))
        return answer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Reads until something is true."""
        while not condition():
            await self.read()

    async def drain(self) -> None:
        """Reads until the stream fails."""
        while True:
            await self.read()

    async def follow(self, *topics: WatchTopic) -> None:
        """Adds topics; returns when each is live or refused."""
        for topic in topics:
            self.ended.pop(topic.id, None)
        await self.ask(*topics)
        await self.until(lambda: all(topic.id in {**self.positions, **self.ended} for topic in topics))

    async def refused(self, topic: WatchTopic) -> str:
        """Why a topic is refused."""
        await self.follow(topic)
        return self.ended[topic.id]

    async def next(self, count: int = 1) -> list[Event]:
        """The events that come next, so many; there must not be more in the last answer."""
        known = len(self.events)
        await self.until(lambda: len(self.events) >= known + count)
        assert len(self.events) == known + count, self.events[known:]
        return [watched.event for watched in self.events[known:]]

    async def ends(self, topic_id: int = 1) -> str:
        """Why a topic ends."""
        await self.until(lambda: topic_id in self.ended)
        return self.ended[topic_id]

    def kinds(self, topic_id: int | None = None) -> list[str | None]:
        """What has come, for a topic or for all."""
        return [
            watched.event.WhichOneof("change")
            for watched in self.events
            if topic_id is None or topic_id in watched.topic_ids
        ]


@asynccontextmanager
async def watching(
    where: Cluster | EventServiceAsyncStub, metadata: Metadata, *topics: WatchTopic
) -> AsyncIterator[Stream]:
    """A stream that follows the topics, cancelled at the end."""
    stub = where.events if isinstance(where, Cluster) else where
    for tries_left in range(5, -1, -1):
        call = cast("Any", stub).Watch(metadata=metadata)
        stream = Stream(call)
        try:
            if topics:
                await stream.follow(*topics)
            break
        except BaseException as error:
            call.cancel()
            # gRPC's client forgets why it was refused if it is told so in the middle of its first write.
            if "Internal error from Core" not in str(error) or not tries_left:
                raise
    try:
        yield stream
    finally:
        call.cancel()


def said(event: Event) -> str:
    """What the message of an event says; empty for a tombstone."""
    message = event.message_edited.message if event.HasField("message_edited") else event.message_sent.message
    return "".join(part.content for part in message.parts)
