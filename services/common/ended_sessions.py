"""Sessions of accounts that ended before their access tokens do, remembered until those have ended too."""

from collections.abc import Callable, Iterable

from roomline.v1.instance_service_pb2 import EndedSession

from services.common.ids import MICROSECONDS
from services.common.timestamps import from_proto

MARGIN_SECONDS = 60
"""How much longer than necessary a session is remembered: a clock that is set back must not revive its tokens."""
FIRST_SWEEP = 1000


class EndedSessions:
    """A set of them. `now` is in seconds since the Unix epoch."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._forget_after: dict[tuple[str, str], float] = {}
        self._sweep_at = FIRST_SWEEP

    def add(self, sessions: Iterable[EndedSession]) -> None:
        """Adds sessions. One that has ended stays ended: nothing takes it out but time."""
        for session in sessions:
            tokens_end = from_proto(session.tokens_end) / MICROSECONDS
            self._forget_after[session.instance_id, session.id] = tokens_end + MARGIN_SECONDS
        if len(self._forget_after) > self._sweep_at:
            now = self._now()
            self._forget_after = {key: after for key, after in self._forget_after.items() if after > now}
            self._sweep_at = max(FIRST_SWEEP, 2 * len(self._forget_after))

    def has(self, instance_id: str, session_id: str) -> bool:
        """Whether the session has ended."""
        return (instance_id, session_id) in self._forget_after
