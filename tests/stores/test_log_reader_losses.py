"""The log, told to those that must miss nothing: what they miss all the same, and how they learn of it (fault 24)."""

from __future__ import annotations

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.message import log_reader
from services.message.log_reader import Piece
from tests.stores.conftest import Stores
from tests.stores.log_listener import Listener, begin, progress, reading


async def test_an_event_that_cannot_be_handled_is_left_out(stores: Stores) -> None:
    def stumble(piece: Piece) -> None:
        if any(entry.position == 3 for entry in piece.entries):
            raise ZeroDivisionError

    await begin(stores)
    await stores.room("bob", room_id="x")
    for number in range(4):
        await stores.send("x", "bob", str(number))
    listener = Listener()
    listener.behave = stumble
    with structlog.testing.capture_logs() as logs:
        async with reading(stores, listener):
            await listener.until(lambda: listener.positions == [1, 2, 4, 5])
            await stores.send("x", "bob")
            await stores.send("x", "bob")
            await listener.until(lambda: listener.positions[4:] == [6, 7])
    assert [entry["end"] for entry in logs if entry["event"] == "event_left_out"] == [3]
    assert listener.tries.count((2, 3)) == log_reader.TRIES
    found = await progress(stores)
    assert (found.lost, found.problem) == (1, "")
    assert [piece.lost for piece in listener.pieces][-2:] == [1, 1]


async def test_what_cannot_be_read_and_what_is_left_out_counts_as_lost(stores: Stores) -> None:
    class Choosy(Listener):
        async def take(self, piece: Piece) -> int:
            return await super().take(piece) + sum(entry.position == 5 for entry in piece.entries)

    await begin(stores)
    await stores.room("bob", room_id="x")
    for number in range(5):
        await stores.send("x", "bob", str(number))
    await stores.database.write(
        lambda connection: connection.execute("UPDATE events SET event = x'ffff' WHERE position IN (1, 3)")
    )
    listener = Choosy()
    with structlog.testing.capture_logs():
        async with reading(stores, listener) as (_, store):
            await store.until(6)
            await stores.send("x", "bob")
            await store.until(7)
    assert [([entry.position for entry in piece.entries], piece.lost) for piece in listener.pieces] == [
        ([2, 4, 5, 6], 0),
        ([7], 3),
    ]
    assert (await progress(stores)).lost == 3


async def test_a_service_that_is_away_is_no_fault_of_an_event(stores: Stores) -> None:
    def ask(_: Piece) -> None:
        if len(listener.tries) <= 2 * log_reader.TRIES:
            raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="user")

    await begin(stores)
    await stores.room("bob")
    listener = Listener()
    listener.behave = ask
    async with reading(stores, listener):
        await listener.until(lambda: listener.positions == [1])


async def test_what_the_log_has_no_longer_is_counted(stores: Stores) -> None:
    await begin(stores)
    await stores.room("bob", room_id="x")
    for number in range(9):
        await stores.send("x", "bob", str(number))
    stores.clock.advance(8 * 86400)
    await stores.purges.trim(days=7, events=3)
    listener = Listener()
    async with reading(stores, listener) as (_, store):
        await store.until(10)
    assert listener.positions == [8, 9, 10]
    assert [(piece.after, piece.lost) for piece in listener.pieces] == [(7, 7)]
    assert (await progress(stores)).lost == 7


async def test_after_a_reset_it_goes_on_with_what_comes_then(stores: Stores) -> None:
    await begin(stores)
    await stores.room("bob", room_id="x")
    await stores.purges.instance("one")
    stores.clock.advance(1)
    listener = Listener()
    async with reading(stores, listener) as (_, store):
        await store.until(2)
        found = await progress(stores)
        await stores.room("bob", room_id="y")
        await listener.until(lambda: listener.positions == [3])
    assert (found.lost, listener.pieces[0].lost) == (2, 2)
