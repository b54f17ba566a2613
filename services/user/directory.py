"""The credentials of all instances, in memory: what this service verifies tokens with, and tells the others about.

They change with the store: whoever writes to instances or keys does it through `Directory.after`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, TypeVar

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import InstanceCredentials, WatchCredentialsResponse

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.timestamps import from_proto
from services.user.store import InstanceStore

T = TypeVar("T")

BATCH = 200
"""How many instances a message to a watcher holds at most."""


class _Watcher:
    """What a watcher has not been told yet: ids, not changes, so that a slow one never has more than the instances."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        self.wake = asyncio.Event()

    def take(self) -> list[str]:
        """The next ids to tell about."""
        ids = list(self.changed)[:BATCH]
        for instance_id in ids:
            del self.changed[instance_id]
        if not self.changed:
            self.wake.clear()
        return ids


class Directory:
    """A `Credentials` that has everything, for the time that it is entered."""

    def __init__(self, store: InstanceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, InstanceCredentials] = {}
        self._versions: dict[str, int] = {}
        self._last_version = 0
        self._watchers: set[_Watcher] = set()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def __aenter__(self) -> Self:
        """Takes everything from the store."""
        for credentials in await self._store.all_credentials():
            self._put(credentials.instance.id, credentials)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits for changes that nobody waits for any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        """See `Credentials`; without keys that have ended."""
        return self._in_force(instance_id)

    def version(self, instance_id: str) -> int:
        """See `Credentials`."""
        return self._versions.get(instance_id, 0)

    async def after(self, write: Awaitable[T], instance_id: Callable[[T], str]) -> T:
        """Waits for a store's write and takes over what it did to the instance; returns its result.

        Writes and their effects happen one at a time, in order, and even if the caller is cancelled in between.
        """

        async def change() -> T:
            async with self._changing:
                result = await write
                changed = instance_id(result)
                self._put(changed, await self._store.credentials(changed))
            return result

        task = asyncio.create_task(change())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def watch(self) -> AsyncIterator[WatchCredentialsResponse]:
        """Everything, then what changes, until `end_watches`. Raises SHUTTING_DOWN then."""
        watcher = _Watcher()
        watcher.changed = dict.fromkeys(self._known)
        self._watchers.add(watcher)
        try:
            while watcher.changed:
                yield self._news(watcher.take())
            yield WatchCredentialsResponse(complete=True)
            while not self._ended:
                await watcher.wake.wait()
                if watcher.changed:
                    yield self._news(watcher.take())
            raise RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
        finally:
            self._watchers.discard(watcher)

    def end_watches(self) -> None:
        """Ends all watches, so that the server can stop."""
        self._ended = True
        for watcher in self._watchers:
            watcher.wake.set()

    def _news(self, instance_ids: list[str]) -> WatchCredentialsResponse:
        news = WatchCredentialsResponse()
        for instance_id in instance_ids:
            credentials = self._in_force(instance_id)
            if credentials is None:
                news.deleted_instance_ids.append(instance_id)
            else:
                news.changed.append(credentials)
        return news

    def _in_force(self, instance_id: str) -> InstanceCredentials | None:
        known = self._known.get(instance_id)
        if known is None:
            return None
        now = self._clock()
        keys = [key for key in known.keys if not key.HasField("revoked_at") or from_proto(key.revoked_at) > now]
        return InstanceCredentials(instance=known.instance, keys=keys)

    def _put(self, instance_id: str, credentials: InstanceCredentials | None) -> None:
        if credentials is None:
            self._known.pop(instance_id, None)
        else:
            self._known[instance_id] = credentials
        self._last_version += 1
        self._versions[instance_id] = self._last_version
        for watcher in self._watchers:
            watcher.changed[instance_id] = None
            watcher.wake.set()
