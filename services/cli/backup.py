"""`roomline backup` and `roomline restore`."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import DataDir, settings_of


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or an empty one.")],
    data_dir: DataDir = None,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Leave the bytes of attachments and avatars out.")
    ] = False,
) -> None:
    """Back up everything, as it is at one moment, while the server runs or not.

    All instances with their keys and accounts, databases and files: whoever has the folder has everything, so only its
    owner may read it. A folder without manifest.json is no backup. Settings are not in it, nor files of an object
    store.
    """
    from services.supervisor.backup.backing_up import back_up

    back_up(settings_of(data_dir=data_dir), folder, files=not no_files)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `roomline backup` wrote.")],
    data_dir: DataDir = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put aside what is there. It stays, in a folder before-restore-TIME.")
    ] = False,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Leave attachments and avatars as they are, in their folder or store.")
    ] = False,
) -> None:
    """Bring back what `roomline backup` wrote. No server may run on the data folder.

    All of it is looked at before anything changes. Clients that were connected begin anew, and people with accounts log
    in again. If this is interrupted, either nothing has changed, or no server starts until the same command has
    finished it.
    """
    from services.supervisor.backup.restoring import restore as run

    run(settings_of(data_dir=data_dir), folder, replace=replace, files=not no_files)
