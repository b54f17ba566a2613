"""HTTP/2 by hand, for what no gRPC library would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MAX_FRAME = 16384

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM = ACK = 1
END_HEADERS = 4
CANCEL = (8).to_bytes(4, "big")
"""Why a stream is reset."""

Headers = Sequence[tuple[bytes, bytes]]


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    def serialized(self) -> bytes:
        """The frame as it is sent."""
        length, stream = len(self.payload).to_bytes(3, "big"), self.stream.to_bytes(4, "big")
        return length + bytes((self.kind, self.flags)) + stream + self.payload


class Http2:
    """A connection that sends any frames, and looks at answers only as far as needed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, address: str) -> AsyncIterator[Self]:
        """A connection to `host:port`, for the time of the block."""
        host, _, port = address.rpartition(":")
        connection = cls(*await asyncio.open_connection(host, int(port)))
        connection._writer.write(_PREFACE)
        connection.send(Frame(SETTINGS, 0, 0, b""))
        try:
            yield connection
        finally:
            connection._writer.transport.abort()

    def send(self, *frames: Frame) -> None:
        """Sends frames."""
        self._writer.write(b"".join(frame.serialized() for frame in frames))

    def call(self, stream: int, method: str, body: bytes, more: Headers = (), *, raw: bool = False) -> None:
        """Sends a unary gRPC call; `raw` says that the body has its prefix, or shall have none."""
        self.headers(stream, method, more)
        prefix = b"" if raw else b"\0" + len(body).to_bytes(4, "big")
        self.send(Frame(DATA, END_STREAM, stream, prefix + body))

    def headers(self, stream: int, method: str, more: Headers = ()) -> None:
        """Begins a call."""
        usual = (
            *((b":method", b"POST"), (b":scheme", b"http"), (b":path", method.encode()), (b":authority", b"localhost")),
            *((b"te", b"trailers"), (b"content-type", b"application/grpc")),
        )
        block = b"".join(_literal(name, value) for name, value in (*usual, *more))
        pieces = [block[start : start + _MAX_FRAME] for start in range(0, len(block), _MAX_FRAME)]
        for number, piece in enumerate(pieces):
            last = END_HEADERS if number == len(pieces) - 1 else 0
            self.send(Frame(CONTINUATION if number else HEADERS, last, stream, piece))

    async def end_of(self, stream: int) -> tuple[bytes, bool]:
        """What the server sent in the stream, and whether it ended in an orderly way.

        Raises ConnectionError if the server ends the connection instead.
        """
        data = b""
        while True:
            frame = await asyncio.wait_for(self._next(), 10)
            if frame.kind == GOAWAY:
                raise ConnectionError(f"the server ends the connection: {frame.payload[8:]!r}")
            if frame.kind == SETTINGS and not frame.flags & ACK:
                self.send(Frame(SETTINGS, ACK, 0, b""))
            elif frame.kind == PING and not frame.flags & ACK:
                self.send(Frame(PING, ACK, 0, frame.payload))
            elif frame.stream == stream:
                if frame.kind == DATA:
                    data += frame.payload
                if frame.kind == RST_STREAM:
                    return data, False
                if frame.kind in {DATA, HEADERS} and frame.flags & END_STREAM:
                    return data, True

    async def _next(self) -> Frame:
        try:
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the server has gone") from error
        return Frame(head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload)


def _literal(name: bytes, value: bytes) -> bytes:
    """A header as HPACK's literal without indexing, and without compression."""
    return b"\0" + _length(name) + name + _length(value) + value


def _length(data: bytes) -> bytes:
    """An HPACK integer with a prefix of seven bits."""
    number = len(data)
    if number < 127:
        return bytes((number,))
    number -= 127
    encoded = b"\x7f"
    while number >= 128:
        encoded += bytes((number % 128 + 128,))
        number //= 128
    return encoded + bytes((number,))
