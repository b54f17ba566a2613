"""A web server that notes what is posted to it, and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


Reply = Callable[[Posted], Awaitable[web.StreamResponse]]


async def accept(_: Posted) -> web.StreamResponse:
    """What a receiver answers that is content."""
    return web.Response(status=204)


def refuse(status: int, **headers: str) -> Reply:
    """Answers with a status."""

    async def reply(_: Posted) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return reply


class Receiver:
    """What was posted, in order. `reply` may be changed at any time."""

    def __init__(self) -> None:
        self.reply: Reply = accept
        self.url = ""
        self.posted: list[Posted] = []
        self._arrived = asyncio.Condition()

    async def until(self, done: Callable[[list[Posted]], bool], seconds: float = 60) -> list[Posted]:
        """Waits until what was posted is as wanted."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: done(self.posted))
        return self.posted

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Handles a request."""
        headers = {name.lower(): text for name, text in request.headers.items()}
        posted = Posted(request.path_qs, headers, await request.read())
        async with self._arrived:
            self.posted.append(posted)
            self._arrived.notify_all()
        return await self.reply(posted)


@contextlib.asynccontextmanager
async def receiver(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """One that runs for the time of the block, on the loopback interface."""
    running = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", running.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True)
        await site.start()
        running.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield running
    finally:
        await runner.cleanup()
