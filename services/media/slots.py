"""Places for what takes memory: some in all, some in an instance, and some of each user."""

import asyncio
from collections import Counter
from weakref import WeakValueDictionary

from services.media.store import Stored


class Slots:
    """So many places in all, a share of them in one instance, and one of that for one uploader; others wait in turn."""

    def __init__(self, in_all: int, in_instance: int, each: int) -> None:
        self._in_all = asyncio.Semaphore(in_all)
        self._in_instance = in_instance
        self._each = each
        # A semaphore lives as long as somebody holds or awaits it.
        self._of_instances: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._of_users: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()
        self._waiting: Counter[str] = Counter()

    def place(self, stored: Stored) -> "Place":
        """A place for an upload, yet to be taken."""
        instance_id, user_id = stored.instance_id, stored.attachment.user_id
        own = self._of_users.setdefault((instance_id, user_id), asyncio.Semaphore(self._each))
        shared = self._of_instances.setdefault(instance_id, asyncio.Semaphore(self._in_instance))
        return Place(instance_id, own, (shared, self._in_all), self._waiting)


class Place:
    """What one upload holds of the places, or waits for."""

    def __init__(
        self, instance_id: str, own: asyncio.Semaphore, shared: tuple[asyncio.Semaphore, ...], waiting: Counter[str]
    ) -> None:
        self._instance_id = instance_id
        self._own = own
        self._shared = shared
        self._waiting = waiting
        self._held: list[asyncio.Semaphore] = []
        self._left = False

    @property
    def is_wanted(self) -> bool:
        """Whether this holds a place that somebody else in the instance waits for, other than for his own share."""
        return len(self._held) > len(self._shared) and self._waiting[self._instance_id] > 0

    async def take(self) -> None:
        """Returns when it is had."""
        await self._acquire(self._own)
        self._waiting[self._instance_id] += 1
        try:
            for semaphore in self._shared:
                await self._acquire(semaphore)
        finally:
            self._waiting[self._instance_id] -= 1

    def leave(self) -> None:
        """Gives back what is held, for good: what is being taken now is given back then."""
        self._left = True
        while self._held:
            self._held.pop().release()

    async def _acquire(self, semaphore: asyncio.Semaphore) -> None:
        await semaphore.acquire()
        if self._left:
            semaphore.release()
            raise asyncio.CancelledError
        self._held.append(semaphore)
