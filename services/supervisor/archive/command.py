"""What `roomline import archive` and `roomline export` do, from the options to the summary."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from services.common.settings import Settings
from services.supervisor.archive.client import Archives, archives
from services.supervisor.archive.exporting import export
from services.supervisor.archive.importing import import_archive
from services.supervisor.archive.progress import Steps
from services.supervisor.archive.reader import ArchiveReader
from services.supervisor.archive.report import Report
from services.supervisor.archive.writer import ArchiveWriter
from services.supervisor.chosen_instance import chosen_instance
from services.supervisor.command_error import StoppedError
from services.supervisor.data_folder import DataFolder


@dataclass(frozen=True)
class Options:
    """What all these commands have in common."""

    settings: Settings
    instance: str | None
    """Its id or locator."""
    report: Path | None
    """Where the report goes."""
    files: bool
    """Whether bytes of files are taken along."""


class Run:
    """One run of a command, of which it is certain that it can begin."""

    def __init__(self, options: Options, instance_id: str, report: Report) -> None:
        self._options = options
        self._instance_id = instance_id
        self.report = report

    def work(self, work: Callable[[Archives, Steps], Awaitable[None]]) -> None:
        """Does the work with the running server, and says how it went. Raises CommandError."""
        asyncio.run(self._work(work))
        typer.echo(self.report.summary())
        if remarks := self.report.remarks():
            typer.echo(remarks, err=True)

    async def _work(self, work: Callable[[Archives, Steps], Awaitable[None]]) -> None:
        settings = self._options.settings
        async with archives(DataFolder(settings.data_dir), settings, self._instance_id) as client:
            with Steps() as steps:
                await work(client, steps)


@contextlib.contextmanager
def begun(options: Options) -> Iterator[Run]:
    """Looks for server and instance, and begins the report, before anything that may take long. Raises CommandError.

    What Ctrl-C ends can be gone on with, and says so: StoppedError.
    """
    try:
        instance_id = asyncio.run(chosen_instance(options.settings, options.instance))
        with Report(options.report) as report:
            yield Run(options, instance_id, report)
    except KeyboardInterrupt:
        raise StoppedError("stopped; start the same command again to go on") from None


def import_folder(options: Options, folder: Path) -> None:
    """Imports an archive. Raises CommandError."""
    with begun(options) as run:
        reader = ArchiveReader(folder)

        async def work(client: Archives, steps: Steps) -> None:
            await import_archive(reader, client, run.report, steps, files=options.files)

        run.work(work)


def export_folder(options: Options, folder: Path, user_id: str) -> None:
    """Exports an instance, or what there is of one user, into a new folder. Raises CommandError."""
    with begun(options) as run, ArchiveWriter(folder) as writer:

        async def work(client: Archives, steps: Steps) -> None:
            await export(writer, client, run.report, steps, user_id=user_id, files=options.files)

        run.work(work)
