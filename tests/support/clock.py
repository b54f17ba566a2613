"""Clocks that a test moves."""

from services.common.ids import MICROSECONDS, wall_clock


class ManualClock:
    """Stands still until a test moves it. Microseconds since the Unix epoch."""

    def __init__(self, now: int = 1_560_000_000 * MICROSECONDS) -> None:
        self.now = now

    def __call__(self) -> int:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves the time."""
        self.now += int(seconds * MICROSECONDS)


class ShiftedClock:
    """The system's clock, set forward by a test: for services that call each other with tokens."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        """The time."""
        return wall_clock() + self.ahead

    def advance(self, seconds: float) -> None:
        """Moves the time."""
        self.ahead += int(seconds * MICROSECONDS)
