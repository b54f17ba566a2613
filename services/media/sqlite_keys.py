"""The secrets behind signed URLs, on SQLite."""

import sqlite3

from services.common.sqlite import Database
from services.media.store import SigningKey

_INSERT = "INSERT INTO signing_keys (id, secret, permanent, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"


class SqliteKeys:
    """Keeps the promises of `KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[SigningKey]:
        """See `KeyStore`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT id, secret, permanent, created_at, retired_at FROM signing_keys"
            ).fetchall()
        )
        return [SigningKey(id_, secret, bool(permanent), *times) for id_, secret, permanent, *times in rows]

    async def rotate(self, new: SigningKey, permanent: SigningKey, renew_before: int, drop_before: int) -> None:
        """See `KeyStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM signing_keys WHERE retired_at < ?", (drop_before,))
            connection.execute(
                "UPDATE signing_keys SET retired_at = ? WHERE permanent = 0 AND retired_at IS NULL AND created_at < ?",
                (new.created_at, renew_before),
            )
            connection.executemany(_INSERT, [key[:4] for key in (new, permanent)])

        await self._database.write(work)
