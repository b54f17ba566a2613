"""The log, told to those that must miss nothing (faults 23, 24 and 25)."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
import structlog
from roomline.v1.message_service_pb2 import DeleteMessageRequest, EditMessageRequest

from services.common.backoff import Backoff
from services.message import log_reader, sqlite_log_readers
from services.message.log_reader import Finished, LogReaders, NotNow, Piece
from services.message.log_reader_store import Progress
from services.message.sqlite_log_readers import SqliteLogReaders
from tests.stores.conftest import SERVER, Stores, text
from tests.stores.log_listener import Listener, begin, progress, reading


def fail_to_read(stores: Stores, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    read, failures = stores.log.read, iter(range(times))

    async def fail(*arguments: int) -> object:
        if next(failures, None) is not None:
            raise OSError("no disk")
        return await read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stores.log, "read", fail)


async def test_it_begins_with_what_comes_next(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await begin(stores)
    await begin(stores)
    listener = Listener()
    async with reading(stores, listener):
        await stores.send("x", "bob", "hello")
        await listener.until(lambda: listener.positions == [2])
        await stores.send("x", "bob", "again")
        await listener.until(lambda: listener.positions == [2, 3])
    assert listener.texts == ["hello", "again"]
    assert [(piece.after, piece.end, piece.lost) for piece in listener.pieces] == [(1, 2, 0), (2, 3, 0)]
    assert listener.pieces[0].epoch == (await stores.log.open(SERVER, ())).epoch


async def test_changes_of_the_same_commit_that_come_after_it_are_told(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    _, _, sent = await asyncio.gather(stores.send("x", "bob"), begin(stores), stores.send("x", "bob", "after"))
    listener = Listener()
    async with reading(stores, listener):
        await listener.until(lambda: listener.texts == ["after"])
    assert listener.pieces[0].entries[0].message_id == sent.id


async def test_what_happened_while_nobody_read_is_told_in_pieces_and_in_order(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "BATCH_EVENTS", 4)
    await begin(stores)
    await stores.room("bob", room_id="x")
    for number in range(10):
        await stores.send("x", "bob", str(number))
    listener = Listener()
    async with reading(stores, listener) as (_, store):
        await store.until(11)
    assert listener.positions == [*range(1, 12)]
    assert [len(piece.entries) for piece in listener.pieces] == [4, 4, 3]
    again = Listener()
    async with reading(stores, again):
        await stores.send("x", "bob")
        await again.until(lambda: again.positions == [12])


async def test_a_piece_is_repeated_in_the_same_bounds_also_after_a_restart(stores: Stores) -> None:
    def later(_: Piece) -> None:
        raise NotNow("busy")

    await begin(stores)
    await stores.room("bob", room_id="x")
    await stores.send("x", "bob", "one")
    listener = Listener()
    listener.behave = later
    async with reading(stores, listener):
        await listener.until(lambda: len(listener.tries) == 1)
        await stores.send("x", "bob", "two")
        await listener.until(lambda: len(listener.tries) == 3)
    found = await progress(stores)
    assert (found.position, found.batch_end, found.problem, found.failing_since) == (0, 2, "busy", stores.clock())
    again = Listener()
    async with reading(stores, again) as (_, store):
        await store.until(3)
    assert again.texts == ["one", "two"]
    found = await progress(stores)
    assert {*listener.tries} == {(0, 2)}
    assert again.tries == [(0, 2), (2, 3)]
    assert (found.batch_end, found.problem, found.failing_since, found.told_at) == (0, "", None, stores.clock())


async def test_what_was_deleted_before_it_could_be_told_is_told_without_content(stores: Stores) -> None:
    def later(_: Piece) -> None:
        raise NotNow("busy")

    await stores.room("bob", room_id="x")
    await begin(stores)
    message = await stores.send("x", "bob", "secret")
    listener = Listener()
    listener.behave = later
    async with reading(stores, listener):
        await listener.until(lambda: bool(listener.tries))
        await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=message.id))
        listener.behave = lambda _: None
        await listener.until(lambda: listener.positions == [2, 3])
    assert listener.texts == []
    entry = listener.pieces[0].entries[0]
    assert entry.message is not None
    assert entry.message.HasField("unsent_at")


async def test_pauses_double_and_a_longer_one_can_be_asked_for(stores: Stores) -> None:
    moments: list[float] = []

    def later(_: Piece) -> None:
        moments.append(time.monotonic())
        if len(moments) < 5:
            raise NotNow("busy", 0.3 if len(moments) == 4 else 0)

    await begin(stores)
    await stores.room("bob")
    listener = Listener()
    listener.behave = later
    store = SqliteLogReaders(stores.database, stores.clock)
    async with LogReaders(store, stores.log, Backoff(0.05, 0.3), chance=lambda: 0.0) as readers:
        await readers.follow(listener)
        await listener.until(lambda: bool(listener.pieces))
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # Half of 0.05, 0.1 and 0.2, since chance has it so; then what was asked for.
    assert all(pause >= least for pause, least in zip(pauses, (0.025, 0.05, 0.1, 0.3), strict=True))


async def test_one_that_ends_and_begins_anew_at_once_is_told_the_log(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is woken while the reader has found nobody to tell the log, and has not ended yet."""
    await stores.room("bob", room_id="x")
    listener = Listener()
    async with reading(stores, listener) as (readers, store):
        find = store.progress
        looked = asyncio.Event()

        async def find_and_begin(instance_id: str, consumer: str) -> Progress | None:
            found = await find(instance_id, consumer)
            if not looked.is_set():
                looked.set()
                assert found is None
                await begin(stores)
                readers.wake(("one",))
                assert readers.follows("one", listener.name)
            return found

        monkeypatch.setattr(store, "progress", find_and_begin)
        await looked.wait()
        await stores.send("x", "bob")
        await listener.until(lambda: listener.positions == [2])
    assert not readers.follows("one", listener.name)


