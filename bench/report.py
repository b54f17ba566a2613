"""What is printed: tables for a terminal, or the same as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Section:
    """One table with what needs saying about it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)

    def print(self, console: Console) -> None:
        """For people at a terminal."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print()
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", highlight=False, soft_wrap=True)

    def markdown(self) -> str:
        """For docs/benchmarks.md."""
        lines = [f"### {self.title}", "", _row(self.columns), _row(["---", *("--:" for _ in self.columns[1:])])]
        lines += [_row(row) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def ratio(values: Sequence[float]) -> str:
    """The median of the ratios of pairs, with the least and the greatest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def rate(value: float) -> str:
    """Things per second."""
    return f"{value:,.0f}"


def micros(seconds: float) -> str:
    """A short time, in microseconds."""
    return f"{seconds * 1_000_000:.1f}"


def millis(seconds: float) -> str:
    """A short time, in milliseconds."""
    return f"{seconds * 1000:.1f}"
