"""The folder of a backup: its names, and its manifest, which is written last.

    manifest.json  what the folder is, of when, and the SHA-256 of SHA256SUMS
    SHA256SUMS     all other files, a line each, as `sha256sum --check` reads them
    data/          databases, keys and what else the data folder keeps
    media/         the bytes of attachments and avatars

A folder without a manifest is a backup that has not come to its end.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from services.supervisor.command_error import CommandError
from services.supervisor.deployment import SERVICES
from services.supervisor.files import open_file, sha256_of, unreadable
from services.supervisor.unfinished import MANIFEST, UNFINISHED

FORMAT = "roomline-backup"
VERSION = 1

SUMS = "SHA256SUMS"
DATA = "data"
MEDIA = "media"

DATABASES = tuple(f"{service}.db" for service in SERVICES)
DATA_NAME = re.compile(r"(user|message|media)\.db|operator\.key|dev\.json|doors\.json|tls/(ca|server)\.(pem|key)")
"""What there may be in `data`: a backup must not put anything elsewhere."""
MEDIA_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What there may be in `media`: the keys of objects."""

INCLUDED = "included"
LEFT_OUT = "left out"
ELSEWHERE = "in an object store"

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself."""

    roomline: str
    """The version that has written it."""
    taken_at: str
    """The moment that it shows: UTC, in ISO 8601."""
    files: int
    """How many there are beside the manifest and SHA256SUMS."""
    size: int
    """How many bytes they have."""
    attachments: str
    """`INCLUDED`, `LEFT_OUT` or `ELSEWHERE`."""
    missing: int
    """How many files there should have been that were not in the store any more."""
    sha256sums: str
    """The SHA-256 of SHA256SUMS, which is different for every backup."""

    @property
    def moment(self) -> datetime.datetime:
        """`taken_at` as a time. Raises ValueError or TypeError if it is none."""
        return datetime.datetime.fromisoformat(self.taken_at).astimezone(datetime.UTC)

    def to_json(self) -> bytes:
        """The content of the manifest."""
        content = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class Sum(NamedTuple):
    """A line of SHA256SUMS."""

    name: str
    sha256: str

    def line(self) -> str:
        """As it stands there."""
        return f"{self.sha256}  {self.name}\n"


class BackupFolder:
    """A backup that is whole: its manifest and its SHA256SUMS fit together. What they name is still to be looked at.

    Raises CommandError if the folder is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _manifest(path)
        sums = path / SUMS
        try:
            found = sha256_of(sums)
        except FileNotFoundError as error:
            raise unreadable(sums, error) from error
        if found != self.manifest.sha256sums:
            raise CommandError(f"{sums} is damaged: {MANIFEST} describes another file")

    def sums(self, folder: str) -> Iterator[Sum]:
        """The files in `DATA` or `MEDIA`, by their names there. Raises CommandError."""
        known = DATA_NAME if folder == DATA else MEDIA_NAME
        path = self.path / SUMS
        try:
            with path.open() as lines:
                for line in lines:
                    parsed = _LINE.fullmatch(line.rstrip("\n"))
                    if parsed is None:
                        raise CommandError(f"{path} has a line that is none of a backup: {line[:100]!r}")
                    of, _, name = parsed[2].partition("/")
                    if of == folder:
                        if known.fullmatch(name) is None:
                            raise CommandError(f"{path} names a file that no backup has: {parsed[2][:100]!r}")
                        yield Sum(name, parsed[1])
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"cannot read {path}: {error}") from error


def _manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    try:
        with open_file(file) as opened:
            content = orjson.loads(opened.read())
        if content.pop("format") != FORMAT:
            raise ValueError(FORMAT)
        version = content.pop("version")
        if version == VERSION:
            manifest = Manifest(**content)
            _ = manifest.moment
            return manifest
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "a backup that has not come to its end" if (path / UNFINISHED).exists() else "no backup"
        raise CommandError(f"{path} is {what}: there is no {MANIFEST}") from error
    except OSError as error:
        raise unreadable(file, error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{file} is no manifest of a backup") from error
    raise CommandError(f"{path} was written by a newer version of Roomline: use that one to restore it")
