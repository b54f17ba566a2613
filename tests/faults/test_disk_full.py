"""Fault 15: no room is left to write to. Writes are refused and leave nothing, reads go on, and so does all with room.

The database itself is limited: a file system that is full would take root to make.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
import structlog

from services.common.sqlite import Database
from tests.faults.actors import Actor, outcome, race
from tests.faults.chatkit import Chatkit
from tests.faults.invariants import opened, rows
from tests.support.cluster import Cluster

LARGE = "x" * 4000
UNLIMITED = 2**31


class Disk:
    """What the services' databases may take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._databases: list[Database] = []
        open_ = Database.open

        async def noted(database: Database) -> None:
            await open_(database)
            self._databases.append(database)

        monkeypatch.setattr(Database, "open", noted)

    async def limit(self, pages: int) -> None:
        """Lets each database grow by so many pages at most."""

        def work(connection: sqlite3.Connection) -> None:
            (count,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count={min(count + pages, UNLIMITED)}")

        for database in self._databases:
            await database.write(work)


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    with structlog.testing.capture_logs():  # every refusal would be printed with its traceback
        yield Disk(monkeypatch)


async def fill(server: Actor) -> int:
    """Sends until nothing goes any more; how many messages are there."""
    for number in range(1000):
        result = await outcome(server.send("lobby", f"{number} {LARGE}", request_id=f"{number}"))
        if result != "OK":
            assert result == "STORAGE_FULL"
            return number
    raise AssertionError("the disk never gets full")


async def test_writes_are_refused_and_reads_go_on(
    cluster: Cluster, server: Actor, chatkit: Chatkit, disk: Disk
) -> None:
    await server.create_room("lobby", "ann")
    await disk.limit(50)
    count = await fill(server)
    for _ in range(3):
        assert await outcome(server.send("lobby", LARGE)) == "STORAGE_FULL"
    assert set(await race(*(server.send("lobby", LARGE) for _ in range(50)))) == {"STORAGE_FULL"}
    refused = await chatkit.server("bob")(
        "POST", "/rooms/lobby/messages", {"parts": [{"type": "text/plain", "content": LARGE}]}
    )
    assert refused.error == (507, "insufficient_storage")
    assert refused.headers["retry-after"] == "60"

    newest = await server.page("lobby")
    assert newest[0].startswith(f"{count - 1} ")
    assert (await server.rooms_of("ann"))[0].unread_count == count
    assert list(await server.list_members("lobby")) == ["bob", "ann"]
    assert (await chatkit.user("ann")("GET", "/rooms/lobby/messages?limit=100")).status == 200


async def test_writing_goes_on_when_there_is_room_again(server: Actor, disk: Disk) -> None:
    await server.create_room("lobby")
    await disk.limit(50)
    count = await fill(server)
    await disk.limit(UNLIMITED)
    again = await server.send("lobby", f"{count} {LARGE}", request_id=f"{count}")
    assert (await server.get("lobby", again.id)).uid == again.uid
    assert [await outcome(server.send("lobby", LARGE)) for _ in range(20)] == ["OK"] * 20
    assert (await server.rooms_of("bob"))[0].unread_count == count + 21


async def test_what_fits_is_not_refused_with_what_does_not(cluster: Cluster, server: Actor, disk: Disk) -> None:
    """Calls that are committed together fail together, but each is told, and none is half there."""
    await server.create_room("lobby")
    await disk.limit(20)
    outcomes = await race(*(server.send("lobby", LARGE, request_id=f"{number}") for number in range(100)))
    assert set(outcomes) <= {"OK", "STORAGE_FULL"}
    assert "STORAGE_FULL" in outcomes
    with opened(cluster.settings.data_dir / "message.db") as connection:
        assert rows(connection, "SELECT count(*) FROM messages") == [outcomes.count("OK")]
        assert rows(connection, "SELECT count(*) FROM requests") == [outcomes.count("OK")]
    await disk.limit(UNLIMITED)
    assert set(await race(*(server.send("lobby", LARGE, request_id=f"{number}") for number in range(100)))) == {"OK"}
    assert (await server.rooms_of("bob"))[0].unread_count == 100


async def test_room_can_be_made_by_deleting(server: Actor, disk: Disk) -> None:
    await server.create_room("lobby")
    await disk.limit(50)
    first = await server.send("lobby", LARGE)
    await fill(server)
    assert await outcome(server.delete("lobby", first.id)) == "OK"
    assert await outcome(server.send("lobby", "short")) == "OK"


async def test_users_are_refused_too(server: Actor, disk: Disk) -> None:
    await disk.limit(0)
    outcomes = [await outcome(server.create_user(f"u{number}")) for number in range(300)]
    assert set(outcomes) == {"OK", "STORAGE_FULL"}
    assert await outcome(server.rooms_of("bob")) == "OK"
    await disk.limit(UNLIMITED)
    assert await outcome(server.create_user("late")) == "OK"
