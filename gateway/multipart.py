"""The file of a `multipart/form-data` body (RFC 7578), read as it arrives: nothing is ever held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Self

from gateway.edge import EdgeError, EdgeReason
from gateway.form_reader import FormReader, boundary_of
from services.common.rules import required

MAX_PARTS = 16


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
        reader = _Reader(boundary_of(content_type, EdgeError(EdgeReason.FORM_MALFORMED)), field)
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


class _Reader(FormReader):
    """Gives the bytes of the file."""

    def __init__(self, boundary: bytes, field: str) -> None:
        super().__init__(boundary, MAX_PARTS)
        self._field = field.encode()
        self._pieces: list[bytes] = []
        self._in_file = False
        self.file_type: str | None = None
        """The file's media type; empty if it has none, None until its part begins."""

    def take(self) -> list[bytes]:
        """The bytes of the file that have arrived since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def part_begins(self, parameters: Mapping[bytes, bytes]) -> None:
        """See `FormReader`."""
        if parameters.get(b"name") == self._field and self.file_type is None:
            self._in_file = True
            self.file_type = self.content_type

    def part_goes_on(self, data: bytes) -> bool:
        """See `FormReader`."""
        if self._in_file:
            self._pieces.append(data)
        return self._in_file

    def part_ends(self) -> None:
        """See `FormReader`."""
        self._in_file = False
