"""`roomline backup`: everything that an installation keeps, as it is at one moment."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import typer

from services.common.settings import Settings
from services.media import sqlite_blobs
from services.media.blobs import local_folder
from services.supervisor.archive.progress import Steps
from services.supervisor.backup import sqlite_cut
from services.supervisor.backup.folder import DATA, ELSEWHERE, INCLUDED, LEFT_OUT, MEDIA
from services.supervisor.backup.writer import BackupWriter
from services.supervisor.command_error import CommandError, StoppedError, UsageError
from services.supervisor.data_folder import DataFolder
from services.supervisor.files import unreadable

MEDIA_DATABASE = "media.db"
BUSIEST_FIRST = ("message.db", MEDIA_DATABASE, "user.db")


def back_up(settings: Settings, target: Path, *, files: bool) -> None:
    """Writes a backup into a new folder, and says so; a server may run meanwhile. Raises CommandError.

    Without `files`, attachments and avatars have no bytes there.
    """
    folder = DataFolder(settings.data_dir)
    media = media_folder(settings) if files else None
    attachments = LEFT_OUT if not files else INCLUDED if media else ELSEWHERE
    try:
        with folder.copying():
            databases = [folder.path / name for name in BUSIEST_FIRST if (folder.path / name).exists()]
            if not databases:
                raise CommandError(f"{folder.path} has no databases: there is nothing to back up")
            with BackupWriter(target) as writer, Steps() as steps:
                missing, held_seconds, taken_at = _write(writer, steps, folder, databases, media)
                writer.finish(metadata.version("roomline-server"), taken_at, attachments, len(missing))
    except KeyboardInterrupt:
        raise StoppedError(f"stopped; {target} is no backup: start the same command again to begin anew") from None
    typer.echo(
        f"{writer.files} files with {_size(writer.size)} in {writer.path}, as of {taken_at}.\n"
        f"Nobody had to wait for longer than {held_seconds * 1000:.1f} ms."
    )
    if attachments == ELSEWHERE:
        typer.echo("Attachments are not in it: their object store needs a backup, or versions, of its own.", err=True)
    if missing:
        typer.echo(f"Files of attachments that are lost: {len(missing)}, such as {media}/{missing[0]}", err=True)


def media_folder(settings: Settings) -> Path | None:
    """Where the bytes of attachments are; None if that is an object store. Raises UsageError."""
    try:
        folder = local_folder(settings)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return folder.absolute() if folder is not None else None


def _write(
    writer: BackupWriter, steps: Steps, folder: DataFolder, databases: list[Path], media: Path | None
) -> tuple[list[str], float, str]:
    """The names of lost files, how long others had to wait, and the moment that the backup shows."""
    taken_at = datetime.datetime.now(datetime.UTC)
    small: dict[str, bytes] = {}

    def meanwhile() -> None:
        # In the same moment as the databases: which doors of development mode have to be shut is told by a file.
        nonlocal taken_at
        taken_at = datetime.datetime.now(datetime.UTC)
        small.update(_small_files(folder))

    with sqlite_cut.cut(databases, meanwhile) as cut:
        for name, content in small.items():
            writer.add(f"{DATA}/{name}", content)
        for database in databases:
            steps.step(f"{database.name}, pages")
            cut.copy(database, writer.place(f"{DATA}/{database.name}"), _advancing(steps))
    for database in databases:
        steps.step(f"looking at {database.name}")
        if problem := sqlite_cut.problem(writer.path / DATA / database.name):
            raise CommandError(f"{database} is damaged: {problem}")
        writer.take(f"{DATA}/{database.name}")
    lost: list[str] = []
    if media is not None and folder.path / MEDIA_DATABASE in databases:
        lost = _copy_files(writer, steps, folder.path / MEDIA_DATABASE, media)
    return lost, cut.held_seconds, taken_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _small_files(folder: DataFolder) -> Iterator[tuple[str, bytes]]:
    for path in folder.kept_files:
        try:
            yield str(path.relative_to(folder.path)), path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unreadable(path, error) from error


def _advancing(steps: Steps) -> Callable[[int, int], None]:
    """Tells the steps what SQLite tells: how much there is, and how much is left."""
    done = 0

    def advance(total: int, left: int) -> None:
        nonlocal done
        steps.expect(total)
        steps.advance(total - left - done)
        done = total - left

    return advance


def _copy_files(writer: BackupWriter, steps: Steps, database: Path, media: Path) -> list[str]:
    """Copies the files that were in use at the moment; returns the keys of those that should be there and are not."""
    lost: list[str] = []
    copied = writer.path / DATA / MEDIA_DATABASE
    with sqlite_cut.reading(copied, copy=True) as moment, sqlite_cut.reading(database) as live:
        count = sqlite_blobs.count(moment)
        steps.step("files", count)
        for key, is_there in writer.copy(MEDIA, media, sqlite_blobs.keys(moment)):
            # What was deleted after the moment may be missing; what is still in use may not.
            if not is_there and sqlite_blobs.is_in_use(live, key):
                lost.append(key)
            steps.advance()
    if lost and len(lost) == count:
        raise CommandError(
            f"{media} has none of the files that should be in it, which are {count}: set ROOMLINE_MEDIA_URL as the "
            "server has it, see that the volume is there, or leave the files out with --no-files"
        )
    return lost


def _size(number: int) -> str:
    """In words."""
    size = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
