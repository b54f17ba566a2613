"""Clocks that a test moves."""

from collections.abc import Callable

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


class ManualTimer:
    """Something that a `ManualTimers` will call."""

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """It will not be called."""
        self.cancelled = True


class ManualTimers:
    """Calls what is due when a test moves the time; in place of `loop.call_later`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._waiting: list[ManualTimer] = []
        self.started = 0
        """How many there have been."""

    def __call__(self, seconds: float, callback: Callable[[], None]) -> ManualTimer:
        """Calls back after so many seconds."""
        timer = ManualTimer(self._now + seconds, callback)
        self._waiting.append(timer)
        self.started += 1
        return timer

    @property
    def running(self) -> int:
        """How many have yet to be called."""
        return sum(not timer.cancelled for timer in self._waiting)

    def advance(self, seconds: float) -> None:
        """Moves the time."""
        self._now += seconds
        due = [timer for timer in self._waiting if timer.due <= self._now]
        self._waiting = [timer for timer in self._waiting if timer.due > self._now]
        for timer in sorted(due, key=lambda timer: timer.due):
            if not timer.cancelled:
                timer.callback()
