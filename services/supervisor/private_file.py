"""Files that only their owner may read."""

import os
import tempfile
from pathlib import Path

from services.supervisor.command_error import CommandError


def write_private_file(path: Path, content: str | bytes) -> None:
    """Puts the file in place whole (mode 0600): a reader sees the old content or the new, never a part of it.

    Raises CommandError if that is impossible.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error


def read_private_file(path: Path) -> str | None:
    """The file's text; None if there is no such file. Raises CommandError if it cannot be read."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
