"""What the user service does beside answering: forgetting what is over, and renewing keys."""

import asyncio
from collections.abc import Awaitable

import structlog

from services.common import idempotency
from services.common.ids import Clock
from services.common.jobs import JobStore
from services.common.sqlite import Database
from services.user.account_keys import AccountKeys
from services.user.account_store import SessionStore

log = structlog.get_logger()

INTERVAL_SECONDS = 3600.0


class Maintenance:
    """Work in the background; every step may be cut off and is taken up again the next time."""

    def __init__(
        self,
        database: Database,
        sessions: SessionStore,
        jobs: JobStore,
        keys: AccountKeys,
        clock: Clock,
        idempotency_hours: int,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._jobs = jobs
        self._keys = keys
        self._clock = clock
        self._idempotency_hours = idempotency_hours

    async def run(self) -> None:
        """Works until cancelled, every hour."""
        while True:
            await self._try("forget", idempotency.forget(self._database, self._clock, self._idempotency_hours))
            await self._try("sweep", self._sessions.sweep())
            await self._try("jobs", self._jobs.forget())
            await self._try("keys", self._keys.prepare())
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _try(self, step: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            log.error("maintenance_failed", step=step, exc_info=error)
