"""Subscriptions over WebSockets: many on one connection, in JSON arrays (spec §10.1).

A protocol of the event loop's own, on the frames of `websockets`: no task and no queue for each socket, and an event
goes to the connection without waking anybody.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import orjson
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, SERVER, Protocol, State

from gateway.edge import EdgeError, EdgeReason
from gateway.live.delivery import MAX_UNTAKEN_BYTES, Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uvicorn.server import ServerState

    from gateway.app import App, Peer
    from gateway.live.outlet import LiveEndpoint
    from gateway.patience import Patience
    from gateway.request import Request
    from gateway.response import Response

MAX_MESSAGE_BYTES = 1024 * 1024
"""The largest message of a client."""
MAX_SUBSCRIPTIONS = 200
"""On one socket."""
MAX_SUBSCRIBE_BYTES = 16 * 1024
"""The largest message that subscribes: path and headers are kept as long as the subscription is open."""

_MAX_ID = 64
"""The longest id: every event of a subscription carries it."""
_RETRY_AFTER = b"retry-after"


class Socket(asyncio.Protocol):
    """One connection, from the end of its handshake."""

    __slots__ = (
        "_closing",
        "_connections",
        "_deadline",
        "_frames",
        "_heard",
        "_loop",
        "_parts",
        "_patience",
        "_peer",
        "_ping_at",
        "_pings",
        "_subscriptions",
        "_unwritten",
        "app",
        "transport",
    )

    def __init__(self, app: App, peer: Peer, state: ServerState, patience: Patience) -> None:
        self.app = app
        self._peer = peer
        self._connections = state.connections
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._frames = Protocol(SERVER, max_size=MAX_MESSAGE_BYTES)
        self._parts: list[bytes] = []
        """What has come of a message in several frames."""
        self._subscriptions: dict[bytes, SocketDelivery] = {}
        """By their ids, as the client writes them."""
        self._unwritten: list[bytes] = []
        """What has been sent in this turn of the event loop."""
        self._closing = False
        self._heard = self._loop.time()
        self._ping_at = self._heard + patience.ping
        self._pings = 0
        self._deadline = math.inf
        """When a connection that is being closed must be gone."""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Called when the handshake is over."""
        self.transport = transport
        self._connections.add(self)  # type: ignore[arg-type]  # uvicorn only calls its `shutdown`
        transport.set_write_buffer_limits(MAX_UNTAKEN_BYTES, 0)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Called by the event loop."""
        self._closing = True
        self._connections.discard(self)
        self._unwritten.clear()
        self._leave_all()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._heard = self._loop.time()
        frames = self._frames
        frames.receive_data(data)
        for frame in frames.events_received():
            if isinstance(frame, Frame) and not self._closing:
                self._take(frame)
        error = frames.parser_exc
        if error is not None and not self._closing:
            if isinstance(error, PayloadTooBig):
                self._close(EdgeReason.FRAME_TOO_LARGE, CloseCode.MESSAGE_TOO_BIG)
            elif frames.close_rcvd is None:
                self._close(EdgeReason.FRAME_MALFORMED, CloseCode.PROTOCOL_ERROR)
        self._flush()

    def eof_received(self) -> None:
        """Called by the event loop; the connection ends with it."""

    def pause_writing(self) -> None:
        """Called by the event loop when too much waits for the client."""
        if not self._closing:
            self._close(EdgeReason.READER_TOO_SLOW, CloseCode.TRY_AGAIN_LATER)

    def shutdown(self) -> None:
        """The gateway stops: every subscription is told so, and the connection closed."""
        for delivery in list(self._subscriptions.values()):
            delivery.stop()
        self._end(CloseCode.SERVICE_RESTART)

    def check(self, now: float) -> None:
        """Sends pings, and ends the connection if nothing comes from the client; called every now and then."""
        if now >= self._deadline or now - self._heard >= self._patience.silence:
            self.transport.abort()
        elif now >= self._ping_at and not self._closing:
            self._ping_at = now + self._patience.ping
            self._pings += 1
            self.send(b"[16,%d]" % self._pings)

    def send(self, *message: bytes) -> None:
        """Sends a text message, given in pieces (RFC 6455 §5.2).

        What is sent in one turn of the event loop goes out together: a call of the system costs more than all else.
        """
        if self._closing:
            return
        if not self._unwritten:
            self._loop.call_soon(self._write)
        size = sum(map(len, message))
        if size < 126:
            head = b"\x81%c" % size
        elif size < 65_536:
            head = b"\x81\x7e" + size.to_bytes(2)
        else:
            head = b"\x81\x7f" + size.to_bytes(8)
        self._unwritten += (head, *message)

    def begun_before(self, delivery: SocketDelivery) -> list[asyncio.Task[None]]:
        """What still opens subscriptions that the client asked for before this one; nothing if this one has ended."""
        earlier: list[asyncio.Task[None]] = []
        for other in self._subscriptions.values():
            if other is delivery:
                return earlier
            if other.task is not None:
                earlier.append(other.task)
        return []

    def drop(self, key: bytes) -> None:
        """Forgets a subscription that has ended."""
        self._subscriptions.pop(key, None)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            if frame.data:  # empty ones are not counted by the limit on a message
                self._parts.append(bytes(frame.data))
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                self._take_message(message)
        elif frame.opcode is Opcode.BINARY:
            self._close(EdgeReason.FRAME_MALFORMED, CloseCode.UNSUPPORTED_DATA)

    def _take_message(self, message: bytes) -> None:
        try:
            match orjson.loads(message):
                case [100, str() | int() as id_, str() as path, dict() as headers, *_] if _are_strings(headers):
                    self._subscribe(_key(id_), path, headers, len(message))
                case [198, str() | int() as id_, *_]:
                    delivery = self._subscriptions.pop(_key(id_), None)
                    if delivery is not None:
                        delivery.leave()
                case [16, str() | int() | float() as id_, *_]:
                    self.send(b"[17,%b]" % orjson.dumps(id_))
                case [17, *_]:
                    pass
                case _:
                    self._close(EdgeReason.FRAME_MALFORMED, CloseCode.POLICY_VIOLATION)
        except ValueError:
            self._close(EdgeReason.FRAME_MALFORMED, CloseCode.INVALID_DATA)

    def _subscribe(self, key: bytes, path: str, headers: Mapping[str, str], size: int) -> None:
        request = self.app.subscription_request(self._peer, path, headers)
        taken = self._subscriptions.get(key)
        try:
            if taken is not None:
                raise EdgeError(EdgeReason.SUBSCRIPTION_ID_TAKEN)
            if size > MAX_SUBSCRIBE_BYTES:
                raise EdgeError(EdgeReason.HEAD_TOO_LARGE)
            if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
                raise EdgeError(EdgeReason.TOO_MANY_ON_SOCKET, limit=str(MAX_SUBSCRIPTIONS))
            endpoint = self.app.subscription_endpoint(request)
        except EdgeError as error:
            if taken is not None:  # for the client it ends too
                taken.leave()
                self.drop(key)
            self.send(end_message(key, self.app.refusal(error, request)))
            return
        self._subscriptions[key] = SocketDelivery(self, key, endpoint, request)

    def _leave_all(self) -> None:
        for delivery in list(self._subscriptions.values()):
            delivery.leave()
        self._subscriptions.clear()

    def _close(self, reason: EdgeReason, code: CloseCode) -> None:
        """Says why, and closes the connection."""
        response = self.app.refuse(reason)
        self.send(b"[99,%d,%b,%b]" % (response.status, _headers(response), response.body))
        self._leave_all()
        self._end(code)

    def _end(self, code: CloseCode) -> None:
        if self._closing:
            return
        self._closing = True
        self._deadline = self._loop.time() + self._patience.lingering
        if self._frames.state is State.OPEN:
            self._frames.send_close(code)
        self._flush()

    def _write(self) -> None:
        if self._unwritten:
            data = b"".join(self._unwritten)
            self._unwritten.clear()
            self.transport.write(data)

    def _flush(self) -> None:
        """Sends what the protocol has to say by itself, and ends the connection when both sides have closed it."""
        frames = self._frames
        pieces = frames.data_to_send()
        if pieces:
            self._unwritten += pieces
            self._write()
        if SEND_EOF not in pieces:
            return
        self._closing = True
        if frames.close_rcvd is not None or not self.transport.can_write_eof():
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()  # after what was no frame, an answer to the end cannot be read


class SocketDelivery(Delivery):
    """One subscription of a socket."""

    __slots__ = ("_key", "_prefix", "_socket", "task")

    def __init__(self, socket: Socket, key: bytes, endpoint: LiveEndpoint, request: Request) -> None:
        super().__init__(endpoint, request, socket.app.admission)
        self._socket = socket
        self._key = key
        self._prefix = b"[102,%b," % key
        self.task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(self._start())
        """Opens the subscription; None when it has."""

    async def _start(self) -> None:
        await self.start()
        self.task = None

    async def in_turn(self) -> None:
        """As `Outlet.in_turn`."""
        if earlier := self._socket.begun_before(self):
            await asyncio.wait(earlier)

    def leave(self) -> None:
        """The client has left, perhaps before the subscription was open."""
        super().leave()
        self._cancel()

    def stop(self) -> None:
        """The gateway stops."""
        super().stop()
        self._cancel()

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def _send_open(self) -> None:
        self._socket.send(b"[101,%b,{}]" % self._key)

    def _send_event(self, tail: bytes) -> None:
        self._socket.send(self._prefix, tail)

    def _send_end(self, response: Response | None) -> None:
        self._socket.drop(self._key)
        self._socket.send(end_message(self._key, response))


def end_message(key: bytes, response: Response | None) -> bytes:
    """The end of the subscription with the id `key`: a normal one without a response."""
    if response is None:
        return b"[199,%b,204,{},{}]" % key
    return b"[199,%b,%d,%b,%b]" % (key, response.status, _headers(response), response.body or b"{}")


def _headers(response: Response) -> bytes:
    """One SDK looks for `Retry-After`, another one for `retry-after` (spec §10.5)."""
    seconds = dict(response.headers).get(_RETRY_AFTER)
    return b'{"Retry-After":"%b","retry-after":"%b"}' % (seconds, seconds) if seconds else b"{}"


def _key(id_: str | int) -> bytes:
    """The id as JSON. Raises ValueError if no subscription can have it."""
    key = orjson.dumps(id_)
    if isinstance(id_, bool) or len(key) > _MAX_ID:
        raise ValueError(id_)
    return b"%b" % key  # a copy: orjson's own keeps the buffer that it was made in, which is large


def _are_strings(headers: Mapping[str, Any]) -> bool:
    return all(isinstance(value, str) for value in headers.values())
