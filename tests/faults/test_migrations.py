"""Fault 2, at the very first start or after an upgrade: a process that is killed while it migrates its database."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.faults.killed_migrations import ROUNDS


def schema(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_a_migration_that_was_killed_is_taken_up_again(tmp_path: Path, seed: int) -> None:
    subprocess.run([sys.executable, "-m", "tests.faults.killed_migrations", str(tmp_path), str(seed)], check=True)
    wanted = schema(tmp_path / "undisturbed.db")
    assert {"messages", "rooms", "requests"} <= {name for name, _ in wanted}
    for number in range(ROUNDS):
        assert schema(tmp_path / f"{number}.db") == wanted
