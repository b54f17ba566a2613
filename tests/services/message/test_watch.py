"""What `EventService.Watch` sends, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from roomline.v1.event_service_pb2 import ReportTypingRequest, WatchRequest, WatchResponse, WatchTopic
from roomline.v1.instance_service_pb2 import ResetInstanceRequest

from services.common.call import Level
from services.message import feed, watcher
from tests.services.message.desk import until
from tests.services.message.stream import SECONDS, said, watching
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker

INSTANCE = WatchTopic(id=1, instance=True)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, clock=ShiftedClock(), watch_heartbeat_seconds=0.2) as running:
        await running.add_users("bob", "ann", "eve")
        yield running


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


async def test_everything_that_happens_comes_once_in_order(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    async with watching(cluster, cluster.as_server(), INSTANCE) as stream:
        assert (stream.positions, bool(stream.epoch)) == ({1: 0}, True)
        room = await bob.opened("ann", "eve")
        first = await bob.send(room, "one")
        await bob.edit(first.uid, "two")
        await ann.mark(room, first.uid)
        await ann.hide(first.uid)
        await bob.unsend(first.uid)
        await ann.leave(room)
        await bob.invite(room, "ann")
        await stream.until(lambda: len(stream.events) >= 8)
    kinds = ["room_created", "message_sent", "message_edited", "cursor_set", "message_hidden", "message_deleted"]
    assert stream.kinds(1) == [*kinds, "members_removed", "members_added"]
    assert [watched.event.position for watched in stream.events] == list(range(1, 9))
    assert stream.positions == {1: 8}


async def test_a_stream_has_headers_before_anything_is_sent_on_it(cluster: Cluster) -> None:
    call = cluster.events.Watch(metadata=cluster.as_server())
    async with asyncio.timeout(SECONDS):
        await call.initial_metadata()
    await call.write(WatchRequest(add=[INSTANCE]))
    assert isinstance(await call.read(), WatchResponse)
    call.cancel()


async def test_messages_are_sent_as_they_are_now(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    edited, gone, fleeting = [await bob.send(room, word) for word in ("one", "two", "three")]
    await bob.edit(edited.uid, "uno")
    await bob.unsend(gone.uid)
    fleeting = await bob.send(room, "soon gone", seconds=60)
    async with watching(cluster, cluster.as_server(), WatchTopic(id=1, instance=True, after_position=0)) as stream:
        events = await stream.next(7)
    sent = [event for event in events if event.HasField("message_sent")]
    assert [said(event) for event in sent] == ["uno", "", "three", "soon gone"]
    assert [event.message_sent.message.HasField("unsent_at") for event in sent] == [False, True, False, False]
    clock = cluster.clock
    assert isinstance(clock, ShiftedClock)
    clock.advance(61)
    async with watching(cluster, cluster.as_server(), WatchTopic(id=1, instance=True, after_position=6)) as stream:
        (event, *_) = await stream.next(1)
    tombstone = event.message_sent.message
    assert (tombstone.uid, tombstone.HasField("unsent_at"), len(tombstone.parts)) == (fleeting.uid, True, 0)


async def test_each_topic_gets_what_is_its_own(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    den, hall = await bob.opened("ann"), await bob.opened("eve")
    topics = (
        *(WatchTopic(id=1, user_id="ann"), WatchTopic(id=2, room_uid=den), WatchTopic(id=3, room_uid=hall)),
        WatchTopic(id=4, instance=True),
    )
    async with watching(cluster, cluster.as_server(), *topics) as stream:
        first = await bob.send(den)
        await bob.send(hall)
        await bob.mark(den, first.uid)
        await ann.mark(den, first.uid)
        await ann.hide(first.uid)
        await stream.until(lambda: len(stream.events) >= 5)
    assert [list(watched.topic_ids) for watched in stream.events] == [[1, 2, 4], [3, 4], [2, 4], [1, 2, 4], [1, 4]]


async def test_topics_come_and_go(cluster: Cluster, bob: Talker) -> None:
    den, hall = await bob.opened("ann"), await bob.opened("eve")
    async with watching(cluster, bob.metadata, WatchTopic(id=1, room_uid=den)) as stream:
        await stream.ask(WatchTopic(id=2, room_uid=hall), drop=(1, 77))
        await stream.until(lambda: 2 in stream.positions)
        await bob.send(den)
        await bob.send(hall)
        await stream.next()
        assert stream.kinds(2) == ["message_sent"]
        # An id that is free again may name something else.
        await stream.follow(WatchTopic(id=1, user_id="bob"))
        await bob.send(den)
        await stream.next()
        assert stream.kinds(1) == ["message_sent"]


async def test_a_topic_that_begins_earlier_catches_up(cluster: Cluster, bob: Talker) -> None:
    den, hall = await bob.opened("ann"), await bob.opened("eve")
    for number in range(600):
        await bob.send(den if number % 2 else hall, str(number))
    async with watching(cluster, bob.metadata, WatchTopic(id=1, room_uid=den)) as stream:
        await stream.follow(WatchTopic(id=2, room_uid=hall, after_position=2))
        await bob.send(den, "new")
        await stream.until(lambda: stream.kinds(1) == ["message_sent"])
    assert [said(watched.event) for watched in stream.events] == [*(str(number) for number in range(0, 600, 2)), "new"]
    assert stream.positions == {1: 603, 2: 603}


async def test_the_end_of_requests_is_not_the_end(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    async with watching(cluster, bob.metadata, WatchTopic(id=1, room_uid=room)) as stream:
        await stream.call.done_writing()
        for _ in range(3):  # signs of life too
            await bob.send(room)
            await stream.next()
            assert not (await stream.read()).events
    async with watching(cluster, bob.metadata) as stream:
        await stream.call.done_writing()  # as if it had sent an empty message
        answer = await stream.read()
        assert (answer.position, answer.epoch != "", list(answer.ended_topics)) == (4, True, [])


async def test_typing_comes_beside_the_log(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann", "eve")
    topics = (WatchTopic(id=1, room_uid=room), WatchTopic(id=2, user_id="ann"))
    async with watching(cluster, ann.metadata, *topics) as stream:
        await cluster.events.ReportTyping(ReportTypingRequest(room_uid=room), metadata=bob.metadata)
        (event,) = await stream.next()
        assert (event.user_typed.user_id, event.user_typed.room_uid, event.position) == ("bob", room, 0)
        assert (stream.kinds(1), stream.kinds(2)) == (["user_typed"], ["user_typed"])
        assert set(stream.positions.values()) == {1}
        await Talker.user(cluster, "eve").leave(room)
        await stream.next()
        with refuses("ROOM_NOT_FOUND"):  # private
            await cluster.events.ReportTyping(ReportTypingRequest(room_uid=room), metadata=cluster.as_user("eve"))
        with refuses("ACTOR_REQUIRED"):
            await cluster.events.ReportTyping(ReportTypingRequest(room_uid=room), metadata=cluster.as_server())
        with refuses("NOT_A_MEMBER"):
            await cluster.events.ReportTyping(ReportTypingRequest(room_uid=room), metadata=cluster.as_server("eve"))
        await bob.send(room)
        assert (await stream.next())[0].HasField("message_sent")


async def test_a_reset_ends_every_topic(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    topics = (WatchTopic(id=1, room_uid=room), WatchTopic(id=2, user_id="bob"), WatchTopic(id=3, instance=True))
    async with watching(cluster, cluster.as_server(), *topics) as stream:
        before = dict(stream.positions)
        await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())
        await stream.until(lambda: len(stream.ended) == 3)
        assert set(stream.ended.values()) == {"INSTANCE_RESET"}
        assert not stream.events
        # Positions go on rising, and those from before count no more.
        stale = WatchTopic(id=4, instance=True, after_position=before[3], epoch=stream.epoch)
        assert await stream.refused(stale) == "CURSOR_EXPIRED"
        await stream.follow(INSTANCE)
        assert stream.positions[1] > before[3]
        await cluster.add_users("bob", "ann")
        await bob.opened("ann")
        assert (await stream.next())[0].HasField("room_created")


async def test_a_server_that_stops_ends_its_streams(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    async with (
        watching(cluster, bob.metadata, WatchTopic(id=1, room_uid=room)) as one,
        watching(cluster, cluster.as_server(), INSTANCE) as other,
    ):
        stopping = asyncio.create_task(cluster.message_server.stop())
        for stream in (one, other):
            with refuses("SHUTTING_DOWN"):
                await stream.drain()
        async with asyncio.timeout(SECONDS):
            await stopping


async def test_a_stream_has_so_many_topics(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "MAX_TOPICS", 3)
    topics = [WatchTopic(id=number, instance=True) for number in range(4)]
    async with watching(cluster, cluster.as_server(), *topics) as stream:
        assert (stream.ended, set(stream.positions)) == ({3: "QUOTA_EXCEEDED"}, {0, 1, 2})
        await stream.ask(topics[3], drop=(0,))
        await stream.until(lambda: set(stream.positions) >= {1, 2, 3})
        await Talker.server(cluster, "bob").opened("ann")
        await stream.next()
        assert list(stream.events[0].topic_ids) == [1, 2, 3]


async def test_one_caller_has_so_many_streams(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feed.MAX_STREAMS, Level.USER, 2)
    bob, topic = cluster.as_user("bob"), WatchTopic(id=1, user_id="bob")
    async with watching(cluster, bob, topic):
        async with watching(cluster, bob, topic):
            with refuses("QUOTA_EXCEEDED", quota="streams"):
                async with watching(cluster, bob, topic):
                    pass
            async with watching(cluster, cluster.as_user("ann"), WatchTopic(id=1, user_id="ann")):
                pass

        async def again() -> bool:
            try:
                async with watching(cluster, bob, topic):
                    return True
            except grpc.aio.AioRpcError:
                return False

        await until(again)  # the server learns a moment later that a stream is gone


@pytest.mark.parametrize(
    ("topics", "field"),
    [
        ([WatchTopic(id=1)], "add[0].topic"),
        ([WatchTopic(id=1, instance=False)], "add[0].instance"),
        ([WatchTopic(id=1, room_id="")], "add[0].room_id"),
        ([WatchTopic(id=1, user_id="x" * 161)], "add[0].user_id"),
        ([WatchTopic(id=1, room_uid="x" * 37)], "add[0].room_uid"),
        ([WatchTopic(id=1, user_id="bob"), WatchTopic(id=1, user_id="bob")], "add[1].id"),
        ([WatchTopic(id=1, user_id="bob", after_position=-1)], "add[0].after_position"),
        ([WatchTopic(id=1, user_id="bob", epoch="x" * 65)], "add[0].epoch"),
        ([WatchTopic(id=number, user_id="bob") for number in range(1001)], "add"),
    ],
)
async def test_requests_without_sense_end_the_stream(cluster: Cluster, topics: list[WatchTopic], field: str) -> None:
    for earlier in ((), (WatchTopic(id=7, user_id="bob"),)):  # in the first message, and in a later one
        async with watching(cluster, cluster.as_user("bob"), *earlier) as stream:
            await stream.ask(*topics)
            reason = "FIELD_REQUIRED" if field in {"add[0].topic", "add[0].room_id"} else "FIELD_INVALID"
            with refuses(reason, field=field):
                await stream.drain()
