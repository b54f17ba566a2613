"""`roomline instance`."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.options import DataDir, settings_of

instance_app = typer.Typer(
    help="Make, list and change instances (tenants), and their keys. Works with a running server and without one.",
    no_args_is_help=True,
)


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
