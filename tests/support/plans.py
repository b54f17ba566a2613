"""How SQLite finds what statements ask for."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from services.common.sqlite import Database


@asynccontextmanager
async def plans_of_writing(database: Database) -> AsyncIterator[list[str]]:
    """The plans of all queries of the block's writing work, once it is over."""
    statements: list[str] = []
    plans: list[str] = []

    def end(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(None)
        plans.extend(
            str(connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
            for statement in statements
            if statement.startswith("SELECT")
        )

    await database.write(lambda connection: connection.set_trace_callback(statements.append))
    yield plans
    await database.write(end)


def looking_at_all(table: str, plans: Iterable[str]) -> list[str]:
    """The plans that look at all of an instance's rows in the table."""
    return [plan for plan in plans if re.search(rf"SEARCH {table} USING [A-Z ]+( \w+)? \(instance_id=\?\)", plan)]
