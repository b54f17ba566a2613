"""The server that runs on a data folder, for commands that ask it to do something."""

from __future__ import annotations

from services.supervisor.command_error import CommandError
from services.supervisor.data_folder import DataFolder
from services.supervisor.deployment import Run
from services.supervisor.private_file import read_private_file


def running(folder: DataFolder) -> Run | None:
    """Where the process that holds the folder listens; None if it is no server, or has not got that far."""
    text = read_private_file(folder.run_file)
    if text is None:
        return None
    try:
        run = Run.from_json(text)
        return run if run.pids["supervisor"] == folder.holder() else None
    except (ValueError, TypeError, KeyError):
        return None


def service_secret(folder: DataFolder) -> str:
    """What the running server's processes sign their tokens with. Raises CommandError if it is not there."""
    secret = read_private_file(folder.service_secret_file)
    if secret is None:
        raise CommandError(f"{folder.service_secret_file} is missing: start the server again")
    return secret
