"""How far a long command has come, on standard error."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_SECONDS = 10.0
"""How often there is a line where there is no terminal."""


class Steps:
    """Shows one step after the other, for the time of a `with` block: bars on a terminal, else a line now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars: Progress | None = None
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=self._console)
        self._task: TaskID | None = None
        self._label = ""
        self._done = 0
        self._total: int | None = None
        self._told = 0.0

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(whole=kind is None)
        if self._bars is not None:
            self._bars.stop()

    def step(self, label: str, total: int | None = None) -> None:
        """Ends the step before and begins this one; `total` is how much of it there is, if that is known."""
        self._end(whole=True)
        self._label, self._done, self._total, self._told = label, 0, total, time.monotonic()
        if self._bars is not None:
            self._task = self._bars.add_task(label, total=total)

    def advance(self, number: int = 1) -> None:
        """So much more is done."""
        self._done += number
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._done)
        elif time.monotonic() - self._told > LINE_SECONDS:
            self._told = time.monotonic()
            self._say()

    def expect(self, total: int) -> None:
        """So much of the step there is."""
        self._total = total
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, total=total)

    def _end(self, *, whole: bool) -> None:
        if self._bars is not None and self._task is not None:
            if whole:
                self._bars.update(self._task, total=self._done, completed=self._done)
            self._task = None
        elif self._bars is None and self._label and whole and self._done:
            self._say()
        self._label = ""

    def _say(self) -> None:
        of = f" of {self._total}" if self._total is not None else ""
        self._console.print(f"{self._label}: {self._done}{of}", markup=False, highlight=False, soft_wrap=True)
