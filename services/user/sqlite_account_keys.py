"""Keeps the keys that sign access tokens in SQLite."""

import sqlite3
from collections.abc import Collection

from roomline.v1.instance_service_pb2 import AccountKey

from services.common.ids import Clock
from services.common.sqlite import Database
from services.user.account_store import StoredKey

_SELECT = (
    "SELECT id, private_key, public_key, created_at FROM account_keys WHERE instance_id = ?"
    " ORDER BY created_at DESC, id DESC"
)


def account_keys(connection: sqlite3.Connection, instance_id: str) -> list[AccountKey]:
    """What verifies the access tokens of an instance's accounts, newest first."""
    return [AccountKey(id=row[0], public_key=row[2]) for row in connection.execute(_SELECT, (instance_id,))]


class SqliteAccountKeys:
    """An `AccountKeyStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def keys(self, instance_id: str) -> list[StoredKey] | None:
        """See `AccountKeyStore`."""

        def work(connection: sqlite3.Connection) -> list[StoredKey] | None:
            if connection.execute("SELECT 1 FROM instances WHERE id = ?", (instance_id,)).fetchone() is None:
                return None
            return [StoredKey(*row) for row in connection.execute(_SELECT, (instance_id,))]

        return await self._database.read(work)

    async def add(self, instance_id: str, key: StoredKey) -> None:
        """See `AccountKeyStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO account_keys (instance_id, id, private_key, public_key, created_at)"
                " SELECT id, ?, ?, ?, ? FROM instances WHERE id = ?",
                (key.id, key.private_key, key.public_key, self._clock(), instance_id),
            )

        await self._database.write(work)

    async def drop(self, instance_id: str, key_ids: Collection[str]) -> None:
        """See `AccountKeyStore`."""

        def work(connection: sqlite3.Connection) -> None:
            rows = [(instance_id, key_id) for key_id in key_ids]
            connection.executemany("DELETE FROM account_keys WHERE instance_id = ? AND id = ?", rows)

        await self._database.write(work)
