"""What several databases held at one moment, while others write to them.

All of them are kept from being written to for the few milliseconds that it takes to begin a read transaction on each.
From then on SQLite shows each transaction what was there at that moment. So a change that one service made because of
a change of another one is in the cut with its cause or not at all: it is what a power cut would have left.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from services.supervisor.command_error import CommandError
from services.supervisor.files import open_private

PATIENCE_SECONDS = 60.0
"""How long it may take until nobody writes to any of the databases."""
HOLD_SECONDS = 0.05
"""How long those that are held already wait for the others; then all are let go, and it is tried again."""
POLL_SECONDS = 0.0005
PAGES_AT_ONCE = 1024

_LIVE = "mode=rw"
_COPY = "mode=ro&immutable=1"
"""Without the files beside it that SQLite would make for others."""


class Cut:
    """Databases as they were at one moment. Use it from the thread that has taken it."""

    def __init__(self, readers: dict[Path, sqlite3.Connection], held_seconds: float) -> None:
        self._readers = readers
        self.held_seconds = held_seconds
        """How long writers had to wait, at most."""

    def copy(self, database: Path, target: Path, progress: Callable[[int, int], None]) -> None:
        """Writes a private copy, page by page; `progress` is told how many pages there are, and how many are left.

        Once for each database, whose write-ahead log need not grow any more then. The copy is not on disk yet when
        this returns. Raises CommandError.
        """
        open_private(target).close()

        def tell(_status: int, left: int, total: int) -> None:
            progress(total, left)

        reader = self._readers.pop(database)
        with _failures(f"cannot copy {database} to {target}"), closing(reader), closing(_connect(target)) as copy:
            copy.execute("PRAGMA journal_mode=OFF")  # nobody has it before it is whole
            copy.execute("PRAGMA synchronous=OFF")
            reader.backup(copy, pages=PAGES_AT_ONCE, progress=tell)


@contextlib.contextmanager
def cut(databases: Sequence[Path], meanwhile: Callable[[], None]) -> Iterator[Cut]:
    """The databases as they are at one moment, for the time of the block. `meanwhile` runs in that moment: be quick.

    Name the busiest database first: while it is waited for, nobody else has to wait. Raises CommandError.
    """
    with contextlib.ExitStack() as stack:
        with _failures(f"cannot read {databases[0].parent}"):
            writers = [stack.enter_context(closing(_connect(database))) for database in databases]
            readers = {database: stack.enter_context(closing(_connect(database))) for database in databases}
            for connection in (*writers, *readers.values()):
                _look(connection)  # what a first query has to do is done before anybody has to wait for us
            for writer in writers:
                writer.execute("PRAGMA busy_timeout=0")  # `_begin` waits
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (held_seconds := _hold(writers, list(readers.values()), meanwhile, deadline)) is None:
                if time.monotonic() > deadline:
                    raise CommandError(f"the databases in {databases[0].parent} are written to without a pause")
                time.sleep(HOLD_SECONDS / 2)  # the turn of those who had to wait
        yield Cut(readers, held_seconds)


@contextlib.contextmanager
def reading(database: Path, *, copy: bool = False) -> Iterator[sqlite3.Connection]:
    """For queries, each of which sees what is there by then. Nobody writes to a `copy`. Raises CommandError."""
    with _failures(f"cannot read {database}"), closing(_connect(database, _COPY if copy else _LIVE)) as connection:
        yield connection


def problem(copy: Path) -> str:
    """What is wrong with a copy, which nobody writes to, in one line of SQLite's; empty if nothing is."""
    try:
        with closing(_connect(copy, _COPY)) as connection:
            (first,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if first == "ok" else " ".join(str(first).split())


def _connect(database: Path, options: str = _LIVE) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?{options}", uri=True, isolation_level=None)


def _hold(
    writers: Sequence[sqlite3.Connection],
    readers: Sequence[sqlite3.Connection],
    meanwhile: Callable[[], None],
    deadline: float,
) -> float | None:
    """Has the readers begin while all writers are held; for how long. None if that could not be."""
    began: float | None = None
    with contextlib.ExitStack() as held:
        for writer in writers:
            if not _begin(writer, deadline if began is None else began + HOLD_SECONDS):
                return None
            held.callback(writer.execute, "ROLLBACK")
            began = began or time.monotonic()
        for reader in readers:
            reader.execute("BEGIN")
            _look(reader)  # only a read begins the transaction
        meanwhile()
    return time.monotonic() - (began or 0)


def _begin(writer: sqlite3.Connection, deadline: float) -> bool:
    """Waits for others in short steps of our own: SQLite's would grow to a tenth of a second."""
    while True:
        try:
            writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _look(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()


@contextlib.contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CommandError(f"{what}: {error}") from error
