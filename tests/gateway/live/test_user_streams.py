"""What happens to users, over real services: to each his own, once, whatever breaks (faults 3, 6, 24, 25)."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from gateway.live.happening import Happening
from gateway.live.user_stream import Following, Place, UserListener
from gateway.live.user_streams import NEAR, UserStreams
from services.common.backoff import Backoff
from services.common.channels import connect
from services.common.errors import RoomlineError
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from services.message.server import build_server as build_message_server
from tests.support.cluster import SERVICE_SECRET, Cluster, running_cluster
from tests.support.talker import Talker

SECONDS = 30


class Listener(UserListener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: Place | None = None
        self.place = Place("", -1)
        self.events: list[Event] = []
        self.lost = 0
        self.ended: RoomlineError | None = None
        self._changed = asyncio.Event()

    def begin(self, place: Place) -> None:
        assert self.begun is None, "begins twice"
        assert not self.events
        self.begun = self.place = place
        self._changed.set()

    def tell(self, happening: Happening, epoch: str) -> None:
        assert self.begun is not None
        if happening.position:
            assert happening.position > self.place.position, "comes twice"
            self.place = Place(epoch, happening.position)
        self.events.append(happening.event)
        self._changed.set()

    def reach(self, place: Place) -> None:
        assert place.position >= self.place.position, "goes back"
        self.place = place
        self._changed.set()

    def lose(self, place: Place) -> None:
        self.lost += 1
        self.place = place
        self._changed.set()

    def end(self, error: RoomlineError) -> None:
        assert self.ended is None, "ends twice"
        self.ended = error
        self._changed.set()

    @property
    def kinds(self) -> list[str | None]:
        return [event.WhichOneof("change") for event in self.events]

    @property
    def texts(self) -> list[str]:
        sent = (event.message_sent.message for event in self.events if event.HasField("message_sent"))
        return [part.content for message in sent for part in message.parts]

    async def loses(self) -> None:
        """Waits until something is lost."""
        await self.until(lambda: self.lost)

    async def at_least(self, count: int) -> list[Event]:
        """All events so far, at least so many."""
        await self.until(lambda: len(self.events) >= count)
        return self.events

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Preparing:
    """What a stream does before it tells of events."""

    def __init__(self) -> None:
        self.failures = 0
        self.failed = asyncio.Event()

    async def __call__(self, events: Sequence[Event]) -> None:
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise ZeroDivisionError(len(events))


class House:
    """Streams, and who follows them."""

    def __init__(self, streams: UserStreams) -> None:
        self.streams = streams
        self.followings: dict[Listener, Following] = {}

    async def follow(self, user_id: str, after: Place | None = None) -> Listener:
        """Somebody who has begun, or is not allowed to."""
        listener = Listener()
        async with asyncio.timeout(SECONDS):
            self.followings[listener] = await self.streams.follow(user_id, after, listener)
        await listener.until(lambda: listener.begun or listener.ended)
        return listener

    def leave(self, listener: Listener) -> None:
        self.streams.leave(self.followings[listener])


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, watch_heartbeat_seconds=0.2) as running:
        await running.add_users("ann", "bob", "eve")
        yield running


@pytest.fixture
def preparing() -> Preparing:
    return Preparing()


@pytest.fixture
async def house(cluster: Cluster, preparing: Preparing) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(connect(cluster.settings.message_address, cluster.settings))
        tokens = ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "gateway")
        streams = UserStreams("one", EventServiceStub(channel), tokens, preparing, Backoff(0.01, 0.1))
        stack.push_async_callback(streams.close)
        yield House(streams)


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


async def restart(cluster: Cluster, *, restored: bool = False) -> None:
    """Restarts the message service; on a database that was restored from a backup, as it says itself."""
    await cluster.message_server.stop()
    if restored:
        with contextlib.closing(sqlite3.connect(cluster.settings.data_dir / "message.db")) as connection, connection:
            connection.execute("UPDATE epochs SET id = ?", ("f" * 32,))
    cluster.message_server = build_message_server(cluster.settings, cluster.clock)
    await cluster.message_server.start(cluster.settings.message_address)


async def test_to_each_his_own(house: House, bob: Talker, ann: Talker) -> None:
    hers, his, theirs = [await house.follow(user_id) for user_id in ("ann", "bob", "eve")]
    den, hall = await bob.opened("ann"), await bob.opened("eve")
    message = await bob.send(den, "to ann")
    await bob.send(hall, "to eve")
    await ann.hide(message.uid)
    await bob.send(den, "last")
    await bob.send(hall, "last")
    await his.until(lambda: his.texts.count("last") == 2)
    assert his.kinds == ["room_created"] * 2 + ["message_sent"] * 4
    await hers.until(lambda: "last" in hers.texts)
    assert hers.kinds == ["room_created", "message_sent", "message_hidden", "message_sent"]
    await theirs.until(lambda: "last" in theirs.texts)
    assert theirs.texts == ["to eve", "last"]


async def test_each_learns_only_of_his_own_rooms_of_who_is_deleted(
    cluster: Cluster, house: House, bob: Talker, ann: Talker
) -> None:
    den, hall = await bob.opened("ann"), await bob.opened("eve")
    both = await ann.opened("bob", "eve")
    hers, theirs = await house.follow("ann"), await house.follow("eve")
    await cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=cluster.as_server())
    for listener, room in ((hers, den), (theirs, hall)):
        (event,) = await listener.at_least(1)
        assert set(event.user_deleted.room_uids) == {room, both}


async def test_a_service_that_restarts_is_not_noticed(cluster: Cluster, house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    early = await house.follow("ann")
    await bob.send(room, "one")
    await early.until(lambda: early.texts == ["one"])
    place = early.place
    await restart(cluster)
    late = await house.follow("ann", place)
    for word in ("two", "three"):
        await bob.send(room, word)
    await early.until(lambda: early.texts == ["one", "two", "three"])
    await late.until(lambda: late.texts == ["two", "three"])


async def test_a_restored_backup_is_a_new_beginning_for_all(cluster: Cluster, house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    listeners = [await house.follow(user_id) for user_id in ("ann", "bob")]
    before = listeners[0].place
    await restart(cluster, restored=True)
    for listener in listeners:
        await listener.loses()
        assert listener.place.epoch == "f" * 32
    await bob.send(room, "new")
    listeners.append(await house.follow("ann", before))
    for listener in listeners[:2]:
        await listener.at_least(1)
        assert (listener.texts, listener.lost) == (["new"], 1)
    assert (listeners[2].texts, listeners[2].lost) == ([], 1)


async def test_what_could_not_be_prepared_comes_a_moment_later(house: House, preparing: Preparing, bob: Talker) -> None:
    room = await bob.opened("ann")
    listener = await house.follow("ann")
    preparing.failures = 3
    await bob.send(room, "one")
    await asyncio.wait_for(preparing.failed.wait(), SECONDS)
    await bob.send(room, "two")
    await listener.until(lambda: len(listener.texts) == 2)
    assert listener.texts == ["one", "two"]


async def test_those_far_behind_catch_up_and_stay(house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    first = await house.follow("ann")
    assert first.begun is not None
    words = [str(number) for number in range(NEAR + 100)]
    for word in words[:-20]:
        await bob.send(room, word)
    await first.until(lambda: len(first.texts) == len(words) - 20)
    late = [await house.follow("ann", Place(first.begun.epoch, first.begun.position + number)) for number in (0, 7)]
    fresh = await house.follow("ann")
    for word in words[-20:]:
        await bob.send(room, word)
    for listener, expected in zip((first, *late, fresh), (words, words, words[7:], words[-20:]), strict=True):
        await listener.at_least(len(expected))
        assert listener.texts == expected


async def test_the_place_of_the_silent_moves_on(house: House, bob: Talker) -> None:
    room = await bob.opened("eve")
    listener = await house.follow("ann")
    begun = listener.place
    await bob.send(room)
    await listener.until(lambda: listener.place.position > begun.position)
    assert listener.events == []


async def test_who_cannot_go_on_begins_anew(house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    await bob.send(room, "missed")
    epoch = (await house.follow("ann")).place.epoch
    for place in (Place("0" * 32, 1), Place(epoch, 10**6)):
        listener = await house.follow("ann", place)
        await bob.send(room, "new")
        await listener.at_least(1)
        assert (listener.texts, listener.lost) == (["new"], 1)


async def test_who_leaves_is_told_nothing_more(house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    gone, stays = await house.follow("ann"), await house.follow("ann")
    house.leave(gone)
    house.leave(gone)
    await bob.send(room)
    await stays.until(lambda: stays.events)
    assert gone.events == []


async def test_users_end(cluster: Cluster, house: House, bob: Talker) -> None:
    nobody = await house.follow("nobody")
    hers, his = await house.follow("ann"), await house.follow("bob")
    await cluster.users.DeleteUser(DeleteUserRequest(id="ann"), metadata=cluster.as_server())
    await hers.until(lambda: hers.ended)
    for listener in (nobody, hers):
        assert listener.ended is not None
        assert listener.ended.reason == ErrorReason.ERROR_REASON_USER_NOT_FOUND
    await bob.opened("eve")
    await his.until(lambda: his.kinds == ["room_created"])


async def test_a_reset_ends_all(cluster: Cluster, house: House, bob: Talker) -> None:
    await bob.opened("ann")
    listener = await house.follow("ann")
    await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())
    await listener.until(lambda: listener.ended)
    assert listener.ended is not None
    assert listener.ended.reason == ErrorReason.ERROR_REASON_INSTANCE_RESET
