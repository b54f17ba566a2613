"""Says when bytes have arrived, to those who wait for them in this process."""

import asyncio
import contextlib
from collections.abc import Iterator
from weakref import WeakValueDictionary

from services.media.store import Stored


class Arrivals:
    """Waking is only a hint: whoever is woken reads the row."""

    def __init__(self) -> None:
        # An event lives as long as somebody waits for it.
        self._awaited: WeakValueDictionary[tuple[str, str], asyncio.Event] = WeakValueDictionary()

    @contextlib.contextmanager
    def awaited(self, stored: Stored) -> Iterator[asyncio.Event]:
        """An event that is set whenever bytes of the attachment arrive, during the block."""
        yield self._awaited.setdefault(_key(stored), asyncio.Event())

    def arrived(self, stored: Stored) -> None:
        """Wakes those who wait for the attachment."""
        event = self._awaited.get(_key(stored))
        if event is not None:
            event.set()


def _key(stored: Stored) -> tuple[str, str]:
    return stored.instance_id, stored.attachment.id
