"""The files of a `multipart/form-data` body, read as they arrive: nothing is ever held whole (spec §6)."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from gateway.chat_api.errors import FORM, InputError, MediaTypeError
from gateway.edge import EdgeError, EdgeReason
from gateway.form_reader import FormReader, boundary_of

MAX_FILES = 10
"""As many as a message takes."""
MAX_PARTS = 32
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
        self._reader = _Reader(boundary_of(content_type, MediaTypeError()))
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


def _check_caption(caption: bytes) -> None:
    if len(caption) > MAX_CAPTION_BYTES:
        raise InputError(FORM, f"caption: at most {MAX_CAPTION_BYTES} bytes")


class _Reader(FormReader):
    """Tells what is in the body."""

    def __init__(self, boundary: bytes) -> None:
        super().__init__(boundary, MAX_PARTS)
        self.events: deque[FileHead | bytes] = deque()
        self._files = 0
        self._field = b""
        """What the part is: a file, a caption, or nothing of interest."""
        self._caption = b""
        self._has_caption = False

    def part_begins(self, parameters: Mapping[bytes, bytes]) -> None:
        """See `FormReader`."""
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
        self.events.append(FileHead(clean_name(name), self.content_type, caption))

    def part_goes_on(self, data: bytes) -> bool:
        """See `FormReader`."""
        if self._field == FILE_FIELD:
            if data:  # no bytes say that a file has ended
                self.events.append(data)
        elif self._field == CAPTION_FIELD:
            self._caption += data
            _check_caption(self._caption)
        return self._field == FILE_FIELD

    def part_ends(self) -> None:
        """See `FormReader`."""
        if self._field == FILE_FIELD:
            self.events.append(b"")
        elif self._field == CAPTION_FIELD:
            self._has_caption = True
        self._field = b""