async def test_one_that_fails_or_hangs_holds_up_no_other(stores: Stores) -> None:
    def later(_: Piece) -> None:
        raise NotNow("down")

    class Stuck(Listener):
        async def take(self, piece: Piece) -> int:
            nothing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            return await nothing

    failing, stuck, good, foreign = Listener("a"), Stuck("b"), Listener("c"), Listener("a", "two")
    failing.behave = later
    await begin(stores, "a", "b", "c")
    await begin(stores, "a", instance_id="two")
    async with reading(stores, failing, stuck, good, foreign):
        await stores.room("bob", room_id="x")
        for number in range(5):
            await stores.send("x", "bob", str(number))
            await good.until(lambda: len(good.positions) == number + 2)  # noqa: B023
    assert (failing.positions, foreign.tries) == ([], [])


async def test_a_restored_log_is_another_one(stores: Stores) -> None:
    await begin(stores)
    await stores.room("bob", room_id="x")
    listener = Listener()
    async with reading(stores, listener):
        await listener.until(lambda: listener.positions == [1])
        await stores.log.renew_epoch(0)
        await stores.send("x", "bob")
        await listener.until(lambda: listener.positions == [1, 2])
    assert listener.pieces[0].epoch != listener.pieces[1].epoch


async def test_whoever_wants_no_more_is_told_no_more(stores: Stores) -> None:
    def enough(_: Piece) -> None:
        raise Finished

    await begin(stores, "a", "b", "c")
    done, gone, left = Listener("a"), Listener("b"), Listener("c")
    done.behave = enough
    async with reading(stores, done, gone, left) as (readers, _):
        await stores.database.write(lambda connection: sqlite_log_readers.end(connection, "one", "b"))
        await readers.leave("one", "c")
        await readers.leave("one", "c")
        await stores.room("bob", room_id="x")
        await done.until(lambda: bool(done.tries))
        await stores.send("x", "bob")
        done.behave = lambda _: None
        await readers.follow(done)
        await readers.follow(done)
        await done.until(lambda: done.positions == [1, 2])
    assert done.tries == [(0, 1), (0, 1), (1, 2)]
    assert gone.tries == left.tries == []


async def test_it_ends_at_once(stores: Stores) -> None:
    class Stuck(Listener):
        async def take(self, piece: Piece) -> int:
            await super().take(piece)
            nothing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            return await nothing

    def later(_: Piece) -> None:
        raise NotNow("down", 3600)

    await begin(stores, "a", "b", "c")
    stuck, waiting, idle = Stuck("a"), Listener("b"), Listener("c")
    waiting.behave = later
    async with asyncio.timeout(20), reading(stores, stuck, waiting, idle):
        await stores.room("bob")
        for listener in (stuck, waiting, idle):
            await listener.until(lambda: bool(listener.tries))  # noqa: B023
    assert not [task for task in asyncio.all_tasks() if "_Reader" in repr(task)]


async def test_a_database_that_fails_is_asked_again(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin(stores)
    await stores.room("bob")
    fail_to_read(stores, monkeypatch, 3)
    listener = Listener()
    with structlog.testing.capture_logs() as logs:
        async with reading(stores, listener):
            await listener.until(lambda: listener.positions == [1])
    assert [entry["event"] for entry in logs] == ["log_reader_failed"] * 3


async def test_a_failure_is_forgotten_when_there_is_nothing_to_tell(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores.room("bob")
    await begin(stores)
    fail_to_read(stores, monkeypatch, 1)
    listener = Listener()
    with structlog.testing.capture_logs():
        async with reading(stores, listener) as (_, store):
            await store.until(1)
    found = await progress(stores)
    assert (found.position, found.problem, found.failing_since) == (1, "", None)
    assert listener.tries == []


async def test_what_has_grown_far_too_much_is_repeated_in_smaller_pieces(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(_: Piece) -> None:
        raise NotNow("busy")

    monkeypatch.setattr(log_reader, "REPEATED_BYTES", 5000)
    monkeypatch.setattr(log_reader, "BATCH_BYTES", 5000)
    await stores.room("bob", room_id="x")
    await begin(stores)
    messages = [await stores.send("x", "bob", "short") for _ in range(3)]
    listener = Listener()
    listener.behave = later
    async with reading(stores, listener):
        await listener.until(lambda: (1, 4) in listener.tries)
        for message in messages:
            await stores.messages.edit(
                SERVER, EditMessageRequest(room_id="x", id=message.id, parts=[text("long" * 1000)])
            )
        listener.behave = lambda _: None
        await listener.until(lambda: listener.positions == [2, 3, 4, 5, 6, 7])
    assert {len(piece.entries) for piece in listener.pieces} == {1}
