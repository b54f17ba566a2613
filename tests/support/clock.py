"""A clock that stands still until a test moves it."""

from services.common.ids import MICROSECONDS


class ManualClock:
    """Microseconds since the Unix epoch."""

    def __init__(self, now: int = 1_560_000_000 * MICROSECONDS) -> None:
        self.now = now

    def __call__(self) -> int:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves the time."""
        self.now += int(seconds * MICROSECONDS)
