"""How answers go onto the wire: head and body in one piece."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_TEXT = bytes(byte for byte in range(256) if byte == ord("\t") or (byte >= ord(" ") and byte != 0x7F))
"""What a line of a head may consist of."""


class Sender:
    """ASGI's `send` for one request. Holds a head back until the body comes, and writes both at once.

    Uvicorn's own writes them one after the other, which costs both ends a system call more, and searches each header by
    itself for what must not be in one. It still sends all that is less usual: streams, HEAD, bodies of unknown length,
    the last answer of a connection, what a client that is slow or gone shall get, and wrong lengths, which it refuses.
    """

    __slots__ = ("_cycle", "_is_last", "_length", "_start")

    def __init__(self, cycle: RequestResponseCycle, is_last: Callable[[], None]) -> None:
        """`is_last` is called before the end of an answer that ends the connection; it is then for others to end it."""
        self._cycle = cycle
        self._is_last = is_last
        self._start: Any = None
        self._length = b""

    async def __call__(self, message: Any) -> None:
        """Sends a message of the application."""
        start = self._start
        if start is not None:
            self._start = None
            body = message.get("body", b"")
            if self._is_usual(message, body):
                self._write(start, body)
                return
            await self._send(start)
        elif message["type"] == "http.response.start":
            headers = dict(message["headers"])
            if b"content-length" in headers and b"connection" not in headers:
                self._start, self._length = message, headers[b"content-length"]
                return
        await self._send(message)

    async def _send(self, message: Any) -> None:
        cycle = self._cycle
        if not cycle.keep_alive and message["type"] == "http.response.body" and not message.get("more_body"):
            cycle.keep_alive = True  # the head has said otherwise; of itself it would close the connection at once
            self._is_last()
        await cycle.send(message)

    def _is_usual(self, message: Any, body: bytes) -> bool:
        cycle = self._cycle
        return (
            cycle.keep_alive
            and not message.get("more_body")
            and not cycle.disconnected
            and not cycle.flow.write_paused
            and cycle.scope["method"] != "HEAD"
            and self._length == b"%d" % len(body)
        )

    def _write(self, start: Any, body: bytes) -> None:
        cycle = self._cycle
        headers = [*cycle.default_headers, *start["headers"]]
        lines = [b"%b: %b\r\n" % header for header in headers]
        head = b"".join((STATUS_LINE[start["status"]], *lines, b"\r\n"))
        if head.translate(None, _TEXT) != b"\r\n" * (len(headers) + 2):
            raise ValueError("a control character in a header")
        cycle.response_started = cycle.response_complete = True
        cycle.transport.writelines((head, body))
        cycle.message_event.set()
        cycle.on_response()
