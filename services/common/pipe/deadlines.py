"""The deadlines of many calls, of which hardly any is ever reached."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# By the bit length of a timeout's whole seconds: 4 ms to begin with, then between a 512th and a 1024th of the timeout.
_TICKS = [2.0 ** max(bits - 10, -8) for bits in range(33)]

FOREVER = 2.0**31
"""Timeouts from here on are none."""


class Deadlines(Generic[T]):
    """Calls `expire` with each item whose time is up: never early, late by 4 ms or a 512th of its timeout at most.

    A timer of the loop for each call would cost more than all else that the call costs here. Calls that end about the
    same time share one; few enough that the timers of ended calls need not be found and stopped.
    """

    def __init__(self, expire: Callable[[T], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._slots: dict[float, tuple[set[T], asyncio.TimerHandle]] = {}

    def add(self, item: T, deadline: float, seconds: float) -> set[T]:
        """Watches an item whose deadline, by the loop's clock, is so many seconds away (fewer than FOREVER).

        Returns a set; discard the item from it when the deadline no longer matters.
        """
        tick = _TICKS[int(seconds).bit_length()]
        when = (deadline // tick + 1) * tick
        slot = self._slots.get(when)
        if slot is None:
            slot = self._slots[when] = (set(), self._loop.call_at(when, self._fire, when))
        slot[0].add(item)
        return slot[0]

    def close(self) -> None:
        """Forgets all items."""
        for _, timer in self._slots.values():
            timer.cancel()
        self._slots.clear()

    def _fire(self, when: float) -> None:
        items, _ = self._slots.pop(when)
        for item in tuple(items):
            self._expire(item)
