"""The hub, with a scripted message service behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_service_pb2_grpc import EventServiceStub

from gateway.live.happening import Happening
from gateway.live.hub import Hub
from gateway.live.instance_watch import InstanceWatch
from services.common.backoff import Backoff
from services.common.errors import RoomlineError
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from tests.gateway.backend import Backend
from tests.gateway.live.script import EPOCH, SECONDS, Listener, Script, sent, typed

AGES = 3600.0


@pytest.fixture
def script(backend: Backend) -> Script:
    script = Script()
    backend.answers["Watch"] = script.watch
    return script


@pytest.fixture
async def channel(backend: Backend) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        yield channel


def new_hub(channel: grpc.aio.Channel, linger_seconds: float = AGES) -> Hub:
    tokens = ServiceTokens(SERVICE_ISSUER, "a-secret-of-the-services", "gateway")
    return Hub(EventServiceStub(channel), tokens, linger_seconds, Backoff(first=0.01, longest=0.01))


@pytest.fixture
async def hub(channel: grpc.aio.Channel) -> AsyncIterator[Hub]:
    hub = new_hub(channel)
    yield hub
    await hub.close()


class Ends:
    """What the hub says when all is over."""

    def __init__(self) -> None:
        self._errors: asyncio.Queue[RoomlineError] = asyncio.Queue()

    def __call__(self, error: RoomlineError) -> None:
        self._errors.put_nowait(error)

    async def next(self) -> ErrorReason.ValueType:
        async with asyncio.timeout(SECONDS):
            return (await self._errors.get()).reason


async def followed(watch: InstanceWatch, after: int = 0, rooms: tuple[str, ...] = ("r",)) -> Listener:
    """A follower of rooms from now on."""
    listener = Listener(after)
    watch.follow(listener, await watch.begin(), rooms)
    return listener


async def test_one_stream_serves_all_who_follow_an_instance(hub: Hub, script: Script, backend: Backend) -> None:
    ends = [Ends(), Ends()]
    watches = [hub.enter("one", end) for end in ends]
    stream = await script.stream()
    assert stream.topic.instance
    assert not stream.topic.HasField("after_position")
    assert str(backend.last.metadata["authorization"]).startswith("Bearer ")
    stream.live(5)
    listeners = [await followed(watch) for watch in watches]
    stream.tell(sent(6), sent(7, "another"), sent(8))
    first, second = [[await listener.next() for _ in range(2)] for listener in listeners]
    assert [happening.position for happening in first] == [6, 8]
    assert first == second, "the same objects"
    assert script.is_done
    assert hub.instance_ids == {"one"}


async def test_instances_have_streams_of_their_own(hub: Hub, script: Script) -> None:
    for instance_id in ("one", "two"):
        hub.enter(instance_id, Ends())
        await script.stream()
    assert hub.instance_ids == {"one", "two"}


async def test_a_lost_stream_is_resumed_without_gap_or_repeat(hub: Hub, script: Script) -> None:
    watch = hub.enter("one", Ends())
    stream = await script.stream()
    stream.live(5)
    listener = await followed(watch)
    stream.tell(sent(6), sent(7))
    for reason in (
        ErrorReason.ERROR_REASON_SHUTTING_DOWN,
        ErrorReason.ERROR_REASON_TOKEN_EXPIRED,
        ErrorReason.ERROR_REASON_INTERNAL,
    ):
        stream.fail(reason)
        stream = await script.stream()
        assert (stream.topic.after_position, stream.topic.epoch) == (watch.position, EPOCH)
        stream.live(watch.position)
        stream.tell(sent(watch.position), sent(watch.position + 1))
        await watch.reached(watch.position + 1)
    assert listener.told() == [6, 7, 8, 9, 10]


async def test_whoever_opens_misses_nothing_meanwhile(hub: Hub, script: Script) -> None:
    watch = hub.enter("one", Ends())
    stream = await script.stream()
    stream.live(5)
    since = await watch.begin()
    stream.tell(sent(6), typed(), sent(7), sent(8), sent(9, "another"))
    await watch.reached(9)
    listener = Listener(after=7)  # the answer of a service was as of there
    watch.follow(listener, since, ("r",))
    assert listener.told() == [8]
    stream.tell(typed(), sent(10))
    assert [(await listener.next()).kind for _ in range(2)] == ["user_typed", "message_sent"]


async def test_what_an_answer_knew_before_is_not_told(hub: Hub, script: Script) -> None:
    watch = hub.enter("one", Ends())
    stream = await script.stream()
    stream.live(5)
    listener = await followed(watch, after=7)
    stream.tell(sent(6), sent(7), sent(8))
    assert (await listener.next()).position == 8
    assert listener.told() == []


@pytest.mark.parametrize("reason", [ErrorReason.ERROR_REASON_CURSOR_EXPIRED, ErrorReason.ERROR_REASON_INSTANCE_RESET])
async def test_what_cannot_go_on_ends_for_all_and_begins_anew(
    hub: Hub, script: Script, reason: ErrorReason.ValueType
) -> None:
    ends = Ends()
    watch = hub.enter("one", ends)
    stream = await script.stream()
    stream.live(5)
    await watch.begin()
    stream.end_topic(reason)
    assert await ends.next() == reason
    stream = await script.stream()
    assert not stream.topic.HasField("after_position")
    assert stream.topic.epoch == ""
    stream.live(2)
    listener = await followed(watch, after=2)
    stream.tell(sent(3))
    assert (await listener.next()).position == 3


async def test_one_who_fails_keeps_nothing_from_the_others(
    hub: Hub, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Listener):
        def receive(self, happening: Happening) -> None:
            raise ZeroDivisionError

    errors: list[str] = []
    monkeypatch.setattr("gateway.live.instance_watch.log.error", lambda event, **_: errors.append(event))
    watch = hub.enter("one", Ends())
    stream = await script.stream()
    stream.live(5)
    watch.follow(Failing(), await watch.begin(), ("r",))
    listener = await followed(watch)
    stream.tell(sent(6), sent(7))
    assert [(await listener.next()).position for _ in range(2)] == [6, 7]
    assert errors == ["delivery_failed"] * 2


async def test_nobody_who_has_left_is_told_anything(hub: Hub, script: Script) -> None:
    watch = hub.enter("one", Ends())
    stream = await script.stream()
    stream.live(5)
    gone, stays = [await followed(watch) for _ in range(2)]
    watch.follow_room(stays, "another")
    watch.unfollow(gone)
    watch.unfollow(gone)
    stream.tell(sent(6), sent(7, "another"))
    assert [(await stays.next()).position for _ in range(2)] == [6, 7]
    watch.unfollow_room(stays, "r")
    watch.unfollow_room(stays, "r")
    stream.tell(sent(8), sent(9, "another"))
    assert (await stays.next()).position == 9
    assert gone.told() == []


async def test_an_instance_that_nobody_follows_is_watched_for_a_while(
    channel: grpc.aio.Channel, script: Script
) -> None:
    hub = new_hub(channel, linger_seconds=0.05)
    ends = Ends()
    watch = hub.enter("one", ends)
    stream = await script.stream()
    hub.leave("one", ends)
    assert hub.enter("one", ends) is watch
    hub.leave("one", ends)
    hub.leave("one", ends)
    await asyncio.wait_for(stream.ended.wait(), SECONDS)
    assert hub.instance_ids == set()
    await hub.close()


async def test_what_is_made_of_an_event_is_made_once() -> None:
    happening = Happening(sent(1))
    made = [happening.once("key", object) for _ in range(2)]
    assert made[0] is made[1]
    assert happening.once("another", object) is not made[0]
