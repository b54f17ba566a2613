"""The file of a `multipart/form-data` body (RFC 7578), read as it arrives: nothing is ever held whole."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Self

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.edge import EdgeError, EdgeReason
from services.common.rules import required

MAX_PARTS = 16
MAX_REST_BYTES = 64 * 1024
"""All that a form may have besides the file's bytes: preamble, heads of parts, other fields, epilogue."""

# It reports what a client does wrong, which any client can do at any rate it likes.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class FormFile:
    """The file in the form's first field of a name.

    Raises, now or while it is read, FORM_MALFORMED, FORM_TOO_LARGE or FIELD_REQUIRED, and what the body raises.
    """

    def __init__(self, reader: _Reader, body: AsyncIterator[bytes], content_type: str) -> None:
        self._reader = reader
        self._body = body
        self._taken = False
        self.content_type = content_type
        """As the part's head has it, empty if it has none."""

    @classmethod
    async def open(cls, content_type: str, body: AsyncIterator[bytes], field: str) -> Self:
        """Reads up to the head of the file's part. `content_type` is the request's own."""
        reader = _Reader(_boundary(content_type), field)
        async for chunk in body:
            reader.feed(chunk)
            if reader.file_type is not None:
                return cls(reader, body, reader.file_type)
            if reader.ended:
                break
        raise required(field) if reader.ended else EdgeError(EdgeReason.FORM_MALFORMED)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The file's bytes, once. They end when the form has: a body that breaks off is no whole file."""
        if self._taken:
            raise RuntimeError("the file has been read already")
        self._taken = True
        for piece in self._reader.take():
            yield piece
        async for chunk in self._body:
            self._reader.feed(chunk)
            for piece in self._reader.take():
                yield piece
        if not self._reader.ended:
            raise EdgeError(EdgeReason.FORM_MALFORMED)


def _boundary(content_type: str) -> bytes:
    media_type, parameters = parse_options_header(content_type if len(content_type) <= 1024 else "")
    boundary = parameters.get(b"boundary", b"")
    if media_type != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        raise EdgeError(EdgeReason.FORM_MALFORMED)
    return boundary


class _Reader:
    """Takes the body in any pieces, and gives the bytes of the file."""

    def __init__(self, boundary: bytes, field: str) -> None:
        self._field = field.encode()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._head_end,
                "on_part_data": self._data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )
        self._pieces: list[bytes] = []
        self._rest = 0
        self._parts = 0
        self._head: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._in_file = False
        self.file_type: str | None = None
        """The file's media type; empty if it has none, None until its part begins."""
        self.ended = False
        """The form is complete."""

    def feed(self, chunk: bytes) -> None:
        """Reads on. Raises EdgeError (FORM_MALFORMED, FORM_TOO_LARGE)."""
        self._rest += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise EdgeError(EdgeReason.FORM_MALFORMED) from error
        if self._rest > MAX_REST_BYTES:
            raise EdgeError(EdgeReason.FORM_TOO_LARGE)

    def take(self) -> list[bytes]:
        """The bytes of the file that have arrived since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise EdgeError(EdgeReason.FORM_TOO_LARGE)
        self._head = {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._head[self._name.lower()] = self._value
        self._name = self._value = b""

    def _head_end(self) -> None:
        disposition, parameters = parse_options_header(self._head.get(b"content-disposition"))
        is_file = disposition == b"form-data" and parameters.get(b"name") == self._field
        if is_file and self.file_type is None:
            self._in_file = True
            self.file_type = self._head.get(b"content-type", b"").decode("latin-1").strip()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._rest -= end - start
            self._pieces.append(data[start:end])

    def _part_end(self) -> None:
        self._in_file = False

    def _end(self) -> None:
        self.ended = True
