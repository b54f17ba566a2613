"""A service with everything it needs: started in order, stopped in the opposite one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from services.common import process
from services.common.server import ServiceServer
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import Database, migrate


class Service:
    """A gRPC server and what it works with, such as a database, channels and background work.

    `before_stop` is called before the server stops: it ends streams that would never end by themselves.
    """

    def __init__(
        self,
        server: ServiceServer,
        resources: Sequence[AbstractAsyncContextManager[object]],
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._resources = resources
        self._before_stop = before_stop
        self._started = contextlib.AsyncExitStack()

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._server.port

    async def start(self, address: str) -> None:
        """Opens what it needs and listens at `host:port`; port 0 picks a free one. No other service needs to be up.

        Raises RuntimeError if the port is taken or another process works on the data folder.
        """
        async with contextlib.AsyncExitStack() as started:
            for resource in self._resources:
                await started.enter_async_context(resource)
            await self._server.start(address)
            self._started = started.pop_all()

    async def stop(self) -> None:
        """Lets calls in flight finish within the grace time, then closes everything."""
        self._before_stop()
        try:
            await self._server.stop()
        finally:
            await self._started.aclose()


@contextlib.asynccontextmanager
async def stored(folder: ServiceFolder, database: Database, migrations: Path) -> AsyncIterator[None]:
    """A migrated database, open for the time of the block, with the folder locked."""
    await asyncio.to_thread(folder.open)
    try:
        await asyncio.to_thread(migrate, folder.database, migrations)
        await database.open()
        try:
            yield
        finally:
            await database.close()
    finally:
        folder.close()


@contextlib.asynccontextmanager
async def background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Work that runs for the time of the block; it is cancelled at the end."""
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def run(name: str, build: Callable[[Settings], Service], address: Callable[[Settings], str]) -> None:
    """Runs a service as this process, at the address that the settings give it, until it is told to end."""

    async def serve(settings: Settings, stop: asyncio.Event) -> None:
        service = build(settings)
        await service.start(address(settings))
        await stop.wait()
        await service.stop()

    process.run(name, serve)
