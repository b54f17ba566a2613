"""Subscriptions over HTTP: an answer without end, whatever its events look like."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from gateway.live.delivery import MAX_UNTAKEN_BYTES, Admission, Delivery
from gateway.response import Header, Response

if TYPE_CHECKING:
    from starlette.types import Send

    from gateway.live.outlet import LiveEndpoint
    from gateway.request import Request
    from gateway.response import Push

UNBUFFERED: tuple[Header, ...] = (
    (b"connection", b"close"),  # nothing can follow
    (b"x-accel-buffering", b"no"),  # some proxies would hold events back until they have more of them
)


class EndlessDelivery(Delivery):
    """The answer to one request. What it says goes straight to the connection, without a task to wake."""

    __slots__ = ("_decided", "_last", "_over", "_seconds", "_streams", "_timer", "_transport", "_unsent")

    headers: ClassVar[tuple[Header, ...]]
    """Those of the answer."""

    def __init__(self, endpoint: LiveEndpoint, request: Request, admission: Admission, seconds: float) -> None:
        """`seconds` are those between two keep-alives."""
        super().__init__(endpoint, request, admission)
        self._seconds = seconds
        self._decided = asyncio.Event()
        """Set when the subscription is open, or never will be."""
        self._over = asyncio.Event()
        self._streams = False
        """The subscription has been open."""
        self._unsent: list[bytes] = []
        """What is to be said when the head is out, or later in this turn of the loop: a system call costs more than a
        block, and after a lost connection many blocks come at once."""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last: Response | None = None
        """What the subscription ended with, if the client is still there."""

    async def opening(self) -> Response:
        """The head of the stream; the refusal, if there is none."""
        try:
            await self._request.while_here(self._until_open())
        except BaseException:
            self.leave()
            raise
        if self._last is not None and not self._streams:
            return self._last
        return Response(200, headers=self.headers, pushed=self)

    async def _until_open(self) -> None:
        await self.start()
        await self._decided.wait()

    async def run(self, send: Send, push: Push) -> None:
        """Sends events until the subscription ends or the client leaves; the head is out."""
        self._transport = push(self)
        try:
            if self._last is None and not self._over.is_set():
                self._unsent.insert(0, _chunk(self._first()))
                self._wait_to_beat()
            self._flush()
            await self._over.wait()
            self._flush()
            if self._last is not None:
                await send({"type": "http.response.body", "body": self._farewell(self._last)})
        except asyncio.CancelledError:  # the grace time is over
            self._transport.abort()
        finally:
            self._stop_beating()
            self.leave()

    async def in_turn(self) -> None:
        """As `Outlet.in_turn`: it has its connection for itself."""

    def lost(self) -> None:
        """The connection is gone."""
        self.leave()
        self._stop_beating()
        self._last = None
        self._over.set()

    @abstractmethod
    def _first(self) -> bytes:
        """What comes before all events."""

    @abstractmethod
    def _keep_alive(self) -> bytes:
        """What comes when nothing else does."""

    @abstractmethod
    def _farewell(self, response: Response) -> bytes:
        """What comes when the subscription ends with that."""

    def _send_open(self) -> None:
        self._streams = True
        self._decided.set()

    def _send_end(self, response: Response | None) -> None:
        self._last = response or Response(204)
        self._stop_beating()
        self._decided.set()
        self._over.set()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(_chunk(data))

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        transport = self._transport
        if transport is None or not unsent or transport.is_closing():
            return  # of a closing one, `lost` is on its way
        if transport.get_write_buffer_size() > MAX_UNTAKEN_BYTES:
            transport.abort()
        else:
            transport.write(b"".join(unsent))

    def _beat(self) -> None:
        self._write(self._keep_alive())
        self._wait_to_beat()

    def _wait_to_beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._beat)

    def _stop_beating(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
