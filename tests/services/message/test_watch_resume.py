"""Streams that are cut, that lag, and that resume where the log does not reach any more (fault 25)."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest
from roomline.v1.event_service_pb2 import WatchedEvent, WatchTopic
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest

from services.common.server import SMALL_STREAMS
from services.common.sqlite import Database
from services.message import tail
from services.message.sqlite_events import SqliteEvents
from tests.services.message.desk import Desk, ids_of, linkless, until, urls_of
from tests.services.message.stream import SECONDS, Stream, said, watching
from tests.support.cluster import Cluster, Metadata, running_cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker
from tests.support.tap import Tap

pytestmark = pytest.mark.thorough


CHANCE = random.Random(os.environ.get("ROOMLINE_SEED", "watch"))  # noqa: S311 - a failure can be repeated
MESSAGES = 1500
SENDERS = 8


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path) as running:
        await running.add_users("bob", "ann")
        request = CreateRoomRequest(id="den", name="den", private=True, user_ids=["ann"])
        await running.rooms.CreateRoom(request, metadata=running.as_user("bob"))
        yield running


async def send(cluster: Cluster, content: str) -> None:
    request = SendMessageRequest(room_id="den", parts=[Part(type="text/plain", content=content)])
    await cluster.messages.SendMessage(request, metadata=cluster.as_user("bob"))


async def send_many(cluster: Cluster, count: int) -> None:
    """So many messages, from several senders at once, in no particular order."""
    words = iter(range(count))

    async def sender() -> None:
        for word in words:
            await send(cluster, str(word))

    await asyncio.gather(*(sender() for _ in range(SENDERS)))


def query(cluster: Cluster, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(cluster.settings.data_dir / "message.db", isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


async def cut_and_resumed(cluster: Cluster, metadata: Metadata, topic: WatchTopic, count: int) -> list[int]:
    """The positions of so many events, from a stream that is cut at random and resumed where it was."""
    positions: list[int] = []
    cuts = 0
    while len(positions) < count:
        async with watching(cluster, metadata, topic) as stream:
            for _ in range(CHANCE.randrange(6)):
                if len(positions) + len(stream.events) < count:
                    await stream.read()
            if CHANCE.random() < 0.3 and len(positions) + len(stream.events) < count:
                reading = asyncio.ensure_future(stream.read())  # cut in the middle of an answer
                await asyncio.sleep(0)
                stream.call.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            positions += [watched.event.position for watched in stream.events]
            topic.after_position, topic.epoch = stream.positions[topic.id], stream.epoch
            cuts += 1
    assert cuts > 5
    return positions


@pytest.mark.parametrize("kept", [tail.KEPT_EVENTS, 40], ids=["from memory", "from the log"])
async def test_a_cut_stream_misses_nothing_and_repeats_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(tail, "KEPT_EVENTS", kept)
    watchers = [
        cut_and_resumed(cluster, cluster.as_user("ann"), WatchTopic(id=1, room_id="den", after_position=1), MESSAGES),
        cut_and_resumed(cluster, cluster.as_user("ann"), WatchTopic(id=9, user_id="ann", after_position=1), MESSAGES),
        cut_and_resumed(cluster, cluster.as_server(), WatchTopic(id=5, instance=True, after_position=1), MESSAGES),
    ]
    *found, _ = await asyncio.gather(*watchers, send_many(cluster, MESSAGES))
    for positions in found:
        assert positions == list(range(2, MESSAGES + 2))


async def test_a_slow_reader_lags_and_nobody_waits_for_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "KEPT_EVENTS", 20)
    topic = WatchTopic(id=1, room_id="den", after_position=1)
    async with watching(cluster, cluster.as_user("ann"), topic) as slow:  # it reads nothing for now
        async with watching(cluster, cluster.as_user("ann"), topic) as quick:
            for number in range(60):
                await send(cluster, str(number) + "x" * 5000)
                await quick.next()
        assert not slow.events
        await slow.until(lambda: len(slow.events) == 60)
    assert [said(watched.event) for watched in slow.events] == [f"{number}" + "x" * 5000 for number in range(60)]


async def test_a_thousand_streams_read_the_log_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    read = tail.Tail._load

    async def counted(self: tail.Tail) -> bool:
        nonlocal reads
        reads += 1
        return await read(self)

    monkeypatch.setattr(tail.Tail, "_load", counted)
    topic = WatchTopic(id=1, room_id="den")
    async with watching(cluster, cluster.as_server(), topic) as first:
        streams = [first]
        opened = []
        for _ in range(200):
            opened.append(watching(cluster, cluster.as_server(), topic))
            streams.append(await opened[-1].__aenter__())
        try:
            before = reads
            await send(cluster, "hello")
            assert [said((await stream.next())[0]) for stream in streams] == ["hello"] * len(streams)
            assert reads - before < 50
        finally:
            for one in opened:
                await one.__aexit__(None, None, None)


async def test_positions_that_count_for_nothing(cluster: Cluster) -> None:
    for number in range(5):
        await send(cluster, str(number))
    async with watching(cluster, cluster.as_server(), WatchTopic(id=1, instance=True)) as stream:
        epoch = stream.epoch
        ahead = WatchTopic(id=2, instance=True, after_position=7, epoch=epoch)
        assert await stream.refused(ahead) == "CURSOR_EXPIRED"
        other = WatchTopic(id=2, instance=True, after_position=3, epoch="another")
        assert await stream.refused(other) == "CURSOR_EXPIRED"
        await stream.follow(WatchTopic(id=2, instance=True, after_position=6, epoch=epoch))
        await stream.follow(WatchTopic(id=3, instance=True, after_position=6))
        # As the nightly trimming leaves it.
        query(cluster, "DELETE FROM events WHERE position <= 4")
        query(cluster, "INSERT OR REPLACE INTO log_trims (instance_id, position) VALUES ('one', 4)")
        for position, expired in ((0, True), (3, True), (4, False), (5, False)):
            topic = WatchTopic(id=10 + position, instance=True, after_position=position)
            await stream.follow(topic)
            assert (stream.ended.get(topic.id) == "CURSOR_EXPIRED") == expired, position
        await stream.until(lambda: set(stream.positions.values()) == {6})
        found = [(watched.event.position, topic_id) for watched in stream.events for topic_id in watched.topic_ids]
        assert sorted(found) == [(5, 14), (6, 14), (6, 15)]


@asynccontextmanager
async def stalled(cluster: Cluster, topic: WatchTopic) -> AsyncIterator[Stream]:
    """A stream that has read nothing of 400 messages, so that the server waits for it."""
    async with (
        # Of a reader that does not read, gRPC would else take some MiB off the server's hands.
        grpc.aio.insecure_channel(cluster.settings.message_address, options=SMALL_STREAMS) as channel,
        watching(EventServiceStub(channel), cluster.as_user("ann"), topic) as stream,
    ):
        for number in range(400):
            await send(cluster, f"{number:5000}")
        yield stream


async def test_a_server_stops_though_a_reader_does_not_read(cluster: Cluster) -> None:
    async with stalled(cluster, WatchTopic(id=1, room_id="den")) as slow:
        async with asyncio.timeout(SECONDS):
            await cluster.message_server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await slow.drain()


async def test_a_reader_that_is_overtaken_by_the_trimming_has_to_begin_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "KEPT_EVENTS", 5)
    topic = WatchTopic(id=1, room_id="den")
    async with stalled(cluster, topic) as slow:
        query(cluster, "DELETE FROM events WHERE position <= 390")
        query(cluster, "INSERT OR REPLACE INTO log_trims (instance_id, position) VALUES ('one', 390)")
        assert await slow.ends() == "CURSOR_EXPIRED"
        positions = [watched.event.position for watched in slow.events]
        assert positions == list(range(2, len(positions) + 2))
        assert len(positions) < 390


async def test_events_that_cannot_be_read_are_skipped(cluster: Cluster) -> None:
    for number in range(3):
        await send(cluster, str(number))
    query(cluster, "UPDATE events SET event = x'ffff' WHERE position = 3")
    async with watching(cluster, cluster.as_user("ann"), WatchTopic(id=1, room_id="den", after_position=1)) as stream:
        assert [said(event) for event in await stream.next(2)] == ["0", "2"]
        assert stream.positions == {1: 4}


async def test_attachments_come_with_their_metadata_if_it_can_be_had(desk: Desk) -> None:
    ids = [await desk.reserved(name=name) for name in ("one.png", "two.png")]
    topic = WatchTopic(id=1, room_id="den")
    async with watching(desk.cluster, desk.user("ann"), topic) as stream:
        tap = Tap(desk.cluster.media_server)
        sent = await desk.send(*ids)
        (event,) = await stream.next()
        message = event.message_sent.message
        assert linkless(message) == linkless(await desk.message(sent))
        assert (ids_of(message), urls_of(message)) == (ids, [True, True])
        await desk.send_text()
        await stream.next()
        assert tap.calls["BatchGetAttachments"] == 2  # for the stream, and for the test itself
        position = stream.positions[1] - 2
    await desk.stop_media()
    topic.after_position = position
    async with watching(desk.cluster, desk.user("ann"), topic) as stream:
        first, _ = await stream.next(2)
        message = first.message_sent.message
        assert (ids_of(message), urls_of(message)) == (ids, [False, False])
    await desk.start_media()


async def test_a_media_service_that_hangs_is_left_alone_for_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.message.feed.MEDIA_PATIENCE_SECONDS", -1.0)  # whatever fails has taken too long
    async with watching(desk.cluster, desk.user("ann"), WatchTopic(id=1, room_id="den")) as stream:
        tap = Tap(desk.cluster.media_server)
        tap.lost.add("BatchGetAttachments")
        for _ in range(2):
            await desk.send(await desk.reserved())
            (event,) = await stream.next()
            assert urls_of(event.message_sent.message) == [False]
        assert tap.calls["BatchGetAttachments"] == 1


async def test_a_stream_goes_on_where_it_was_after_a_restart(desk: Desk) -> None:
    topic = WatchTopic(id=1, room_id="den")
    async with watching(desk.cluster, desk.user("ann"), topic) as stream:
        await desk.send_text()
        await stream.next()
        topic.after_position, topic.epoch = stream.positions[1], stream.epoch
        await desk.restart_message()
        with refuses("SHUTTING_DOWN"):
            await stream.drain()
    second = await desk.send_text()
    async with watching(desk.cluster, desk.user("ann"), topic) as stream:
        (event,) = await stream.next()
        assert event.message_sent.message.uid == second.uid
        # A restored backup is another log.
        database = Database(desk.cluster.settings.data_dir / "message.db")
        await database.open()
        await SqliteEvents(database, desk.clock).renew_epoch(0)
        await database.close()
        assert (
            await stream.refused(WatchTopic(id=2, room_id="den", after_position=1, epoch=stream.epoch))
            == "CURSOR_EXPIRED"
        )
        await stream.follow(WatchTopic(id=2, room_id="den"))
        assert stream.epoch != topic.epoch


async def lively(cluster: Cluster, steps: int) -> None:
    """Things that happen to messages, to rooms and to who is in them."""
    talkers = [Talker.user(cluster, user_id) for user_id in ("bob", "ann", "eve")]
    rooms = [await talkers[0].opened("ann"), await talkers[0].opened("ann", "eve"), await talkers[1].opened("eve")]
    sent: list[Message] = []
    for step in range(steps):
        who = CHANCE.choice(talkers)
        try:
            match CHANCE.randrange(10):
                case 0 | 1 | 2 | 3:
                    sent.append(await who.send(CHANCE.choice(rooms), str(step), seconds=CHANCE.choice((None, 0.05))))
                case 4:
                    await who.edit(CHANCE.choice(sent).uid, f"{step} edited")
                case 5:
                    await who.hide(CHANCE.choice(sent).uid)
                case 6:
                    await who.unsend(CHANCE.choice(sent).uid)
                case 7:
                    await who.leave(rooms[1])
                case 8:
                    await CHANCE.choice(talkers).invite(rooms[1], who.user_id)
                case _:
                    await who.mark(CHANCE.choice(rooms), CHANCE.choice(sent).uid)
        except (grpc.aio.AioRpcError, IndexError):
            continue  # not everybody may do everything
    await talkers[0].discard(rooms[0])
    await Talker.server(cluster).unsend((await talkers[1].send(rooms[2])).uid)
    await talkers[1].discard(rooms[2])
    if CHANCE.random() < 0.5:
        await Talker.server(cluster).delete_room(rooms[1])


async def test_what_is_kept_in_memory_is_what_is_in_the_log(cluster: Cluster) -> None:
    await cluster.add_users("eve")
    topics = [
        WatchTopic(id=number, user_id=name, after_position=1) for number, name in enumerate(("bob", "ann", "eve"))
    ]
    topics.append(WatchTopic(id=9, instance=True, after_position=1))
    last = ListMessagesRequest(room_id="den")

    async def history() -> list[WatchedEvent]:
        async with watching(cluster, cluster.as_server(), *topics) as stream:
            end = (await cluster.messages.ListMessages(last, metadata=cluster.as_server())).position
            await stream.until(lambda: set(stream.positions.values()) == {end})
            return stream.events

    async with watching(cluster, cluster.as_server(), WatchTopic(id=1, instance=True)) as keeper:
        await lively(cluster, 300)
        await send(cluster, "the last")
        await keeper.until(lambda: bool(keeper.events) and said(keeper.events[-1].event) == "the last")
        await until(lambda: expired(cluster))
        in_memory = await history()
    in_the_log = await history()
    assert len(in_memory) > 100
    assert in_memory == in_the_log


async def expired(cluster: Cluster) -> bool:
    """Whether all messages whose time is over are wiped."""
    return not query(cluster, "SELECT 1 FROM messages WHERE expires_at IS NOT NULL AND unsent_at IS NULL")
