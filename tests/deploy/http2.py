"""A client over real HTTP/2: calls, bodies in pieces, and streams without end, many on one connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPMessage
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from tests.wire.client import Reply

SECONDS = 60.0
"""How long anything may take on a machine that is busy."""
_WINDOW = 1024 * 1024
_CANCEL = 8


class Stream:
    """One request and its answer, as far as it has come."""

    def __init__(self, connection: Http2Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._lines = b""
        self.status = 0
        self.headers = HTTPMessage()
        self.body = bytearray()
        """What has arrived and was not taken."""
        self.ended = False
        self.reset_by_server = False

    @property
    def is_over(self) -> bool:
        """Nothing more comes."""
        return self.ended or self.reset_by_server

    def begin(self) -> Self:
        """Waits for the head of the answer."""
        self._connection.wait(lambda: bool(self.status) or self.is_over)
        assert self.status, "the stream ended without an answer"
        return self

    def reply(self) -> Reply:
        """Waits for all of the answer."""
        self._connection.wait(lambda: self.is_over)
        assert self.ended, "the stream was reset"
        return Reply(self.status, self.headers, bytes(self.body))

    def line(self) -> bytes:
        """Waits for the next line of the answer."""
        self._connection.wait(lambda: b"\n" in self.body or self.is_over)
        line, newline, rest = self.body.partition(b"\n")
        assert newline, "the stream ended without saying so"
        self.body = rest
        return bytes(line)

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Sends a piece of the body, as fast as it is taken, unless the answer is there already."""
        self._connection.send_body(self, self._number, data, last=last)

    def cancel(self) -> None:
        """Takes the request back; the connection stays."""
        self._connection.cancel(self._number)

    def take(self, event: Event) -> None:
        """Called for everything that arrives."""
        match event:
            case ResponseReceived():
                for name, value in event.headers:
                    if name == b":status":
                        self.status = int(value)
                    else:
                        self.headers.add_header(name.decode(), value.decode("latin-1"))
            case DataReceived():
                self.body += event.data
            case StreamEnded():
                self.ended = True
            case StreamReset():
                self.reset_by_server = True


class Http2Connection:
    """One connection; nothing happens on it but while somebody waits."""

    def __init__(self, port: int, tls: ssl.SSLContext, name: str, source: str) -> None:
        self._name = f"{name}:{port}"
        plain = socket.create_connection(("127.0.0.1", port), timeout=SECONDS, source_address=(source, 0))
        self._socket = tls.wrap_socket(plain, server_hostname=name)
        assert self._socket.selected_alpn_protocol() == "h2"
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._streams: dict[int, Stream] = {}
        self._ready = False
        self._flush()
        self.wait(lambda: self._ready)  # before that, the server's settings are unknown

    @property
    def max_streams(self) -> int:
        """How many requests may be open at once."""
        return self._h2.remote_settings.max_concurrent_streams

    def close(self) -> None:
        """Leaves, with everything that is open."""
        self._socket.close()

    def open(
        self, method: str, target: str | bytes, headers: Mapping[str, str], *, host: str = "", more: bool = False
    ) -> Stream:
        """Sends the head of a request with exactly this target; `more` if a body follows."""
        path = target.encode() if isinstance(target, str) else target
        authority = host or self._name
        fields = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", authority.encode())]
        fields += [(b":path", path), *((name.lower().encode(), value.encode()) for name, value in headers.items())]
        number = self._h2.get_next_available_stream_id()
        self._h2.send_headers(number, fields, end_stream=not more)
        stream = Stream(self, number)
        self._streams[number] = stream
        self._flush()
        return stream

    def call(self, method: str, target: str | bytes, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        """A request and all of its answer."""
        stream = self.open(method, target, headers, more=body is not None)
        if body is not None:
            stream.send(body, last=True)
        return stream.reply()

    def send_body(self, stream: Stream, number: int, data: bytes, *, last: bool) -> None:
        """See `Stream.send`."""
        rest = memoryview(data)
        while not stream.is_over:
            size = min(len(rest), self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if rest and not size:
                self._receive()
                continue
            ends = last and size == len(rest)
            self._h2.send_data(number, bytes(rest[:size]), end_stream=ends)
            self._flush()
            rest = rest[size:]
            if not rest:
                return

    def cancel(self, number: int) -> None:
        """See `Stream.cancel`."""
        self._h2.reset_stream(number, _CANCEL)
        self._flush()

    def wait(self, done: Callable[[], bool]) -> None:
        """Takes in what arrives until it is done. Raises TimeoutError if nothing comes."""
        while not done():
            self._receive()

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the connection was closed")
        for event in self._h2.receive_data(data):
            match event:
                case ConnectionTerminated():
                    raise ConnectionResetError(f"the connection was ended: {event.error_code}")
                case RemoteSettingsChanged():
                    self._ready = True
                case DataReceived():
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            number = getattr(event, "stream_id", None)
            if number in self._streams:
                self._streams[number].take(event)
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


@contextmanager
def connected(port: int, tls: ssl.SSLContext, name: str, source: str = "127.0.0.1") -> Iterator[Http2Connection]:
    """A connection from this address, for the time of the block."""
    connection = Http2Connection(port, tls, name, source)
    try:
        yield connection
    finally:
        connection.close()
