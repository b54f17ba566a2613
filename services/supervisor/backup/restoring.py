"""`roomline restore`: an installation as a backup has it, in the place of whatever is there."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import typer

from services.common.errors import RoomlineError
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import is_newer
from services.common.telemetry import configure_logging
from services.media.server import MIGRATIONS as MEDIA_MIGRATIONS
from services.message import restored as message
from services.message.server import MIGRATIONS as MESSAGE_MIGRATIONS
from services.supervisor.archive.progress import Steps
from services.supervisor.backup import sqlite_cut
from services.supervisor.backup.backing_up import media_folder
from services.supervisor.backup.copies import Copies
from services.supervisor.backup.exchange import Exchange
from services.supervisor.backup.folder import DATA, INCLUDED, MEDIA, BackupFolder
from services.supervisor.backup.place import Place
from services.supervisor.command_error import CommandError, StoppedError
from services.supervisor.data_folder import DataFolder
from services.supervisor.deployment import SERVICES
from services.supervisor.files import sync_folder, unwritable
from services.user import restored as user
from services.user.server import MIGRATIONS as USER_MIGRATIONS

_MIGRATIONS = {"user.db": USER_MIGRATIONS, "message.db": MESSAGE_MIGRATIONS, "media.db": MEDIA_MIGRATIONS}


def restore(settings: Settings, source: Path, *, replace: bool, files: bool) -> None:
    """Puts a backup into the data folder, and the folder of attachments, and says so. Raises CommandError.

    What is there already is in the way unless it is to be replaced; then it is put aside. Without `files`, attachments
    are left as they are. Nothing has changed if this raises, or the folder says that a restore was interrupted.
    """
    # Only what goes wrong: the command's output is its own.
    configure_logging(settings.model_copy(update={"log_level": "warning", "log_format": "console"}), "roomline")
    folder = DataFolder(settings.data_dir)
    backup = None if folder.restoring_file.exists() else BackupFolder(source)
    try:
        with _alone(folder):
            interrupted = Exchange.noted(folder)
            if interrupted is not None:
                interrupted.carry_out(folder)
                typer.echo(f"An interrupted restore is finished: {folder.path} is as of {interrupted.taken_at}.")
                if BackupFolder(source).manifest.sha256sums == interrupted.backup:
                    _tell(folder, interrupted)
                    return
            backup = backup or BackupFolder(source)
            exchange = _prepared(settings, folder, backup, replace=replace, files=files)
            exchange.carry_out(folder)
    except KeyboardInterrupt:
        half_done = folder.restoring_file.exists()
        left = "start the same command again to finish it" if half_done else "nothing has changed"
        raise StoppedError(f"stopped; {left}") from None
    typer.echo(f"{folder.path} is as of {exchange.taken_at}, from {source}.")
    _tell(folder, exchange)


@contextlib.contextmanager
def _alone(folder: DataFolder) -> Iterator[None]:
    """Keeps everybody else off the folder: servers, other commands, backups, and services that run by themselves."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(folder.lock(restoring=True))
        stack.enter_context(folder.exchanging())
        for name in SERVICES:
            service = ServiceFolder(folder.path, name)
            try:
                service.lock()
            except RuntimeError as error:
                raise CommandError(str(error)) from error
            stack.callback(service.close)
        yield


def _prepared(settings: Settings, folder: DataFolder, backup: BackupFolder, *, replace: bool, files: bool) -> Exchange:
    """What is to be exchanged, of which everything is staged, and was found to be right."""
    media = _media_place(settings, backup) if files else None
    now = datetime.datetime.now(datetime.UTC)
    exchange = Exchange(
        backup=backup.manifest.sha256sums,
        taken_at=backup.manifest.taken_at,
        aside=f"before-restore-{now:%Y%m%dT%H%M%S%fZ}",
        media=str(media or ""),
    )
    places = exchange.places(folder)
    occupied = [place for place in places if place.entries()]
    if occupied and not replace:
        raise CommandError(
            f"{occupied[0].path} is not empty: with --replace, what is there is put aside, and stays in a folder beside"
        )
    with contextlib.ExitStack() as undo, Steps() as steps:
        for place, part in zip(places, (DATA, MEDIA), strict=False):
            undo.callback(place.unstage)
            _stage(steps, backup, place, part)
        undo.pop_all()
    return exchange


def _media_place(settings: Settings, backup: BackupFolder) -> Path | None:
    """Where files go; None if the backup has none, and they are left as they are."""
    if backup.manifest.attachments != INCLUDED:
        return None
    folder = media_folder(settings)
    if folder is None:
        raise CommandError(
            f"the files of attachments in {backup.path / MEDIA} cannot be restored to an object store: copy them there "
            "under their names, and restore the rest with --no-files"
        )
    return folder


def _stage(steps: Steps, backup: BackupFolder, place: Place, part: str) -> None:
    """Copies a part of the backup to where it can be put in place, and makes it ready. Raises CommandError."""
    try:
        place.stage()
        folders = _copy(steps, backup, place.staged, part)
        if part == DATA:
            asyncio.run(_make_ready(steps, backup, place.staged))
        for folder in (*folders, place.staged, place.path):
            sync_folder(folder)
    except OSError as error:
        raise unwritable(place.staged, error) from error


def _copy(steps: Steps, backup: BackupFolder, target: Path, part: str) -> set[Path]:
    """Copies files, each of which has to have its digest; returns the folders that this made."""
    folders: set[Path] = set()

    def files() -> Iterator[tuple[Path, Path]]:
        for one in backup.sums(part):
            path = target / one.name
            if path.parent not in {target, *folders}:
                path.parent.mkdir(mode=0o700)
                folders.add(path.parent)
            yield backup.path / part / one.name, path

    steps.step(f"files of {part}")
    with Copies() as copies:
        for one, copied in zip(backup.sums(part), copies.of(files()), strict=True):
            source = backup.path / part / one.name
            if copied is None:
                raise CommandError(f"{source} is missing")
            if copied.sha256 != one.sha256:
                raise CommandError(f"{source} is damaged: its SHA-256 is another one")
            steps.advance()
    return folders


async def _make_ready(steps: Steps, backup: BackupFolder, staged: Path) -> None:
    """Looks at the databases, and has each service do with its own what a restore asks for."""
    lost = datetime.datetime.now(datetime.UTC) - backup.manifest.moment
    begin_anew: dict[str, Callable[[Path], Awaitable[None]]] = {
        "user.db": user.begin_anew,
        "message.db": partial(message.begin_anew, lost_seconds=int(lost.total_seconds())),
    }
    for name, migrations in _MIGRATIONS.items():
        database = staged / name
        if not database.exists():
            continue
        steps.step(f"looking at {name}")
        if problem := sqlite_cut.problem(database):
            raise CommandError(f"{backup.path / DATA / name} is damaged: {problem}")
        if is_newer(database, migrations):
            raise CommandError(f"{backup.path} was written by a newer version of Roomline: use that one to restore it")
        if name in begin_anew:
            try:
                await begin_anew[name](database)
            except (sqlite3.Error, RoomlineError) as error:
                raise CommandError(f"cannot make {database} ready: {error}") from error


def _tell(folder: DataFolder, exchange: Exchange) -> None:
    for place in exchange.places(folder):
        aside = place.path / exchange.aside
        if aside.exists():
            typer.echo(f"What was there before is in {aside}: delete it when nobody needs it any more.")
    if not exchange.media:
        typer.echo("Files of attachments were left as they are.")
    typer.echo(
        "Clients begin anew: the event log has another epoch, people with accounts log in again, and new messages have "
        "ids that nobody has seen."
    )
