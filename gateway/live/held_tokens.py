"""The tokens of those who stay: verified when they come, and looked at again as long as they are here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from services.common.call import Caller
    from services.common.tokens import TokenVerifier

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
SWEPT_AT_ONCE = 256
"""Tokens that are looked at before others have their turn."""

End = Callable[[RoomlineError], None]


class _Hold(NamedTuple):
    end: End
    past_expiry: bool


class HeldTokens:
    """Tells when a token counts no longer: its key is revoked, its session has ended, or its time is over."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier
        self._holds: dict[str, dict[str, dict[_Hold, None]]] = {}
        """By instance and token."""
        self._sweeps: dict[str, asyncio.Task[None]] = {}
        """By instance: none waits for another, whose credentials may have to be asked for."""

    async def verify(self, authorization: str, instance_id: str) -> Caller:
        """Who has the token. Raises TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED or SESSION_ENDED."""
        caller = await self._verifier.verify(authorization)
        if caller.instance_id != instance_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        return caller

    def hold(self, authorization: str, instance_id: str, end: End, *, past_expiry: bool) -> Callable[[], None]:
        """Calls `end` within two seconds when the instance's token counts no longer; returns what undoes this.

        With `past_expiry` it goes on counting when its time is over, as in Chatkit (spec §2.2).
        """
        hold = _Hold(end, past_expiry)
        self._holds.setdefault(instance_id, {}).setdefault(authorization, {})[hold] = None

        def release() -> None:
            tokens = self._holds[instance_id]
            holds = tokens[authorization]
            del holds[hold]
            if not holds:
                del tokens[authorization]
            if not tokens:
                del self._holds[instance_id]

        return release

    async def run(self) -> None:
        """Looks at all tokens again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                for instance_id in self._holds.keys() - self._sweeps.keys():
                    self._sweeps[instance_id] = asyncio.create_task(self._sweep(instance_id))
        finally:
            sweeps = tuple(self._sweeps.values())
            for sweep in sweeps:
                sweep.cancel()
            await asyncio.gather(*sweeps, return_exceptions=True)

    async def _sweep(self, instance_id: str) -> None:
        try:
            await self._look_at_all(instance_id)
        except Exception as error:  # nobody else would look
            log.error("sweep_failed", instance=instance_id, exc_info=error)
        finally:
            del self._sweeps[instance_id]

    async def _look_at_all(self, instance_id: str) -> None:
        for number, (authorization, holds) in enumerate(tuple(self._holds.get(instance_id, {}).items())):
            if number % SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)  # there may be tens of thousands, all to be verified anew when keys have changed
            try:
                await self._verifier.verify(authorization)  # from its cache, unless keys have changed
            except RoomlineError as error:
                expired = error.reason == ErrorReason.ERROR_REASON_TOKEN_EXPIRED
                if not expired and error.reason not in _OVER:
                    return  # the instance's keys cannot be had: each of its tokens would wait for them in turn
                for hold in tuple(holds):
                    if not (expired and hold.past_expiry):
                        hold.end(error)


_OVER = {ErrorReason.ERROR_REASON_TOKEN_INVALID, ErrorReason.ERROR_REASON_SESSION_ENDED}
