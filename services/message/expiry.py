"""Wipes messages whose time is over. Nobody sees them from that moment on; here their content goes, and their files."""

from __future__ import annotations

import asyncio

import structlog

from services.message.conversation_store import RemovalStore
from services.message.releases import Releases

log = structlog.get_logger()

INTERVAL_SECONDS = 1.0
AT_ONCE = 50
"""Messages wiped in one unit of work, so that no other writer waits long."""


class Expiry:
    """Work in the background: it looks every second, which costs one look into an index that is mostly empty."""

    def __init__(self, removals: RemovalStore, releases: Releases) -> None:
        self._removals = removals
        self._releases = releases

    async def run(self) -> None:
        """Works until cancelled; begins with what was due while no process ran."""
        while True:
            try:
                while await self._removals.expire(AT_ONCE):
                    self._releases.more()
            except Exception as error:
                log.error("expiry_failed", exc_info=error)
            await asyncio.sleep(INTERVAL_SECONDS)
