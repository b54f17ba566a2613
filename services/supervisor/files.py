"""Files of folders that others will read, such as archives and backups: private, whole, and on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from services.supervisor.command_error import CommandError

PIECE_BYTES = 1024 * 1024


class Copied(NamedTuple):
    """What was copied."""

    size: int
    sha256: str


def open_private(path: Path) -> BinaryIO:
    """A new file that only its owner may read; one that is there is replaced. Raises CommandError."""
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    return os.fdopen(descriptor, "wb")


def open_file(path: Path) -> BinaryIO:
    """A regular file, to read; links are not followed. Raises OSError."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def copy_file(source: Path, target: Path, given_up: Callable[[], bool]) -> Copied:
    """Makes a private copy that is on disk, unless it is `given_up` meanwhile.

    Raises FileNotFoundError if there is no source, else CommandError.
    """
    digest, size = hashlib.sha256(), 0
    with _open_source(source) as incoming:
        try:
            with open_private(target) as outgoing:
                while piece := _read(incoming, source):
                    if given_up():
                        raise CommandError(f"stopped copying {source}")
                    digest.update(piece)
                    size += len(piece)
                    outgoing.write(piece)
                sync(outgoing)
        except OSError as error:  # also of the end of the block: it writes what it still has
            raise unwritable(target, error) from error
    return Copied(size, digest.hexdigest())


def sha256_of(path: Path) -> str:
    """The digest of a file, in hexadecimal. Raises FileNotFoundError if there is none, else CommandError."""
    digest = hashlib.sha256()
    with _open_source(path) as file:
        while piece := _read(file, path):
            digest.update(piece)
    return digest.hexdigest()


def sync(file: BinaryIO) -> None:
    """Returns when what was written is on disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Returns when the names in the folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """What is left of the file, in pieces of at most that size."""
    while piece := file.read(size):
        yield piece


def unwritable(path: Path, error: OSError) -> CommandError:
    """What ends a command that cannot write there."""
    return CommandError(f"cannot write {path}: {error.strerror}")


def unreadable(path: Path, error: OSError) -> CommandError:
    """What ends a command that cannot read there."""
    return CommandError(f"cannot read {path}: {error.strerror}")


def _open_source(path: Path) -> BinaryIO:
    try:
        return open_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def _read(file: BinaryIO, path: Path) -> bytes:
    try:
        return file.read(PIECE_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
