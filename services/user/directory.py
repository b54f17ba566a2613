"""The credentials of all instances, in memory: what this service verifies tokens with, and tells the others about.

They change with the store: whoever writes to instances or keys does it through `Directory.after`, and whoever may end
sessions through `Directory.ending`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Self, TypeVar

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import EndedSession, InstanceCredentials, WatchCredentialsResponse

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.timestamps import from_proto
from services.user.session_ends import SessionEnds
from services.user.store import InstanceStore

T = TypeVar("T")

BATCH = 200
"""How many instances a message to a watcher holds at most."""
ENDED_BATCH = 5000
"""How many ended sessions it holds at most."""


class _Watcher:
    """What a watcher has not been told yet: ids, not changes, so that a slow one never has more than the instances."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        self.told = 0
        """The number of the last ended session that it was told about."""
        self.wake = asyncio.Event()

    def take(self) -> list[str]:
        """The next ids to tell about."""
        ids = list(self.changed)[:BATCH]
        for instance_id in ids:
            del self.changed[instance_id]
        return ids


class Directory:
    """A `Credentials` that has everything, for the time that it is entered.

    `account_issuer` is the `iss` of the access tokens of accounts.
    """

    def __init__(self, store: InstanceStore, ends: SessionEnds, clock: Clock, account_issuer: str) -> None:
        self._store = store
        self._ends = ends
        self._clock = clock
        self._account_issuer = account_issuer
        self._known: dict[str, InstanceCredentials] = {}
        self._versions: dict[str, int] = {}
        self._last_version = 0
        self._watchers: set[_Watcher] = set()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    async def __aenter__(self) -> Self:
        """Takes everything from the store."""
        await self._ends.take_over()
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

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        """See `Credentials`."""
        return self._ends.has(instance_id, session_id)

    def ended_sessions(self, instance_id: str) -> list[EndedSession]:
        """Those of an instance that still have to be remembered."""
        return self._ends.of(instance_id)

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

        return await self._to_its_end(change())

    async def ending(self, write: Awaitable[T]) -> T:
        """Waits for a store's write that may end sessions, and ends them everywhere; returns its result.

        Even if the caller is cancelled in between.
        """

        async def end() -> T:
            result = await write
            await self.end_sessions()
            return result

        return await self._to_its_end(end())

    async def end_sessions(self) -> None:
        """Ends everywhere what has ended in the store."""
        if await self._ends.take_over():
            for watcher in self._watchers:
                watcher.wake.set()

    async def watch(self) -> AsyncIterator[WatchCredentialsResponse]:
        """Everything, then what changes, until `end_watches`. Raises SHUTTING_DOWN then."""
        watcher = _Watcher()
        watcher.changed = dict.fromkeys(self._known)
        self._watchers.add(watcher)
        try:
            for news in self._news(watcher):
                yield news
            yield WatchCredentialsResponse(complete=True)
            while not self._ended:
                await watcher.wake.wait()
                watcher.wake.clear()
                for news in self._news(watcher):
                    yield news
            raise RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
        finally:
            self._watchers.discard(watcher)

    def end_watches(self) -> None:
        """Ends all watches, so that the server can stop."""
        self._ended = True
        for watcher in self._watchers:
            watcher.wake.set()

    def _news(self, watcher: _Watcher) -> Iterator[WatchCredentialsResponse]:
        """What the watcher has not been told yet, also what comes in between."""
        while True:
            # Sessions first: the credentials of an instance would let in who has logged out.
            if ended := self._ends.after(watcher.told, ENDED_BATCH):
                watcher.told = ended[-1][0]
                yield WatchCredentialsResponse(ended_sessions=[session for _, session in ended])
            elif watcher.changed:
                yield self._changes(watcher.take())
            else:
                return

    def _changes(self, instance_ids: list[str]) -> WatchCredentialsResponse:
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
        return InstanceCredentials(
            instance=known.instance,
            keys=keys,
            account_keys=known.account_keys,
            account_issuer=self._account_issuer if known.account_keys else "",
        )

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work that goes on even if nobody waits for it any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _put(self, instance_id: str, credentials: InstanceCredentials | None) -> None:
        if credentials == self._known.get(instance_id):
            return
        if credentials is None:
            self._known.pop(instance_id, None)
        else:
            self._known[instance_id] = credentials
        self._last_version += 1
        self._versions[instance_id] = self._last_version
        for watcher in self._watchers:
            watcher.changed[instance_id] = None
            watcher.wake.set()
