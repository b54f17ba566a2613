"""A wire between a client and a server that can be cut at the worst moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Wire:
    """Forwards connections to a server; see `wire_to`."""

    def __init__(self, target: str) -> None:
        self.target = target
        """Where connections lead from now on."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._whole = asyncio.Event()
        self._whole.set()
        self.address = ""

    def hold_answers(self) -> None:
        """What the server says from now on does not arrive."""
        self._answering.clear()

    def cut(self) -> None:
        """Breaks all connections, with what was held. New ones wait for `mend`."""
        self._whole.clear()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def mend(self) -> None:
        """Lets everything through again."""
        self._answering.set()
        self._whole.set()

    async def connected(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Carries one connection."""
        await self._whole.wait()
        try:
            host, _, port = self.target.rpartition(":")
            from_server, to_server = await asyncio.open_connection(host, int(port))
        except OSError:
            to_client.transport.abort()
            return
        self._writers |= {to_client, to_server}
        await asyncio.gather(self._ask(from_client, to_server), self._answer(from_server, to_client))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._answering.wait()
                writer.write(data)
        writer.transport.abort()


@contextlib.asynccontextmanager
async def wire_to(target: str) -> AsyncIterator[Wire]:
    """A wire to `host:port`, for the time of the block."""
    wire = Wire(target)
    listener = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    wire.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        listener.close()
        wire.cut()
        wire.mend()
