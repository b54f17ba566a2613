"""The folder of an archive: its names, its modes, and its manifest, which is written last.

    manifest.json      what the folder is, and of each file of records how many there are and the SHA-256
    users.jsonl ...    records, one a line, as protobuf JSON
    files/attachments  the bytes of uploaded files
    files/avatars      the bytes of pictures

A folder without a manifest is an export that has not come to its end.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import orjson
from roomline.v1.archive_pb2 import ArchiveRecord

from services.supervisor.archive.kinds import ATTACHMENT, AVATAR, KINDS, Kind

FORMAT = "roomline-archive"
VERSION = 1

FILES = "files"
KINDS_WITH_BYTES = (ATTACHMENT, AVATAR)
RECORD_FILES = tuple(kind.file for kind in KINDS)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class RecordFile:
    """What the manifest says of a file of records."""

    records: int
    sha256: str


def manifest(files: dict[str, RecordFile]) -> bytes:
    """The manifest's content. It names neither time nor instance: the same records make the same bytes."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "files": {name: {"records": file.records, "sha256": file.sha256} for name, file in files.items()},
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def bytes_path(folder: Path, kind: Kind, owner: str) -> Path:
    """Where the bytes of an attachment or a user's avatar are.

    An id that is a UUID is the name; of all others, which may have any characters and be too long for a name, the
    SHA-256 is.
    """
    name = owner if _UUID.fullmatch(owner) else hashlib.sha256(owner.encode()).hexdigest()
    return folder / FILES / kind.plural / name


def owner_and_digest(record: ArchiveRecord) -> tuple[str, bytes]:
    """Whose bytes belong to an attachment or avatar, and their SHA-256; empty if there are none."""
    if record.HasField("attachment"):
        return record.attachment.id, record.attachment.digest
    return record.avatar.user_id, record.avatar.digest
