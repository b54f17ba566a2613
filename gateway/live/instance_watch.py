"""The events of one instance: one stream from the message service, spread to whoever follows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event
from roomline.v1.event_service_pb2 import WatchRequest, WatchResponse, WatchTopic

from gateway.live.happening import Happening
from gateway.live.lasting_stream import LastingStream
from services.common.backoff import Backoff
from services.common.errors import RoomlineError, failure_of

if TYPE_CHECKING:
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub

    from gateway.live.follower import Follower
    from services.common.tokens import ServiceTokens

log = structlog.get_logger()

TOPIC = 1
"""The only topic of the stream: the instance."""

_Topic = tuple[str, str]


class InstanceWatch:
    """Follows the log of an instance, without gaps and repeats over lost streams, and typing beside it.

    `ended` is called when the subscriptions of the instance have to begin anew, or are over, with the reason.
    """

    def __init__(
        self,
        instance_id: str,
        events: EventServiceAsyncStub,
        tokens: ServiceTokens,
        ended: Callable[[RoomlineError], None],
        backoff: Backoff,
    ) -> None:
        self.instance_id = instance_id
        self.position = 0
        """How far it has come."""
        self.era = 0
        """Rises when `ended` is called: what was followed before has a gap after it."""
        self._events = events
        self._tokens = tokens
        self._ended = ended
        self._lasting = LastingStream("events", instance_id, backoff)
        self._epoch = ""
        self._live = asyncio.Event()
        self._newest = Happening(Event())
        self._followers: dict[_Topic, dict[Follower, None]] = {}
        self._topics: dict[Follower, set[_Topic]] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def begin(self) -> Happening:
        """Returns when nothing is missed from here on: the newest event so far, from which `follow` goes on.

        What is read from the services after this includes all that is not followed from it.
        """
        await self._live.wait()
        return self._newest

    def follow(
        self, follower: Follower, since: Happening, rooms: Iterable[str] = (), users: Iterable[str] = ()
    ) -> None:
        """Tells a new follower of the events of rooms and users, beginning with those after `since`.

        Of the events in the log it gets those after `follower.after`; typing only from now on.
        """
        self._topics[follower] = set()
        for room_id in rooms:
            self.follow_room(follower, room_id)
        for user_id in users:
            self._add(follower, ("user", user_id))
        missed = since.later
        while missed is not None and follower in self._topics:
            if missed.position > follower.after and any(follower in group for group in self._groups(missed)):
                follower.receive(missed)
            missed = missed.later

    def follow_room(self, follower: Follower, room_id: str) -> None:
        """Tells a follower of the events of one room more, from now on."""
        self._add(follower, ("room", room_id))

    def follow_user(self, follower: Follower, user_id: str) -> None:
        """Tells a follower of the events of one user more, from now on."""
        self._add(follower, ("user", user_id))

    def unfollow_room(self, follower: Follower, room_id: str) -> None:
        """Tells a follower nothing more of the room; fine if it does not follow it."""
        topic = ("room", room_id)
        if topic in self._topics.get(follower, ()):
            self._topics[follower].remove(topic)
            self._remove(follower, topic)

    def unfollow(self, follower: Follower) -> None:
        """Tells a follower nothing more; fine if it is none."""
        for topic in self._topics.pop(follower, ()):
            self._remove(follower, topic)

    async def reached(self, position: int) -> None:
        """Returns when all events up to the position have been told."""
        if position > self.position:
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((position, reached))
            await reached

    async def run(self) -> None:
        """Works until cancelled; a stream that is lost is resumed where it ended."""
        await self._lasting.run(self._read)

    async def _read(self) -> bool:
        """Takes a stream's answers, until it or its topic ends. Raises AioRpcError if it ends badly."""
        topic = WatchTopic(id=TOPIC, instance=True)
        if self._epoch:
            topic.after_position = self.position
            topic.epoch = self._epoch
        call: Any = self._events.Watch(metadata=self._tokens.metadata(self.instance_id), wait_for_ready=True)
        try:
            await call.write(WatchRequest(add=[topic]))
            while (answer := await call.read()) is not grpc.aio.EOF:
                self._take(answer)
                self._lasting.answered()
                if answer.ended_topics:
                    reason: ErrorReason.ValueType = answer.ended_topics[0].reason
                    self._begin_anew(reason)
                    return reason == ErrorReason.ERROR_REASON_INSTANCE_RESET
        except grpc.aio.AioRpcError as error:
            if failure_of(error).reason == ErrorReason.ERROR_REASON_CURSOR_EXPIRED:
                self._begin_anew(ErrorReason.ERROR_REASON_CURSOR_EXPIRED)
            raise
        finally:
            call.cancel()
        return False

    def _take(self, answer: WatchResponse) -> None:
        for watched in answer.events:
            self._tell(Happening(watched.event))
        self.position = max(self.position, answer.position)
        self._epoch = answer.epoch or self._epoch
        if TOPIC in answer.live_topic_ids:
            self._live.set()
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for position, reached in waiting:
                if position > self.position:
                    self._waiting.append((position, reached))
                elif not reached.done():
                    reached.set_result(None)

    def _tell(self, happening: Happening) -> None:
        if happening.position:
            if happening.position <= self.position:
                return
            self.position = happening.position
        self._newest.later = happening
        self._newest = happening
        for follower in dict.fromkeys(itertools.chain(*self._groups(happening))):
            if follower not in self._topics or 0 < happening.position <= follower.after:
                continue
            try:
                follower.receive(happening)
            except Exception as error:  # what one cannot take is no reason to keep it from the others
                log.error("delivery_failed", instance=self.instance_id, kind=happening.kind, exc_info=error)

    def _groups(self, happening: Happening) -> Iterable[dict[Follower, None]]:
        """Who follows the users, then who follows the rooms: a user learns of leaving before what that ends."""
        for user_id in happening.concerned.users:
            yield self._followers.get(("user", user_id), _NOBODY)
        for room_id in happening.concerned.rooms:
            yield self._followers.get(("room", room_id), _NOBODY)

    def _begin_anew(self, reason: ErrorReason.ValueType) -> None:
        self._epoch = ""
        self.position = 0
        self._live.clear()
        self.era += 1
        self._ended(RoomlineError(reason))

    def _add(self, follower: Follower, topic: _Topic) -> None:
        self._topics[follower].add(topic)
        self._followers.setdefault(topic, {})[follower] = None

    def _remove(self, follower: Follower, topic: _Topic) -> None:
        group = self._followers[topic]
        del group[follower]
        if not group:
            del self._followers[topic]


_NOBODY: dict[Follower, None] = {}
