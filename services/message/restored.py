"""What becomes of this service's database when it comes back from a backup."""

from __future__ import annotations

from pathlib import Path

from services.common.ids import wall_clock
from services.common.sqlite import Database, migrate
from services.message.server import MIGRATIONS
from services.message.sqlite_events import SqliteEvents


async def begin_anew(path: Path, lost_seconds: int) -> None:
    """Begins another history of the log (see `EventStore.renew_epoch`). Nobody else may use the database."""
    migrate(path, MIGRATIONS)
    database = Database(path)
    await database.open()
    try:
        await SqliteEvents(database, wall_clock).renew_epoch(lost_seconds)
    finally:
        await database.close()
