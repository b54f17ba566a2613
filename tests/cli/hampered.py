"""The `roomline` command in trouble: killed at one of its changes to files, or with little room on the disk."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.cli.main import main as roomline
from services.supervisor.backup import backing_up, restoring  # noqa: F401 - imported once, for all of them
from tests.cli.commands import clean_environment

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "sqlite3.connect"}
WRITING = os.O_WRONLY | os.O_RDWR
END_SECONDS = 60.0

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])
"""There are hundreds of these commands, and most of what one of them takes is importing."""


@dataclass(frozen=True)
class Ended:
    """What became of a command."""

    returncode: int
    """As `subprocess` has it: -9 if it was killed."""
    changes: int
    """How many it has made, or was about to make."""
    stderr: str


class Trouble:
    """Counts changes in a folder, a byte each, and kills this process before one of them."""

    def __init__(self, folder: str, last: int, count: int) -> None:
        self._folder = folder
        self._last = last
        self._count = count
        self._changes = itertools.count(1)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Is told by Python of everything that it does."""
        if event == "open":
            if not (isinstance(arguments[2], int) and arguments[2] & WRITING):
                return
        elif event not in CHANGES:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes) or self._folder not in os.fsdecode(path):
            return
        change = next(self._changes)  # at once, as threads make changes, too
        os.write(self._count, b".")
        if change == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def hampered(folder: Path, *words: object, kill_at: int = 0, most: int | None = None) -> Ended:
    """Runs the command, killed before that change in the folder, or with no more than so many bytes in a file."""
    with tempfile.TemporaryDirectory() as noted:
        process = _PROCESSES.Process(target=_run, args=(noted, str(folder), [*map(str, words)], kill_at, most))
        process.start()
        process.join(END_SECONDS)
        assert process.exitcode is not None, "it goes on and on"
        stderr, count = ((Path(noted) / name).read_text() for name in ("stderr", "count"))
        ended = Ended(process.exitcode, len(count), stderr)
        process.close()
    return ended


def _run(noted: str, folder: str, words: list[str], kill_at: int, most: int | None) -> None:
    """Is in trouble."""
    environment = clean_environment()
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.ExitStack() as stack:

        def note(name: str) -> BinaryIO:
            return stack.enter_context((Path(noted) / name).open("wb", buffering=0))

        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            os.dup2(note(name).fileno(), descriptor)
        count = note("count")
        if most is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        sys.addaudithook(Trouble(folder, kill_at, count.fileno()))
        roomline(words)
