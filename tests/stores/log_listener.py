"""Somebody that the log is told to, as far as the tests of that need one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.common.backoff import Backoff
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_log_readers
from services.message.log_reader import LogReaders, Piece
from services.message.log_reader_store import Progress
from services.message.sqlite_log_readers import SqliteLogReaders
from tests.stores.conftest import Stores

QUICK = Backoff(0.01, 0.02)


class Listener:
    """Keeps what it is told. `behave` comes first, and may raise."""

    def __init__(self, name: str = "webhook", instance_id: str = "one") -> None:
        self.name = name
        self.instance_id = instance_id
        self.pieces: list[Piece] = []
        self.tries: list[tuple[int, int]] = []
        self.behave: Callable[[Piece], None] = lambda _: None
        self._news = asyncio.Condition()

    async def take(self, piece: Piece) -> int:
        async with self._news:
            self.tries.append((piece.after, piece.end))
            self._news.notify_all()
        self.behave(piece)
        self.pieces.append(piece)
        async with self._news:
            self._news.notify_all()
        return 0

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(done)

    @property
    def positions(self) -> list[int]:
        return [entry.position for piece in self.pieces for entry in piece.entries]

    @property
    def texts(self) -> list[str]:
        messages = [entry.message for piece in self.pieces for entry in piece.entries]
        return [part.content for message in messages if message is not None for part in message.parts]


async def begin(stores: Stores, *names: str, instance_id: str = "one") -> None:
    for name in names or ("webhook",):
        await stores.database.write(
            lambda connection: sqlite_log_readers.begin(connection, instance_id, name)  # noqa: B023
        )


async def progress(stores: Stores, name: str = "webhook") -> Progress:
    found = await SqliteLogReaders(stores.database, stores.clock).progress("one", name)
    assert found is not None
    return found


class Noting(SqliteLogReaders):
    """Says how far somebody is known to have come."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self.news = asyncio.Condition()
        self.end = 0

    async def told(self, instance_id: str, consumer: str, end: int, left_out: int = 0) -> None:
        await super().told(instance_id, consumer, end, left_out)
        async with self.news:
            self.end = end
            self.news.notify_all()

    async def until(self, end: int) -> None:
        async with asyncio.timeout(30), self.news:
            await self.news.wait_for(lambda: self.end >= end)


@asynccontextmanager
async def reading(stores: Stores, *listeners: Listener) -> AsyncIterator[tuple[LogReaders, Noting]]:
    store = Noting(stores.database, stores.clock)
    async with LogReaders(store, stores.log, QUICK, chance=lambda: 1.0) as readers:
        stores.database.listen(readers.wake)
        for listener in listeners:
            await readers.follow(listener)
        yield readers, store
