"""Where time, ids and randomness come from; handed in, so that tests can hand in their own."""

import os
import threading
import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Microseconds since the Unix epoch."""

MICROSECONDS = 1_000_000


def wall_clock() -> int:
    """The system's clock."""
    return time.time_ns() // 1000


class Uuid7:
    """Makes UUIDv7 (RFC 9562 §5.7, method 1: a counter in the random bits), lower case with dashes.

    Ids of one instance of this class rise strictly, also as text compared by bytes, even when the clock stands still or
    steps back.
    """

    def __init__(self, clock: Clock = wall_clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """The next id."""
        with self._lock:
            # 48 bits of milliseconds, then 26 bits that count (12 in rand_a, 14 in rand_b) and start below their half.
            random = int.from_bytes(self._entropy(10))
            start = (self._clock() // 1000) << 26 | (random >> 55)
            self._last = start if start > self._last else self._last + 1
            stamp = self._last
        count = stamp & 0x3FFFFFF
        text = f"{stamp >> 26:012x}7{count >> 14:03x}{0x8000 | count & 0x3FFF:04x}{random & 0xFFFFFFFFFFFF:012x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def secret(entropy: Callable[[int], bytes] = os.urandom) -> str:
    """256 random bits as hexadecimal text: no colon, no padding, so every SDK splits a key that holds it alike."""
    return entropy(32).hex()
