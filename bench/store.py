"""What the message store does by itself: `SqliteMessages.append`, one at a time and many in flight (group commit)."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest

from bench.report import Section, micros, rate, ratio
from services.common.call import Caller, Level
from services.common.ids import Uuid7, wall_clock
from services.common.sqlite import Database, migrate
from services.message.server import MIGRATIONS
from services.message.sqlite_messages import SqliteMessages
from services.message.sqlite_rooms import SqliteRooms

IN_FLIGHT = (1, 64, 256)
WARM_UP_SECONDS = 0.5

_CALLER = Caller(Level.USER, "bench", "alice")
_ROOM = "lobby"
_PARTS = [Part(type="text/plain", content="The quick brown fox jumps over the lazy dog.")]


class _Round(NamedTuple):
    """All per message, in seconds."""

    wall: float
    cpu: float


def measure(folder: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> Section:
    """Runs `rounds` rounds of `seconds` for each number in flight, in turn, in a new database in `folder`."""
    measured = uvloop.run(_measure(folder / "message.db", rounds, seconds, say))
    alone = measured[IN_FLIGHT[0]]
    notes = []
    for number in IN_FLIGHT[1:]:
        ratios = [one.wall / many.wall for one, many in zip(alone, measured[number], strict=True)]
        notes.append(f"{number} in flight against one at a time: {ratio(ratios)} times the messages per second.")
    return Section(
        "Appending to the message store, every message on disk before it is acknowledged",
        ("in flight", "messages/s", "CPU µs per message"),
        [_row(number, measured[number]) for number in IN_FLIGHT],
        notes,
    )


async def _measure(path: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[int, list[_Round]]:
    await asyncio.to_thread(migrate, path, MIGRATIONS)
    database = Database(path)
    await database.open()
    try:
        new_id = Uuid7(wall_clock)
        room = CreateRoomRequest(id=_ROOM, name=_ROOM)
        await SqliteRooms(database, wall_clock, new_id).create(
            _CALLER, _CALLER.user_id, room, [_CALLER.user_id], wall_clock()
        )
        messages = SqliteMessages(database, wall_clock, new_id)
        measured: dict[int, list[_Round]] = {number: [] for number in IN_FLIGHT}
        await _run(messages, new_id, WARM_UP_SECONDS, IN_FLIGHT[-1])
        for turn in range(rounds):
            say(f"store: round {turn + 1} of {rounds}")
            for number in IN_FLIGHT if turn % 2 == 0 else reversed(IN_FLIGHT):
                measured[number].append(await _run(messages, new_id, seconds, number))
        assert (await messages.page(_CALLER, ListMessagesRequest(room_id=_ROOM), 1)).messages
    finally:
        await database.close()
    return measured


async def _run(messages: SqliteMessages, new_id: Callable[[], str], seconds: float, in_flight: int) -> _Round:
    sent = 0
    started, cpu = time.perf_counter(), time.process_time()

    async def send() -> None:
        nonlocal sent
        while time.perf_counter() < started + seconds:
            request = SendMessageRequest(room_id=_ROOM, parts=_PARTS, request_id=new_id())
            await messages.append(_CALLER, _CALLER.user_id, request)
            sent += 1

    await asyncio.gather(*(send() for _ in range(in_flight)))
    return _Round((time.perf_counter() - started) / sent, (time.process_time() - cpu) / sent)


def _row(in_flight: int, measured: list[_Round]) -> tuple[str, ...]:
    wall, cpu = (statistics.median(values) for values in zip(*measured, strict=True))
    return str(in_flight), rate(1 / wall), micros(cpu)
