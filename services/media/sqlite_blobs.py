"""Which objects there must be in the store, for those who copy them."""

import sqlite3
from collections.abc import Iterator

_IN_USE = "FROM blobs WHERE state = 'in use'"


def count(connection: sqlite3.Connection) -> int:
    """How many objects are in use."""
    return int(connection.execute(f"SELECT count(*) {_IN_USE}").fetchone()[0])


def keys(connection: sqlite3.Connection) -> Iterator[str]:
    """The keys of all objects that are in use. They are whole: nobody writes to them any more."""
    for (key,) in connection.execute(f"SELECT key {_IN_USE} ORDER BY key"):
        yield str(key)


def is_in_use(connection: sqlite3.Connection, key: str) -> bool:
    """Whether an object is in use."""
    return connection.execute(f"SELECT 1 {_IN_USE} AND key = ?", (key,)).fetchone() is not None
