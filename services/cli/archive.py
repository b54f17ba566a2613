"""`roomline import` and `roomline export`."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import DataDir, Instance, settings_of
from services.supervisor.command_error import UsageError

if TYPE_CHECKING:
    from services.supervisor.archive.command import Options

import_app = typer.Typer(
    help="Bring data into an instance of the running server. Nothing that is there already is changed, so an import "
    "that was stopped is simply started again.",
    no_args_is_help=True,
)

Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write what could not be kept as it was here, a line of JSON each; for their owner only."
    ),
]
NoFiles = Annotated[bool, typer.Option("--no-files", help="Leave the bytes of attachments and avatars out.")]


@import_app.command("chatkit")
def import_chatkit(
    users: Annotated[Path, typer.Argument(metavar="USERS", help="The file with the users.")],
    rooms: Annotated[Path, typer.Argument(metavar="ROOMS", help="The file with the rooms.")],
    messages: Annotated[Path, typer.Argument(metavar="MESSAGES", help="The file with the messages.")],
    instance: Instance = None,
    data_dir: DataDir = None,
    report: Report = None,
    no_files: NoFiles = False,
) -> None:
    """Import the three files that Chatkit exported.

    They may have one JSON object a line, or one array, and any size. Everybody begins with everything read. Attachments
    are fetched from the addresses in the export, which last for seven days; those that are gone are named in the
    report, and tried again by another import.
    """
    from services.supervisor.chatkit.importing import import_chatkit as run
    from services.supervisor.chatkit.reading import Files

    run(_options(data_dir, instance, report, no_files=no_files), Files(users, rooms, messages))


@import_app.command("archive")
def import_archive(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `roomline export` wrote.")],
    instance: Instance = None,
    data_dir: DataDir = None,
    report: Report = None,
    no_files: NoFiles = False,
) -> None:
    """Import what `roomline export` wrote.

    Into an empty instance everything comes back as it was, ids, times and order included; only sessions do not. Into
    another one what is new comes, and what has an id that is taken is named in the report.
    """
    from services.supervisor.archive.command import import_folder

    import_folder(_options(data_dir, instance, report, no_files=no_files), folder)


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or an empty one.")],
    user: Annotated[str | None, typer.Option(metavar="ID", help="Only what there is of this user.")] = None,
    instance: Instance = None,
    data_dir: DataDir = None,
    report: Report = None,
    no_files: NoFiles = False,
) -> None:
    """Export an instance of the running server into a folder.

    Only the folder's owner may read it. It has users with accounts and hashes of passwords, roles, rooms, members,
    messages, read cursors, attachments and avatars.
    With --user what one person may ask for: profile, memberships, own messages, own files, and no hash.
    """
    from services.supervisor.archive.command import export_folder

    if user == "":  # such as that of a variable that is not set: everything is not what was meant
        raise UsageError("--user has no id")
    export_folder(_options(data_dir, instance, report, no_files=no_files), folder, user or "")


def _options(data_dir: Path | None, instance: str | None, report: Path | None, *, no_files: bool) -> Options:
    from services.supervisor.archive.command import Options

    return Options(settings_of(data_dir=data_dir), instance, report, files=not no_files)
