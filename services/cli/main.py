"""The `roomline` command: its commands are in files of their own, beside this one.

Refusals are one line on standard error and exit code 1, or 2 where the command line itself is wrong. What scripts want
(a token, JSON) goes to standard output alone. Commands import what they need when they run, so that they start at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from services.cli.archive import export, import_app
from services.cli.backup import backup, restore
from services.cli.instances import instance_app
from services.cli.push import push_key
from services.cli.tokens import token
from services.cli.up import up
from services.cli.webhooks import webhook_app
from services.supervisor.command_error import CommandError

app = typer.Typer(
    name="roomline",
    help="Roomline: a self-hosted chat backend.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"roomline {metadata.version('roomline-server')}")
        raise typer.Exit


@app.callback()
def roomline(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Roomline: a self-hosted chat backend.

    Settings come from options, then from the environment (ROOMLINE_*), then from roomline.toml.
    """


app.command("up")(up)
app.command("token")(token)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("export")(export)
app.command("push-key")(push_key)
app.add_typer(instance_app, name="instance")
app.add_typer(import_app, name="import")
app.add_typer(webhook_app, name="webhook")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command with these arguments, or the process's own, and raises SystemExit; the entry point."""
    # What gRPC's core says of connections that come and go is nothing to act on, and not in the form of our logs.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        app(arguments, prog_name="roomline")
    except CommandError as refusal:
        if refusal.details:
            typer.echo(refusal.details, err=True)
        typer.echo(f"roomline: {refusal}", err=True)
        sys.exit(refusal.exit_code)
