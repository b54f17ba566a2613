"""How often a user is said to be typing."""

from collections import Counter

from services.common.ids import MICROSECONDS, Clock

MOST_PER_SECOND = 10
"""Clients say it once or twice a second (spec §9.2), on each device."""


class TypingLimit:
    """Keeps a user from waking everybody in a room all the time: nothing else would, since typing is not stored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = 0
        self._reports: Counter[tuple[str, str]] = Counter()
        """Within a second, by instance and user."""

    def passes(self, instance_id: str, user_id: str) -> bool:
        """Counts a report; False if it is one too many, of which nobody is told."""
        now = self._clock()
        if not 0 <= now - self._since < MICROSECONDS:
            self._since = now
            self._reports.clear()
        self._reports[instance_id, user_id] += 1
        return self._reports[instance_id, user_id] <= MOST_PER_SECOND
