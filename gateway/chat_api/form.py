"""The files of a `multipart/form-data` body, read as they arrive: nothing is ever held whole (spec §6)."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.chat_api.errors import FORM, InputError, MediaTypeError
from gateway.edge import EdgeError, EdgeReason

MAX_FILES = 10
"""As many as a message takes."""
MAX_PARTS = 32
MAX_REST_BYTES = 64 * 1024
"""All that a form may have besides the bytes of its files."""
MAX_CAPTION_BYTES = 4096
MAX_NAME_BYTES = 255

FILE_FIELD = b"file"
CAPTION_FIELD = b"caption"

_SEPARATORS = re.compile(r"[/\\]")
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control and format characters: some turn the direction of text, so that `gpj.exe` looks like `exe.jpg` (fault 12)."""
_JOINERS = "\u200c\u200d"
"""Format characters too, but words and emoji need them."""


class FileHead(NamedTuple):
    """What a form says about a file before its bytes."""

    name: str
    """Cleaned; empty if there is none."""
    content_type: str
    """As the part's head has it, empty if it has none."""
    caption: str | None


class Form:
    """A form on its way in. Take the files in their order, and each one's bytes before the next file.

    Raises, while it is read, FORM_MALFORMED, FORM_TOO_LARGE or InputError, and what the body raises.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """`content_type` is the request's own. Raises MediaTypeError if it is no form's."""
        self._reader = _Reader(_boundary(content_type))
        self._body = body

    async def files(self) -> AsyncIterator[FileHead]:
        """The heads of all files. Ends when the whole body has arrived."""
        while (event := await self._next()) is not None:
            if isinstance(event, FileHead):
                yield event

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the file whose head came last."""
        while isinstance(event := await self._next(), bytes):
            if not event:
                return
            yield event

    async def _next(self) -> FileHead | bytes | None:
        """A head, some bytes, no bytes at the end of a file, None at the end of the body."""
        while not self._reader.events:
            chunk = await anext(self._body, None)
            if chunk is None:
                if not self._reader.ended:
                    raise EdgeError(EdgeReason.FORM_MALFORMED)  # a body that breaks off has no whole files
                return None
            self._reader.feed(chunk)
        return self._reader.events.popleft()


def clean_name(given: bytes) -> str:
    """A file's name without folders and without what nobody can see, 255 bytes at most; empty if nothing is left."""
    last = _SEPARATORS.split(given.decode(errors="replace"))[-1]
    visible = "".join(one for one in last if one in _JOINERS or unicodedata.category(one) not in _HIDDEN)
    if visible.strip(". ") == "":
        return ""
    if len(visible.encode()) <= MAX_NAME_BYTES:
        return visible
    stem, dot, extension = visible.rpartition(".")
    tail = dot + extension if stem and len(extension.encode()) <= 16 else ""
    return visible.encode()[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail


def _boundary(content_type: str) -> bytes:
    media_type, parameters = parse_options_header(content_type if len(content_type) <= 1024 else "")
    if media_type != b"multipart/form-data":
        raise MediaTypeError
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise EdgeError(EdgeReason.FORM_MALFORMED)
    return boundary


def _check_caption(caption: bytes) -> None:
    if len(caption) > MAX_CAPTION_BYTES:
        raise InputError(FORM, f"caption: at most {MAX_CAPTION_BYTES} bytes")


class _Reader:
    """Takes the body in any pieces, and tells what is in it."""

    def __init__(self, boundary: bytes) -> None:
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
        self.events: deque[FileHead | bytes] = deque()
        self.ended = False
        """The form is complete."""
        self._rest = 0
        self._parts = 0
        self._files = 0
        self._head: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._field = b""
        """What the part is: a file, a caption, or nothing of interest."""
        self._caption = b""
        self._has_caption = False

    def feed(self, chunk: bytes) -> None:
        """Reads on."""
        self._rest += len(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise EdgeError(EdgeReason.FORM_MALFORMED) from error
        if self._rest > MAX_REST_BYTES:
            raise EdgeError(EdgeReason.FORM_TOO_LARGE)

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
        if disposition != b"form-data":
            return
        name, field = parameters.get(b"filename", b""), parameters.get(b"name", b"")
        if name or field == FILE_FIELD:
            self._file(name)
        elif field == CAPTION_FIELD:
            self._field, self._caption = CAPTION_FIELD, b""

    def _file(self, name: bytes) -> None:
        self._files += 1
        if self._files > MAX_FILES:
            raise EdgeError(EdgeReason.FORM_TOO_LARGE)
        self._field = FILE_FIELD
        caption = None
        if self._has_caption:
            caption = self._caption.decode(errors="replace").replace("\0", "")
            _check_caption(caption.encode())  # what stands for a byte that is no UTF-8 has three
        self._has_caption = False
        content_type = self._head.get(b"content-type", b"").decode("latin-1").strip()
        self.events.append(FileHead(clean_name(name), content_type, caption))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field == FILE_FIELD:
            self._rest -= end - start
            if end > start:  # no bytes say that a file has ended
                self.events.append(data[start:end])
        elif self._field == CAPTION_FIELD:
            self._caption += data[start:end]
            _check_caption(self._caption)

    def _part_end(self) -> None:
        if self._field == FILE_FIELD:
            self.events.append(b"")
        elif self._field == CAPTION_FIELD:
            self._has_caption = True
        self._field = b""

    def _end(self) -> None:
        self.ended = True
