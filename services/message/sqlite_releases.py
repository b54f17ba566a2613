"""Attachments that messages have let go, on SQLite, until the media service knows."""

import sqlite3
from collections.abc import Collection

from services.common.sqlite import Database
from services.message.store import Owner


def add(connection: sqlite3.Connection, owner: Owner, attachment_ids: Collection[str]) -> Owner | None:
    """Says, in the transaction that takes attachments out of a message, that these uses have ended.

    Returns the message, if it lets attachments go at all.
    """
    if not attachment_ids:
        return None
    connection.executemany(
        "INSERT OR IGNORE INTO releases VALUES (?, ?, ?)", [(*owner, attachment_id) for attachment_id in attachment_ids]
    )
    return owner


def add_room(connection: sqlite3.Connection, owner: Owner) -> None:
    """Says, in the transaction that deletes a room, that all that was used or reserved in it has ended."""
    connection.execute("INSERT INTO releases VALUES (?, ?, '')", owner)


def are_pending(connection: sqlite3.Connection, owner: Owner) -> bool:
    """Whether the media service has not yet answered to some release of this message."""
    row = connection.execute("SELECT 1 FROM releases WHERE instance_id = ? AND uid = ? LIMIT 1", owner).fetchone()
    return row is not None


def is_pending(connection: sqlite3.Connection, owner: Owner, attachment_id: str) -> bool:
    """Whether the media service has not yet answered to this release of a message or, for an empty id, of a room."""
    row = connection.execute(
        "SELECT 1 FROM releases WHERE instance_id = ? AND uid = ? AND attachment_id = ?", (*owner, attachment_id)
    ).fetchone()
    return row is not None


class SqliteReleases:
    """Keeps the promises of `ReleaseStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def owners(self, after: Owner, size: int) -> list[Owner]:
        """See `ReleaseStore`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT DISTINCT instance_id, uid FROM releases WHERE (instance_id, uid) > (?, ?)"
                " ORDER BY instance_id, uid LIMIT ?",
                (*after, size),
            ).fetchall()
        )
        return [Owner(*row) for row in rows]

    async def of(self, owner: Owner) -> list[str]:
        """See `ReleaseStore`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT attachment_id FROM releases WHERE instance_id = ? AND uid = ?", owner
            ).fetchall()
        )
        return [attachment_id for (attachment_id,) in rows]

    async def finished(self, owner: Owner, attachment_ids: list[str]) -> None:
        """See `ReleaseStore`."""
        rows = [(*owner, attachment_id) for attachment_id in attachment_ids]
        await self._database.write(
            lambda connection: connection.executemany(
                "DELETE FROM releases WHERE instance_id = ? AND uid = ? AND attachment_id = ?", rows
            )
        )
