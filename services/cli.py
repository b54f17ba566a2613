"""The `roomline` command: `up`, `instance`, `token`, and in files of their own `import` and `export`.

Refusals are one line on standard error and exit code 1, or 2 where the command line itself is wrong. What scripts want
(a token, JSON) goes to standard output alone.
"""
# ruff: noqa: PLC0415 - each command imports what it needs, so that it starts at once

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli_archive import export, import_app
from services.cli_options import DataDir, settings_of
from services.cli_push import push_key
from services.cli_webhooks import webhook_app
from services.supervisor.command_error import CommandError, UsageError

if TYPE_CHECKING:
    from services.supervisor.identity import Identity

app = typer.Typer(
    name="roomline",
    help="Roomline: a self-hosted chat backend.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
instance_app = typer.Typer(
    help="Make, list and change instances (tenants), and their keys. Works with a running server and without one.",
    no_args_is_help=True,
)
app.add_typer(instance_app, name="instance")
app.add_typer(import_app, name="import")
app.add_typer(webhook_app, name="webhook")

MAX_LIFETIME = 10 * 365 * 86400

InstanceOption = Annotated[
    str | None, typer.Option("--instance", envvar="ROOMLINE_INSTANCE", metavar="v1:local:ID", help="Instance locator.")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", envvar="ROOMLINE_KEY", metavar="KEYID:SECRET", help="A key of that instance.")
]


@app.callback()
def roomline() -> None:
    """Roomline: a self-hosted chat backend.

    Settings come from options, then from the environment (ROOMLINE_*), then from roomline.toml.
    """


@app.command()
def up(
    data_dir: DataDir = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Where the gateway listens. The gRPC services listen there too if it is a loopback address, otherwise "
            "on 127.0.0.1, because they have no TLS.  [ROOMLINE_HOST, or 127.0.0.1]"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The gateway's plain port; 0 picks a free one.  [ROOMLINE_PORT, or 8080]"),
    ] = None,
    tls_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="The gateway's TLS port, used if there is a certificate: with --dev, or named by "
            "ROOMLINE_TLS_CERTIFICATE and ROOMLINE_TLS_KEY.  [ROOMLINE_TLS_PORT, or 8443]",
        ),
    ] = None,
    grpc_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="The user service's port; message and media take the next two. 0 picks free ones."
        ),
    ] = 50051,
    dev: Annotated[
        bool,
        typer.Option(
            "--dev",
            help="Development: makes an instance, a key, a CA and a certificate, and remembers them; turns the test "
            "token provider and the reset hook on. Anybody who reaches the server gets in, so it stays on loopback.",
        ),
    ] = False,
    instance: InstanceOption = None,
    key: KeyOption = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Write addresses, key and process ids here, as JSON, whenever everything answers."),
    ] = None,
) -> None:
    """Start everything in one go; Ctrl-C stops it.

    --instance and --key take over an instance of Chatkit's, or any other, so that clients keep theirs.
    """
    from services.supervisor.up import Options
    from services.supervisor.up import up as run

    settings = settings_of(data_dir=data_dir, host=host, port=port, tls_port=tls_port)
    options = Options(grpc_port, dev, _identity(instance, key), ready_file.absolute() if ready_file else None)
    raise typer.Exit(run(settings, options))


