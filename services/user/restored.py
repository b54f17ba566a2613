"""What becomes of this service's database when it comes back from a backup."""

from __future__ import annotations

from pathlib import Path

from services.common.ids import wall_clock
from services.common.sqlite import Database, migrate
from services.user.server import MIGRATIONS
from services.user.sqlite_sessions import SqliteSessions


async def begin_anew(path: Path) -> None:
    """Ends all sessions of accounts (see `SessionStore.end_all`). Nobody else may use the database."""
    migrate(path, MIGRATIONS)
    database = Database(path)
    await database.open()
    try:
        await SqliteSessions(database, wall_clock).end_all()
    finally:
        await database.close()
