"""What the message service does beside answering: removing deleted rooms' messages, trimming the log, forgetting."""

import asyncio
import contextlib
from collections.abc import Awaitable

import structlog

from services.common import idempotency
from services.common.ids import Clock
from services.common.jobs import JobStore
from services.common.settings import Settings
from services.common.sqlite import Database
from services.message.store import PurgeStore

log = structlog.get_logger()

INTERVAL_SECONDS = 600.0


class Maintenance:
    """Work in the background; every step may be cut off and is taken up again at the next start."""

    def __init__(
        self, database: Database, purges: PurgeStore, jobs: JobStore, settings: Settings, clock: Clock
    ) -> None:
        self._database = database
        self._purges = purges
        self._jobs = jobs
        self._settings = settings
        self._clock = clock
        self._room_deleted = asyncio.Event()

    def room_deleted(self) -> None:
        """Says that a room was deleted, so that its messages are removed now."""
        self._room_deleted.set()

    async def run(self) -> None:
        """Works until cancelled; begins with what an earlier process left behind."""
        settings = self._settings
        while True:
            await self._try("trim", self._purges.trim(settings.log_days, settings.log_events))
            await self._try("forget", idempotency.forget(self._database, self._clock, settings.idempotency_hours))
            await self._try("jobs", self._jobs.forget())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._remove_rooms()

    async def _remove_rooms(self) -> None:
        """Removes what deleted rooms leave, now and whenever a room is deleted."""
        while True:
            self._room_deleted.clear()
            await self._try("remains", self._purges.remains())
            await self._room_deleted.wait()

    async def _try(self, step: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            log.error("maintenance_failed", step=step, exc_info=error)
