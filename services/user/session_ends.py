"""The sessions that ended, in this order: for this service's own verifier, and to tell the other services."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable

from roomline.v1.instance_service_pb2 import EndedSession

from services.common.ended_sessions import FIRST_SWEEP, EndedSessions
from services.common.ids import MICROSECONDS
from services.common.timestamps import from_proto
from services.user.account_store import SessionStore

_Numbered = tuple[int, EndedSession]


class SessionEnds:
    """What the store has of ended sessions, taken over into memory. `now` is in seconds since the Unix epoch."""

    def __init__(self, store: SessionStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._ended = EndedSessions(now)
        self._log: list[_Numbered] = []
        self._sweep_at = FIRST_SWEEP
        self._last = 0
        self._taking = asyncio.Lock()

    async def take_over(self) -> bool:
        """Takes over what the store has and this has not; whether there was anything."""
        async with self._taking:
            news = await self._store.ended_after(self._last)
            if not news:
                return False
            self._last = news[-1][0]
            self._ended.add(session for _, session in news)
            self._log += news
            if len(self._log) > self._sweep_at:
                now = self._now() * MICROSECONDS
                self._log = [numbered for numbered in self._log if from_proto(numbered[1].tokens_end) > now]
                self._sweep_at = max(FIRST_SWEEP, 2 * len(self._log))
            return True

    def has(self, instance_id: str, session_id: str) -> bool:
        """Whether the session has ended."""
        return self._ended.has(instance_id, session_id)

    def after(self, sequence: int, limit: int) -> list[_Numbered]:
        """The next sessions after that number."""
        first = bisect_right(self._log, sequence, key=lambda numbered: numbered[0])
        return self._log[first : first + limit]

    def of(self, instance_id: str) -> list[EndedSession]:
        """Those of an instance."""
        return [session for _, session in self._log if session.instance_id == instance_id]
