"""`python -m bench`: runs the benchmarks and prints their tables."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import live, machine, pipe, send, store
from bench.report import Section

DISK = Path("/var/tmp")  # noqa: S108 - the folder for temporary files that must not be in memory

FILE_WIDTH = 120
"""Of a table that goes to a file."""


class Part(StrEnum):
    """One of the benchmarks."""

    SEND = "send"
    PIPE = "pipe"
    STORE = "store"
    LIVE = "live"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Pairs of rounds of each benchmark.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long a round of `send` takes; others half of it.")] = 4.0,
    connections: Annotated[int, typer.Option(min=1, help="Keep-alive connections of `send`.")] = 64,
    sockets: Annotated[int, typer.Option(min=100, help="Sockets of `live`, on either side.")] = 1000,
    storm: Annotated[int, typer.Option(min=0, help="Sockets of `live` that are cut and come back; 0 for none.")] = 1000,
    only: Annotated[list[Part] | None, typer.Option(help="Run this one only; may be repeated.")] = None,
    folder: Annotated[Path, typer.Option(help="Where databases go for the time of the run; on a disk.")] = DISK,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as in docs/benchmarks.md.")] = False,
) -> None:
    """Measures side by side, in one run, and prints ratios: absolute numbers say more about the machine.

    `send` sends durable messages through the gateway with the pipe and without, `pipe` makes calls that do nothing,
    `store` appends to the message store, `live` delivers events to many sockets, beside a bare broadcaster. About six
    minutes in all, on loopback only.
    """
    console, progress = Console(), Console(stderr=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH

    def say(text: str) -> None:
        progress.print(f"{text} …", style="dim", highlight=False)

    def show(section: Section) -> None:
        if markdown:
            print(section.markdown())
        else:
            section.print(console)

    wanted = set(only or Part)
    print(machine.describe(folder) + ("\n" if markdown else ""))
    with tempfile.TemporaryDirectory(prefix="roomline-bench-", dir=folder) as temporary:
        here = Path(temporary)
        if Part.SEND in wanted:
            try:
                show(send.measure(here, rounds, seconds, connections, say))
            except send.LostError as error:
                progress.print(str(error), style="red")
                raise typer.Exit(1) from error
        if Part.PIPE in wanted:
            show(pipe.measure(rounds, seconds / 2, 64, say))
        if Part.STORE in wanted:
            show(store.measure(here, rounds, seconds / 2, say))
        if Part.LIVE in wanted:
            for section in live.measure(here, rounds, seconds, sockets, say):
                show(section)
            if storm:
                show(live.storm(here, storm, say))


if __name__ == "__main__":
    typer.run(main)
