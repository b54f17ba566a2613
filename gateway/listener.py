"""One listening socket with uvicorn behind it, started and stopped by us."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import uvicorn

from gateway.app import App
from gateway.http_protocol import GatewayProtocol
from gateway.live.websocket import Socket
from gateway.patience import Patience

log = structlog.get_logger()

BACKLOG = 2048
LEAVING_SECONDS = 1.0
LEAVING_LOOK_SECONDS = 0.02
UNREACHABLE_SECONDS = 60
"""How long a client may be out of reach. Of itself the system gives up after a quarter of an hour, or never, and the
client of a stream over HTTP, which sends nothing, would be online as long."""
RESERVED_FILES = 256
"""Open files that are no connections of clients: the channels to the services, libraries, logs."""

_OURS = (GatewayProtocol, Socket)


class Certificate(NamedTuple):
    """PEM files for TLS."""

    chain: Path
    key: Path | None
    """None if the chain's file holds the key too."""


class _Server(uvicorn.Server):
    """Leaves signals to the process (one handler for all listeners), says when it listens, and watches slow clients."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def watch(self, seconds: float) -> None:
        """Looks at every connection, and waits, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            now = loop.time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _OURS):
                    connection.check(now)

    async def leave(self, seconds: float) -> None:
        """Gives clients that are still sending the time to read their last answer, then closes what is open."""
        connections = self.server_state.connections
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while connections:  # noqa: ASYNC110 - uvicorn's set, which tells nobody
                    await asyncio.sleep(LEAVING_LOOK_SECONDS)
        for connection in list(connections):
            if isinstance(connection, _OURS):
                connection.transport.abort()


class Listener:
    """A plain or TLS listener."""

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        grace_seconds: float,
        certificate: Certificate | None = None,
        max_connections: int = 1000,
        patience: Patience | None = None,
    ) -> None:
        _log_through_structlog()
        self._patience = patience or Patience()
        protocol: Any = functools.partial(
            GatewayProtocol, server_app=app, patience=self._patience, max_connections=max_connections
        )
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",  # see `gateway/live/websocket.py`
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=math.ceil(grace_seconds),
            ssl_certfile=certificate.chain if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
        )
        config.load()  # a certificate that cannot be read fails here, before anything listens
        self._server = _Server(config)
        self._address = host, port
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.port = port
        """Where it listens, once started; port 0 picks a free one."""

    async def start(self) -> None:
        """Returns when connections are accepted. Raises OSError if the port is taken."""
        bound = bind(*self._address)
        self.port = bound.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([bound]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            self._task.result()
        self._watch = asyncio.create_task(self._server.watch(self._patience.look))

    async def stop(self) -> None:
        """Accepts no more, lets requests in progress end within the grace time, and closes idle connections at once."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            await self._server.leave(LEAVING_SECONDS)
        if self._watch is not None:
            self._watch.cancel()


def connection_limit(wanted: int, listeners: int) -> int:
    """How many connections each listener may have: as many as wanted, if the process may open so many files.

    Without a limit, clients could have all of them, and nobody else would be let in.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * listeners + RESERVED_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, (soft - RESERVED_FILES) // listeners)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; several gateway processes may share its port. Its connections inherit its options."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=True)
    # Two small messages, one after the other, would wait for each other (Nagle).
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, UNREACHABLE_SECONDS // 2)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, UNREACHABLE_SECONDS // 6)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREACHABLE_SECONDS * 1000)
    return bound


class _StructlogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.error(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _log_through_structlog() -> None:
    """Uvicorn's errors go where ours go. Its warnings do not: any client can cause them, at any rate it likes."""
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(_StructlogHandler())