@instance_app.command("create")
def create_instance(
    data_dir: DataDir = None,
    instance_id: Annotated[str, typer.Option("--id", help="The locator's last part; made if not given.")] = "",
    cluster: Annotated[str, typer.Option(help="Its middle part, a DNS label.  [ROOMLINE_CLUSTER, or local]")] = "",
    key: Annotated[
        str | None, typer.Option(metavar="KEYID:SECRET", help="A key to take over; made if not given.")
    ] = None,
    test_token_provider: Annotated[
        bool, typer.Option("--test-token-provider", help="Let anybody have a token for any user. For development.")
    ] = False,
    allow_reset: Annotated[
        bool, typer.Option("--allow-reset", help="Let server tokens wipe the instance. For test suites.")
    ] = False,
) -> None:
    """Make an instance. Its key is shown once, now."""
    from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey

    from services.supervisor.administration import administer
    from services.supervisor.identity import split_key

    key_id, secret = split_key(key) if key else ("", "")
    given = InstanceKey(id=key_id, secret=secret) if key else None
    flags = InstanceFlags(test_token_provider=test_token_provider, allow_reset=allow_reset)
    wanted = Instance(id=instance_id, cluster=cluster, flags=flags)
    made = administer(settings_of(data_dir=data_dir), lambda instances: instances.create(wanted, given))
    typer.echo(f"Instance locator  {made.locator}\nKey               {made.key}")
    typer.echo("Keep the key: it is not shown again.", err=True)


@instance_app.command("update")
def update_instance(
    instance: Annotated[str, typer.Argument(help="Its id or locator.")],
    data_dir: DataDir = None,
    test_token_provider: Annotated[
        bool | None,
        typer.Option(
            "--test-token-provider/--no-test-token-provider",
            help="Whether anybody can have a token for any user. For development.",
        ),
    ] = None,
    allow_reset: Annotated[
        bool | None,
        typer.Option("--allow-reset/--no-allow-reset", help="Whether server tokens can wipe it. For test suites."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="Such as message_bytes=10000; 0 for the server's own. As often as needed."
        ),
    ] = None,
) -> None:
    """Change the switches and limits of an instance; what is not named stays."""
    from services.supervisor.administration import update_instance as update
    from services.supervisor.listing import table

    flags = {"test_token_provider": test_token_provider, "allow_reset": allow_reset}
    typer.echo(table([update(settings_of(data_dir=data_dir), instance, flags, limit or ())]))


@instance_app.command("list")
def list_instances(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List the instances."""
    from services.supervisor.administration import administer
    from services.supervisor.listing import as_json as to_json
    from services.supervisor.listing import table

    found = administer(settings_of(data_dir=data_dir), lambda instances: instances.all())
    if as_json:
        typer.echo(to_json(found))
    elif found:
        typer.echo(table(found))
    else:
        typer.echo("There is no instance yet. Make one with: roomline instance create", err=True)


@instance_app.command("rotate-key")
def rotate_instance_key(
    instance: Annotated[str, typer.Argument(help="Its id or locator.")],
    data_dir: DataDir = None,
    grace: Annotated[
        int, typer.Option(min=0, max=31_536_000, metavar="SECONDS", help="How long the other keys stay valid.")
    ] = 0,
) -> None:
    """Give an instance a new key, shown once, and end the others."""
    from services.supervisor.administration import rotate_key

    typer.echo(rotate_key(settings_of(data_dir=data_dir), instance, grace))
    typer.echo("Keep the key: it is not shown again.", err=True)


@app.command()
def token(
    user: Annotated[str, typer.Option(metavar="ID", help="The user that the token is for; optional with --su.")] = "",
    su: Annotated[bool, typer.Option("--su", help="A server token: it may do everything in its instance.")] = False,
    lifetime: Annotated[
        int, typer.Option(min=1, max=MAX_LIFETIME, metavar="SECONDS", help="How long it is valid.")
    ] = 86400,
    instance: InstanceOption = None,
    key: KeyOption = None,
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
    identity = _identity(instance, key) or folder.dev_identity()
    if identity is None:
        raise CommandError(f"{folder.path} has no development instance: give --instance and --key")
    typer.echo(client_token(identity, user, lifetime, su=su))


def _identity(instance: str | None, key: str | None) -> Identity | None:
    from services.supervisor.identity import Identity

    if not instance and not key:
        return None
    if not instance or not key:
        raise UsageError("--instance and --key go together")
    return Identity.parse(instance, key)


app.command("export")(export)
app.command("push-key")(push_key)


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


if __name__ == "__main__":
    main()
