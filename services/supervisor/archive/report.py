"""What an import or export could not keep as it was, and how much of everything there was."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
from roomline.v1.archive_service_pb2 import ImportOutcome

from services.supervisor.command_error import CommandError
from services.supervisor.terminal import printable

SHOWN = 10
"""How many entries are shown if nobody asked for a file of them."""
SHORT = 400
"""How many characters of a text are of use: what is left out can be as long as a whole file."""

UNREADABLE = "unreadable"
LEFT_OUT = "left out"
LOST = "bytes lost"

OUTCOMES = {
    ImportOutcome.IMPORT_OUTCOME_IMPORTED: "imported",
    ImportOutcome.IMPORT_OUTCOME_UNCHANGED: "unchanged",
    ImportOutcome.IMPORT_OUTCOME_REDUCED: "reduced",
    ImportOutcome.IMPORT_OUTCOME_CONFLICT: "conflict",
    ImportOutcome.IMPORT_OUTCOME_REFUSED: "refused",
}
"""What became of a record, in words. The first two are no news."""


def shortened(text: str) -> str:
    """The beginning of a text that is too long."""
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"


class Report:
    """Counts, and entries for all that is not as it was. With a file they go there, a JSON object each.

    An entry has `what` (a kind of record, or `file`), `id`, `outcome`, `detail`, and where it stands: `file` and `line`
    or `index`. What is not known is left out. Use it for the time of a `with` block. Raises CommandError if the file
    cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stack = ExitStack()
        self.counts: dict[str, Counter[str]] = {}
        self.entries = 0
        self.shown: list[str] = []
        """The first entries, in words."""

    def __enter__(self) -> Self:
        if self._path is not None:
            with self._failures():
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._file = self._stack.enter_context(os.fdopen(descriptor, "wb"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._failures():
            self._stack.close()

    def count(self, plural: str, outcome: str, times: int = 1) -> None:
        """Counts something that needs no entry. `plural` is what it is, for the summary."""
        self.counts.setdefault(plural, Counter())[outcome] += times

    def add(self, plural: str, outcome: str, detail: str, **where: str | int) -> None:
        """Counts something and makes an entry of it. `where` has its `id`, `file`, `line` or `index`."""
        self.count(plural, outcome)
        self.note(plural, outcome, detail, **where)

    def note(self, plural: str, outcome: str, detail: str, **where: str | int) -> None:
        """Makes an entry of something that is counted already, or never."""
        self.entries += 1
        detail = shortened(detail)
        where = {name: value if isinstance(value, int) else shortened(value) for name, value in where.items()}
        if len(self.shown) < SHOWN:
            place = " ".join(f"{name} {value}" for name, value in where.items())
            self.shown.append(printable(": ".join(filter(None, (plural, place, outcome, detail)))))
        if self._path is not None:
            entry = {"what": plural, "outcome": outcome, "detail": detail, **where}
            with self._failures():
                self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def summary(self) -> str:
        """What there was, a line for each kind of thing, for standard output."""
        width = max(map(len, self.counts), default=0)
        lines = [
            f"{plural:{width}}  " + ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number)
            for plural, counts in self.counts.items()
            if any(counts.values())
        ]
        return "\n".join(lines or ["There was nothing."])

    def remarks(self) -> str:
        """What there is to say about the entries, for standard error; empty if there are none."""
        if not self.entries:
            return ""
        if self._path is not None:
            return f"{self.entries} entries about what is not as it was: {self._path}"
        more = self.entries - len(self.shown)
        rest = [f"... and {more} more; `--report FILE` writes them all"] if more else []
        return "\n".join(["Not everything is as it was:", *self.shown, *rest])

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommandError(f"cannot write the report {self._path}: {error.strerror}") from error
