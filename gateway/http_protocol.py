"""HTTP/1.1 for the gateway: uvicorn's protocol, more tolerant of paths and less of size."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""The longest request line with headers; query strings of 16 KiB must pass (spec §3.5)."""
MAX_DISCARDED_BYTES = 16 * 1024 * 1024
"""How much of a refused body is read, so that the client sees the refusal instead of a broken connection."""


class GatewayProtocol(HttpToolsProtocol):
    """Some SDK calls do not encode ids, while httptools refuses every byte beyond ASCII in a request line (spec §1.3).

    Such bytes are percent-encoded here. Without a limit on the head, a client could fill the memory.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._in_request_line = True
        self._held = b""
        self._head_bytes = 0
        self._discarded_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Hands the bytes on to the parser."""
        if self._in_head:
            if self._head_bytes == 0:
                data = data.lstrip(b"\r\n")  # some clients end a body with an extra line
            self._head_bytes += len(data)
            if self._in_request_line:
                data = self._request_line(self._held + data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

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

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._head_bytes = max(self._head_bytes, 1)  # the head of a pipelined request begins inside earlier data
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._in_head = False
        self._in_request_line = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._in_head = True
        self._in_request_line = True
        self._head_bytes = 0
        self._discarded_bytes = 0
        super().on_message_complete()


def _escaped(line: bytes) -> bytes:
    """The line in ASCII. Node writes characters up to U+00FF as one byte: what is no UTF-8 is read so."""
    try:
        line.decode()
    except UnicodeDecodeError:
        line = line.decode("latin-1").encode()
    return b"".join(b"%c" % byte if byte < 128 else b"%%%02X" % byte for byte in line)
