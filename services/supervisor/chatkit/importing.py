"""`roomline import chatkit`: brings over what Chatkit exported."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator

from services.common.outbound import Outbound
from services.supervisor.archive.client import Archives
from services.supervisor.archive.command import Options, begun
from services.supervisor.archive.importing import Importer, Item
from services.supervisor.archive.kinds import ATTACHMENT, MESSAGE, ROOM, USER, Kind
from services.supervisor.archive.progress import Steps
from services.supervisor.chatkit.downloads import Downloads
from services.supervisor.chatkit.reading import Files, Reading, Source
from services.supervisor.chatkit.sqlite_staging import Staged, Staging
from services.supervisor.command_error import CommandError

READ = Kind("read rooms", "message", ("room_read",), lambda record: record.room_read.room_id)
"""Chatkit's export has no cursors: members begin with everything read."""


def import_chatkit(options: Options, files: Files) -> None:
    """Imports an export of Chatkit's. Raises CommandError."""
    with begun(options) as run, _temporary(), Staging() as staging:
        with Steps() as steps:
            reading = Reading(staging, run.report, steps)
            reading.read(files)

        async def work(client: Archives, steps: Steps) -> None:
            await _Import(staging, reading.sources, Importer(client, run.report, steps), steps).run(options)

        run.work(work)


class _Import:
    """Hands what is staged to the services."""

    def __init__(self, staging: Staging, sources: dict[Kind, Source], importer: Importer, steps: Steps) -> None:
        self._staging = staging
        self._sources = sources
        self._importer = importer
        self._steps = steps

    async def run(self, options: Options) -> None:
        """In this order: what a record refers to comes before it."""
        await self._records(USER, self._staging.users())
        await self._records(ROOM, self._staging.rooms())
        await self._records(MESSAGE, self._staging.messages())
        self._steps.step(READ.plural)
        await self._importer.all_records(READ, map(Item, self._staging.reads()))
        settings = options.settings
        async with Outbound(allow_private=settings.outbound_allow_private) as outbound:
            downloads = Downloads(self._importer, outbound if options.files else None, settings.media_max_bytes)
            self._steps.step(ATTACHMENT.plural, self._staging.count("files"))
            await self._importer.with_bytes(ATTACHMENT, self._attachments(), lambda _: True, downloads.bring)

    async def _records(self, kind: Kind, staged: Iterator[Staged]) -> None:
        self._steps.step(kind.plural, self._staging.count(kind.plural))
        where = self._sources[kind].where
        await self._importer.all_records(kind, (Item(one.record, where(one.place)) for one in staged))

    def _attachments(self) -> Iterator[Item]:
        where = self._sources[MESSAGE].where
        for file in self._staging.files():
            yield Item(file.record, where(file.place), file.url)


@contextlib.contextmanager
def _temporary() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CommandError(f"cannot use {tempfile.gettempdir()}, or what TMPDIR names: {error}") from error
