"""What the media service does beside answering: deleting garbage, ending what nobody uses, asking after old claims."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby

import structlog

from services.common import idempotency
from services.common.ids import MICROSECONDS, Clock
from services.common.settings import Settings
from services.common.sqlite import Database
from services.common.waiting import is_set_within
from services.media.blobs import Blobs
from services.media.meter import WRITING_SECONDS
from services.media.readers import AT_ONCE, Readers
from services.media.signatures import Signatures
from services.media.store import CleanupStore, Use, UseStore

log = structlog.get_logger()

IDLE_SECONDS = 24 * 3600
"""How long an attachment may be without a use (spec §6.5)."""
CLAIM_SECONDS = 600
"""How long a claim may be without its message."""
GARBAGE_AT_ONCE = 500
EVER = 2**62
"""Later than any time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often background work is done, in seconds."""

    sweep: float = 60.0
    """Between two looks at everything. Garbage that somebody tells of is deleted at once."""
    retry: float = 5.0
    """After garbage could not be deleted."""


class Maintenance:
    """Work in the background; every step may be cut off and is taken up again at the next start."""

    def __init__(
        self,
        database: Database,
        cleanup: CleanupStore,
        uses: UseStore,
        blobs: Blobs,
        readers: Readers,
        signatures: Signatures,
        settings: Settings,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._database = database
        self._cleanup = cleanup
        self._uses = uses
        self._blobs = blobs
        self._readers = readers
        self._signatures = signatures
        self._settings = settings
        self._clock = clock
        self._pace = pace
        self._garbage = asyncio.Event()

    def left_garbage(self) -> None:
        """Says that there may be garbage, so that it is deleted now."""
        self._garbage.set()

    async def start(self) -> None:
        """Comes before the first call: reads the keys, and gives up what an earlier process was writing."""
        await self._blobs.open()
        await self._cleanup.give_up(EVER)
        await self._signatures.refresh()

    async def collect_forever(self) -> None:
        """Deletes garbage whenever there is some, until cancelled."""
        while True:
            self._garbage.clear()
            try:
                complete = await self.collect()
            except Exception as error:
                log.error("maintenance_failed", step="garbage", exc_info=error)
                complete = False
            if not complete:
                await asyncio.sleep(self._pace.retry)
                continue
            await is_set_within(self._garbage, self._pace.sweep)

    async def sweep_forever(self, expired: Callable[[], Awaitable[None]]) -> None:
        """Ends what is over, every now and then, until cancelled. `expired` ends the transfers of what is gone."""
        while True:
            await self.sweep()
            await self._try("transfers", expired)
            await asyncio.sleep(self._pace.sweep)

    async def collect(self, instance_id: str | None = None) -> bool:
        """Deletes all garbage that there is, of one instance or of all. False if some of it could not be deleted."""
        complete, last = True, ""
        while garbage := await self._cleanup.garbage(instance_id, last, GARBAGE_AT_ONCE):
            gone = await self._blobs.delete(garbage)
            await self._cleanup.gone(gone)
            complete = complete and len(gone) == len(garbage)
            last = garbage[-1].key
        return complete

    async def sweep(self) -> None:
        """Does once what is due: keys, claims, idle attachments, uploads without end, request ids."""
        now = self._clock()
        await self._try("keys", self._signatures.refresh)
        await self._try("claims", self._settle_claims)
        await self._try("idle", lambda: self._cleanup.expire(now - IDLE_SECONDS * MICROSECONDS))
        await self._try("writing", lambda: self._cleanup.give_up(now - WRITING_SECONDS * MICROSECONDS))
        hours = self._settings.idempotency_hours
        await self._try("forget", lambda: idempotency.forget(self._database, self._clock, hours))
        self.left_garbage()

    async def _settle_claims(self) -> None:
        """Asks after the messages of old claims. What cannot be found out now stays for the next time.

        So does what a release is to come of: ended before, it would be kept for a day as if it had never been sent.
        """
        before = self._clock() - CLAIM_SECONDS * MICROSECONDS
        last: Use | None = None
        while claims := await self._uses.unconfirmed(before, last, AT_ONCE):
            last = claims[-1].use
            for _, group in groupby(claims, key=lambda claim: claim.use.instance_id):
                confirmed, ended = await self._readers.outcomes(list(group))
                await self._uses.settle(confirmed, ended, before)

    async def _try(self, step: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            log.error("maintenance_failed", step=step, exc_info=error)
