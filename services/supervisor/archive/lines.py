"""A record as a line of a file: protobuf JSON that repeats byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
from google.protobuf import json_format
from roomline.v1.archive_pb2 import ArchiveRecord

from services.supervisor.command_error import CommandError
from services.supervisor.files import open_file

MAX_LINE_BYTES = 64 * 1024 * 1024
"""No record comes near."""


def to_line(record: ArchiveRecord) -> bytes:
    """Compact UTF-8 with sorted keys and the contract's field names, ending with a newline."""
    content = json_format.MessageToDict(record, preserving_proto_field_name=True)
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def from_line(line: bytes) -> ArchiveRecord:
    """Reads what `to_line` wrote. Raises ValueError."""
    content = orjson.loads(line)
    if type(content) is not dict:
        raise ValueError("it is no JSON object")
    try:
        return json_format.ParseDict(content, ArchiveRecord())
    except (json_format.ParseError, RecursionError) as error:
        raise ValueError(str(error)) from error


def read_records(path: Path) -> Iterator[tuple[int, ArchiveRecord]]:
    """The records of a file, each with the number of its line. Raises CommandError for what is none, and OSError."""
    with open_file(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            try:
                record = from_line(line)
            except ValueError as error:
                raise CommandError(f"{path}, line {number} is no record: {error}") from error
            yield number, record
