"""`roomline token`."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.options import DataDir, InstanceOfKey, Key, identity, settings_of
from services.supervisor.command_error import CommandError, UsageError

MAX_LIFETIME = 10 * 365 * 86400


def token(
    user: Annotated[str, typer.Option(metavar="ID", help="The user that the token is for; optional with --su.")] = "",
    su: Annotated[bool, typer.Option("--su", help="A server token: it may do everything in its instance.")] = False,
    lifetime: Annotated[
        int, typer.Option(min=1, max=MAX_LIFETIME, metavar="SECONDS", help="How long it is valid.")
    ] = 86400,
    instance: InstanceOfKey = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Print a token for the JSON API and the SDKs.

    Without --instance and --key it is for the instance of `roomline up --dev`. No server needs to run.
    """
    from services.supervisor.client_token import client_token
    from services.supervisor.data_folder import DataFolder

    if not user and not su:
        raise UsageError("name a user with --user, or ask for a server token with --su")
    folder = DataFolder(settings_of(data_dir=data_dir).data_dir)
    known = identity(instance, key) or folder.dev_identity()
    if known is None:
        raise CommandError(f"{folder.path} has no development instance: give --instance and --key")
    typer.echo(client_token(known, user, lifetime, su=su))
