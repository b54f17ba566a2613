"""Databases as they were at one moment, whatever is written to them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from services.supervisor.backup import sqlite_cut
from services.supervisor.backup.sqlite_cut import cut
from services.supervisor.command_error import CommandError

CUTS = 30


def nothing() -> None:
    """What is done in the moment."""


@pytest.fixture
def databases(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.db" for name in ("first", "second", "third")]
    for path in paths:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE counter (value INTEGER NOT NULL)")
            connection.execute("INSERT INTO counter VALUES (0)")
    return paths


@contextmanager
def counting(databases: list[Path]) -> Iterator[threading.Event]:
    """Counts in all databases, in the one after the other, for the time of the block; the event says that it has."""
    stop, counted = threading.Event(), threading.Event()

    def count() -> None:
        connections = [sqlite3.connect(path, isolation_level=None, timeout=60) for path in databases]
        while not stop.is_set():
            for connection in connections:
                connection.execute("UPDATE counter SET value = value + 1")
            counted.set()
        for connection in connections:
            connection.close()

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counted
    finally:
        stop.set()
        thread.join()


def value(database: Path) -> int:
    """What has been counted."""
    with sqlite_cut.reading(database) as connection:
        return int(connection.execute("SELECT value FROM counter").fetchone()[0])


def test_a_cut_has_no_effect_without_its_cause(databases: list[Path], tmp_path: Path) -> None:
    found = set()
    with counting(databases) as counted:
        for number in range(CUTS):
            for _ in range(2):  # what is heard first may be the end of a round that the cut before has seen
                counted.clear()
                assert counted.wait(60)
            # Any order: it is the moment that counts, and not which is copied first.
            with cut(databases[number % 3 :] + databases[: number % 3], nothing) as taken:
                copies = []
                for database in databases:
                    copy = tmp_path / f"{number}-{database.name}"
                    taken.copy(database, copy, lambda _total, _left: None)
                    copies.append(copy)
                    assert sqlite_cut.problem(copy) == ""
            first, second, third = map(value, copies)
            assert first >= second >= third >= first - 1
            found.add(first)
    assert len(found) == CUTS


def test_nobody_waits_with_us_for_a_database_that_is_busy(
    databases: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_cut, "PATIENCE_SECONDS", 0.5)
    *others, busy = databases
    with closing(sqlite3.connect(busy, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with counting(others) as counted:
            counted.wait()
            with pytest.raises(CommandError, match="written to without a pause"), cut(databases, nothing):
                pass
            counted.clear()
            assert counted.wait(60)
        holder.execute("ROLLBACK")
    with cut(databases, nothing):
        pass
    assert value(others[0]) == value(others[1]) > 0


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "first.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(CommandError, match="file is not a database"), cut([tmp_path / "first.db"], nothing):
        pass
    assert "not a database" in sqlite_cut.problem(tmp_path / "first.db")


def test_what_happens_in_the_moment_sees_no_writer(databases: list[Path]) -> None:
    seen: list[list[int]] = []

    def look() -> None:
        seen.extend([[value(database) for database in databases] for _ in range(5)])

    with counting(databases) as counted:
        counted.wait()
        with cut(databases, look):
            pass
    assert len({tuple(values) for values in seen}) == 1
