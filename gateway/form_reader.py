"""The parser of `multipart/form-data` bodies (RFC 7578), for whoever takes their parts as they arrive."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.edge import EdgeError, EdgeReason

MAX_REST_BYTES = 64 * 1024
"""All that a form may have besides the bytes of its files: preamble, heads of parts, other fields, epilogue."""
MAX_HEADER_BYTES = 16 * 1024
"""One line of a part's head: names of files are cut, not refused, so even absurd ones have to fit."""

# It reports what a client does wrong, which any client can do at any rate it likes.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


def boundary_of(content_type: str, no_form: Exception) -> bytes:
    """What parts a form, by the request's content type. Raises `no_form` if it is another, or FORM_MALFORMED."""
    media_type, parameters = parse_options_header(content_type if len(content_type) <= 1024 else "")
    if media_type != b"multipart/form-data":
        raise no_form
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise EdgeError(EdgeReason.FORM_MALFORMED)
    return boundary


class FormReader(ABC):
    """Takes the body in any pieces; what becomes of its parts is for subclasses to say."""

    def __init__(self, boundary: bytes, max_parts: int) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._head_end,
                "on_part_data": self._data,
                "on_part_end": self.part_ends,
                "on_end": self._end,
            },
            max_header_size=MAX_HEADER_BYTES,
        )
        self._max_parts = max_parts
        self._rest = 0
        self._parts = 0
        self._head: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self.ended = False
        """The form is complete."""

    def feed(self, chunk: bytes) -> None:
        """Reads on. Raises EdgeError (FORM_MALFORMED, FORM_TOO_LARGE), and what taking the parts does."""
        self._rest += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise EdgeError(EdgeReason.FORM_MALFORMED) from error
        if self._rest > MAX_REST_BYTES:
            raise EdgeError(EdgeReason.FORM_TOO_LARGE)

    @property
    def content_type(self) -> str:
        """That of the part, as its head has it; empty if it has none."""
        return self._head.get(b"content-type", b"").decode("latin-1").strip()

    @abstractmethod
    def part_begins(self, parameters: Mapping[bytes, bytes]) -> None:
        """Called with the parameters of a field's `Content-Disposition`: its name, and perhaps a filename."""

    @abstractmethod
    def part_goes_on(self, data: bytes) -> bool:
        """Called with bytes of a part; returns whether they are a file's."""

    @abstractmethod
    def part_ends(self) -> None:
        """Called at the end of a part, whatever it was."""

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
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
        if disposition == b"form-data":
            self.part_begins(parameters)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self.part_goes_on(data[start:end]):
            self._rest -= end - start

    def _end(self) -> None:
        self.ended = True
