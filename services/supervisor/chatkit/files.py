"""Reads a file of Chatkit's export, whatever its size: JSON values one a line, or one array of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import ijson
import orjson
from ijson.common import ObjectBuilder

from services.supervisor.command_error import CommandError

MAX_VALUE_BYTES = 16 * 1024 * 1024
"""A longer value is none of Chatkit's. As a line it is left out; in an array nobody looks for its end."""
MAX_DEPTH = 250
"""A value of an array that is nested deeper is left out."""

_STARTS, _ENDS = {"start_map", "start_array"}, {"end_map", "end_array"}
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


class Entry(NamedTuple):
    """One value of a file."""

    place: int
    """Its line or index; `ExportFile.unit` says which. Lines count from one, indices from zero."""
    value: Any
    """What `orjson` makes of it."""
    problem: str = ""
    """Why it cannot be read. Then there is no value."""


class ExportFile:
    """A file of an export, or a pipe, for the time of a `with` block. Raises CommandError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            if self._file.peek(len(_GZIP)).startswith(_GZIP):
                self._file.close()
                raise CommandError(f"{path} is compressed: unpack it first, or hand over what `zcat` makes of it")
            self._skipped = _skip_space(self._file)
            self.unit = "index" if self._file.peek(1)[:1] == b"[" else "line"
        except OSError as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> ExportFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def entries(self) -> Iterator[Entry]:
        """All values, once. Raises CommandError where an array is broken: nobody knows where its next value begins."""
        try:
            yield from self._lines() if self.unit == "line" else self._items()
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> CommandError:
        return CommandError(f"cannot read {self.path}: {error.strerror}")

    def _lines(self) -> Iterator[Entry]:
        number = self._skipped
        while line := self._file.readline(MAX_VALUE_BYTES):
            number += 1
            if not line.endswith(b"\n") and len(line) == MAX_VALUE_BYTES:
                self._skip_line()
                yield Entry(number, None, f"the line has more than {MAX_VALUE_BYTES} bytes")
                continue
            if line.strip(_SPACE):
                yield _read(number, line)

    def _skip_line(self) -> None:
        while (line := self._file.readline(MAX_VALUE_BYTES)) and not line.endswith(b"\n"):
            pass

    def _items(self) -> Iterator[Entry]:
        index = 0
        source = _Metered(self._file)
        try:
            for entry in _values(ijson.basic_parse(source)):
                yield entry
                index += 1
                source.left = MAX_VALUE_BYTES
        except _TooLargeError as error:
            raise CommandError(f"{self.path}, index {index} has more than {MAX_VALUE_BYTES} bytes") from error
        except ijson.JSONError as error:
            raise CommandError(
                f"{self.path} is broken or cut off after {index} values: {_first_line(error)}"
            ) from error


class _TooLargeError(Exception):
    """More was read for one value than any has."""


class _Metered:
    """Reads a file; of each value only so much."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.left = MAX_VALUE_BYTES

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise _TooLargeError
        return piece


def _values(events: Iterable[tuple[str, Any]]) -> Iterator[Entry]:
    """The values of an array, from the events of its parser. `ijson.items` knows no limit of depth."""
    index = depth = 0
    builder, problem = ObjectBuilder(), ""
    for event, value in events:
        depth -= event in _ENDS
        if depth > MAX_DEPTH and event in _STARTS:
            problem = f"it is nested more than {MAX_DEPTH} deep"
        if depth and not problem:
            builder.event(event, value)
        was_outside, depth = depth == 0, depth + (event in _STARTS)
        if depth == 1 and not was_outside:
            yield Entry(index, None, problem) if problem else _checked(index, builder.value)
            index += 1
            builder, problem = ObjectBuilder(), ""


def _skip_space(file: BufferedReader) -> int:
    """Goes to the first byte that is no space; how many lines end before it."""
    if file.peek(len(_BYTE_ORDER_MARK)).startswith(_BYTE_ORDER_MARK):
        file.read(len(_BYTE_ORDER_MARK))
    lines = 0
    while piece := file.peek(1):
        space = len(piece) - len(piece.lstrip(_SPACE))
        lines += file.read(space).count(b"\n")
        if space < len(piece):
            break
    return lines


def _read(place: int, text: bytes) -> Entry:
    try:
        return Entry(place, orjson.loads(text))
    except orjson.JSONDecodeError as error:
        return Entry(place, None, f"it is no JSON: {error}")


def _checked(place: int, item: Any) -> Entry:
    """Brings numbers and texts into the form that they have in the other kind of file."""
    try:
        return Entry(place, orjson.loads(orjson.dumps(item, default=_number)))
    except (orjson.JSONEncodeError, orjson.JSONDecodeError) as error:
        return Entry(place, None, f"it is no JSON: {error}")


def _number(value: object) -> float:
    number = float(value) if isinstance(value, Decimal) else math.inf
    if math.isinf(number):
        raise TypeError
    return number


def _first_line(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return words.partition("\n")[0]
