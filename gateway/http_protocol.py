"""HTTP/1.1 for the gateway: uvicorn's protocol, more tolerant of paths, less of size and of slow clients."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway import cors
from gateway.edge import EdgeReason
from gateway.live.handshake import handshake
from gateway.live.websocket import Socket
from gateway.response import Pushed, Response
from gateway.sender import Sender

if TYPE_CHECKING:
    from gateway.app import App
    from gateway.patience import Patience

MAX_HEAD_BYTES = 64 * 1024
"""The longest request line with headers; query strings of 16 KiB must pass (spec §3.5)."""
LINGERING_CONNECTIONS = 64
"""How many beyond the limit are told that they are too many, rather than just closed."""
MAX_DISCARDED_BYTES = 16 * 1024 * 1024
"""How much of a refused body is read, so that the client sees the refusal instead of a broken connection."""


class GatewayProtocol(HttpToolsProtocol):
    """Some SDK calls do not encode ids, while httptools refuses every byte beyond ASCII in a request line (spec §1.3).

    Such bytes are percent-encoded here. Without a limit on the head, a client could fill the memory; without limits on
    time, it could keep its connections for ever.
    """

    def __init__(
        self,
        *arguments: Any,
        server_app: App,
        patience: Patience,
        max_connections: int,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._server_app = server_app
        self._patience = patience
        self._max_connections = max_connections
        self._in_head = True
        self._in_request_line = True
        self._held = b""
        self._head_bytes = 0
        self._head_timed = False
        self._discarded_bytes = 0
        self._unanswered = 0
        self._streamed = False
        self._refused = False
        self._last = False
        """The answer on its way is the connection's last."""
        self._pushed: Pushed | None = None
        """The answer on its way, if it is one without end."""
        self._stopping = False
        self._deadline = math.inf
        """When the client must have sent more."""
        self._taking_deadline = math.inf
        """When it must have taken more."""
        self._untaken_bytes = 0

    @property
    def is_ending(self) -> bool:
        """The client has been sent the last of what it gets."""
        return self._refused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Called by the event loop."""
        super().connection_made(transport)
        # Each request's `scope["state"]`. `abort` ends an answer that cannot be completed, without waiting for the
        # client; `streams` is called by whoever takes the body as it arrives; `push` is added to them.
        self.app_state = {"abort": transport.abort, "streams": self._streams}
        self._head_timed = True
        self._deadline = self.loop.time() + self._patience.head
        excess = len(self.connections) - self._max_connections
        if excess > LINGERING_CONNECTIONS:
            self._refused = True
            self._close()
        elif excess > 0 and excess > sum(
            isinstance(other, GatewayProtocol) and other.is_ending for other in self.connections
        ):
            # Those that only linger do not count. They are counted only then: thousands of clients may come at once.
            self._refuse(EdgeReason.TOO_MANY_CONNECTIONS)

    def data_received(self, data: bytes) -> None:
        """Hands the bytes on to the parser."""
        if self._refused or self._pushed is not None:
            self._discard(len(data))
            return
        if self._in_head:
            if self._head_bytes == 0:
                data = data.lstrip(b"\r\n")  # some clients end a body with an extra line
                if not data:
                    return
            self._head_bytes += len(data)
            if self._in_request_line:
                data = self._request_line(self._held + data)
        self._feed(data)
        if self.transport.get_protocol() is not self:
            return
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(EdgeReason.HEAD_TOO_LARGE)
        self._expect_more()

    def _request_line(self, data: bytes) -> bytes:
        """The data with its first line in ASCII; holds that line back until it is whole: a character may be split."""
        self._held = b""
        line, newline, rest = data.partition(b"\n")
        self._in_request_line = not newline
        if line.isascii() or not line[:1].isalpha():  # a TLS handshake, for one, is the parser's to refuse
            return data
        if not newline:
            self._held = data
            return b""
        return _escaped(line) + newline + rest

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                try:
                    self.parser.feed_data(rest)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    rest = rest[upgrade.args[0] :]
                    if self._became_socket(bytes(rest)):
                        return
                    self._start_again_without_upgrade()
            except httptools.HttpParserError:
                self._refuse(EdgeReason.REQUEST_MALFORMED)
                return

    def _became_socket(self, early: bytes) -> bool:
        """Makes the connection a WebSocket if that is what the client asks for, and nothing else is going on."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if self._unanswered or (method, version) != (b"GET", "1.1"):
            return False
        answer = handshake(self.url, self.headers)
        if answer is None:
            return False
        state = self.server_state
        self.connections.discard(self)
        self.transport.write(answer)
        peer = self._server_app.peer({**self.scope, "headers": self.headers})
        socket = Socket(self._server_app, peer, state, self._patience)
        self.transport.set_protocol(socket)
        socket.connection_made(self.transport)
        if early:
            socket.data_received(early)
        return True

    def _start_again_without_upgrade(self) -> None:
        """Ignores an `Upgrade`, as a server may (RFC 9110 §7.8): `curl --http2` and Java send it with any request.

        The parser takes what follows such a head, a body for one, for bytes of the other protocol, so that another one
        gets the same head without it. The callbacks below have let the first one pass.
        """
        method = self.parser.get_method()
        first = b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())
        lines = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        if method == b"CONNECT":  # for the parser an upgrade of itself
            raise httptools.HttpParserError
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(b"\r\n".join((first, *lines, b"\r\n")))

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._head_bytes = max(self._head_bytes, 1)  # the head of a pipelined request begins inside earlier data
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self._unanswered += 1
        self._in_head = False
        self._in_request_line = False
        self._head_timed = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Called when a request's turn has come."""
        sender = Sender(cycle, self._answers_last)
        cycle.scope["state"]["push"] = functools.partial(self._push, cycle)
        super()._start_asgi_task(cycle, lambda scope, receive, _: app(scope, receive, sender))

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if self.cycle.response_complete:
            self._discard(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.parser.should_upgrade():
            return
        self._in_head = True
        self._in_request_line = True
        self._head_bytes = 0
        self._discarded_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called when an answer is out: uvicorn's, without its timer."""
        self.server_state.total_requests += 1
        self._unanswered -= 1
        self._streamed = False
        if self.transport.is_closing():
            self._close()
            return
        if self._last:
            self._end()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        self._expect_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        super().connection_lost(exc)
        if self._pushed is not None:
            self._pushed.lost()

    def shutdown(self) -> None:
        """Called when the gateway stops."""
        self._stopping = True
        if self._pushed is not None:
            self._pushed.stop()
        else:
            super().shutdown()

    def _push(self, cycle: RequestResponseCycle, pushed: Pushed) -> asyncio.Transport:
        """Gives the connection to an answer without end, as `Push`: what the client has sent behind it is dropped."""
        self._pushed = pushed
        self.cycle = cycle
        self.pipeline.clear()
        self._unanswered = 1
        self._in_head, self._head_bytes = True, 0
        self._deadline = math.inf
        self.flow.resume_reading()
        if cycle.disconnected:
            pushed.lost()
        elif self._stopping:
            pushed.stop()
        return self.transport

    def pause_writing(self) -> None:
        """Called by the event loop, when the client does not take its answer as fast as it is made."""
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        super().resume_writing()
        self._taking_deadline = math.inf
        if self.transport.is_closing():
            self._expect_taking()

    def check(self, now: float) -> None:
        """Ends the connection if its client keeps us waiting for too long; called every now and then."""
        if now >= self._taking_deadline:
            untaken = self.transport.get_write_buffer_size()
            if untaken >= self._untaken_bytes:
                self.transport.abort()
            self._expect_taking()
        if now >= self._deadline:
            if self.flow.read_paused:  # it is us who do not read
                self._deadline = now + self._patience.body
            elif self._refused:
                self._close()
            elif not self._in_head:
                self._refuse(EdgeReason.BODY_TOO_SLOW)
            elif self._head_bytes:
                self._refuse(EdgeReason.HEAD_TOO_SLOW)
            else:
                self._close()

    def _streams(self) -> None:
        self._streamed = True
        self._expect_more()

    def _expect_more(self) -> None:
        """Sets the time for what the client must send next, if anything."""
        if self._refused:
            return
        if not self._in_head:
            seconds = math.inf if self._streamed else self._patience.body
        elif self._head_bytes:
            if self._head_timed:
                return
            self._head_timed = True
            seconds = self._patience.head
        else:
            seconds = math.inf if self._unanswered else self._patience.idle
        self._deadline = self.loop.time() + seconds

    def _expect_taking(self) -> None:
        self._untaken_bytes = self.transport.get_write_buffer_size()
        self._taking_deadline = self.loop.time() + self._patience.taking if self._untaken_bytes else math.inf

    def _refuse(self, reason: EdgeReason) -> None:
        """Says why, and ends the connection; if an earlier request is being answered, that answer ends it."""
        if self._refused:
            return
        self._refused = True
        self._deadline = math.inf
        if self._in_head and self._unanswered:
            self.cycle.keep_alive = False
            return
        if not self._in_head:
            self.cycle.disconnected = True  # as for a client that has left inside the body
            self.cycle.message_event.set()
        if self._in_head or not (self.cycle.response_started or self.pipeline):
            self.transport.write(self._as_bytes(self._server_app.refuse(reason)))
            self._linger()
        else:
            self._close()

    def _answers_last(self) -> None:
        self._last = True

    def _end(self) -> None:
        """Ends the connection after its last answer."""
        if self._in_head and not self._head_bytes:
            self._close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Ends the connection for what we send, and takes in what the client still does, for a while.

        To close it while something of the client's is unread would take the answer back (RFC 9112 §9.6).
        """
        self._refused = True
        self.flow.resume_reading()
        self._deadline = self.loop.time() + self._patience.lingering
        self._expect_taking()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _discard(self, size: int) -> None:
        self._discarded_bytes += size
        if self._discarded_bytes > MAX_DISCARDED_BYTES:
            self._close()

    def _as_bytes(self, response: Response) -> bytes:
        headers = (
            *self.server_state.default_headers,
            *response.headers,
            *cors.response_headers({}, credentials=False),
            (b"cache-control", response.cache_control),
            (b"content-length", b"%d" % len(response.body)),
            (b"connection", b"close"),
        )
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return STATUS_LINE[response.status] + lines + b"\r\n" + response.body

    def _close(self) -> None:
        self._deadline = math.inf
        self.transport.close()
        self._expect_taking()


def _escaped(line: bytes) -> bytes:
    """The line in ASCII. Node writes characters up to U+00FF as one byte: what is no UTF-8 is read so."""
    try:
        line.decode()
    except UnicodeDecodeError:
        line = line.decode("latin-1").encode()
    return b"".join(b"%c" % byte if byte < 128 else b"%%%02X" % byte for byte in line)
