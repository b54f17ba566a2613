"""Wipes messages whose time is over. Nobody sees them from that moment on; here their content goes, and their files."""

import asyncio

import structlog

from services.common.backoff import Backoff
from services.message.conversation_store import RemovalStore
from services.message.releases import Releases

log = structlog.get_logger()

INTERVAL_SECONDS = 1.0
AT_ONCE = 50
"""Messages wiped in one unit of work, so that no other writer waits long."""


class Expiry:
    """Work in the background: a look every second, into an index that has only messages that will expire."""

    def __init__(self, removals: RemovalStore, releases: Releases, backoff: Backoff) -> None:
        self._removals = removals
        self._releases = releases
        self._backoff = backoff

    async def run(self) -> None:
        """Works until cancelled; begins with what was due while no process ran."""
        pause = INTERVAL_SECONDS
        while True:
            try:
                while await self._removals.expire(AT_ONCE):
                    self._releases.more()
                pause = INTERVAL_SECONDS
            except Exception as error:
                log.error("expiry_failed", exc_info=error)
                pause = min(pause * 2, self._backoff.longest)
            await asyncio.sleep(pause)
