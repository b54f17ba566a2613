"""`roomline webhook`."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.options import DataDir, Instance, settings_of, utf8
from services.supervisor.command_error import UsageError

webhook_app = typer.Typer(
    help="Have the events of an instance posted to a URL, signed as Standard Webhooks are. Needs a running server.",
    no_args_is_help=True,
)

WebhookId = Annotated[
    str, typer.Argument(metavar="WEBHOOK", parser=utf8, help="Its id, as `roomline webhook list` shows it.")
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="KIND",
        parser=utf8,
        help="A kind of event, such as message_sent; as often as needed. All if not given.",
    ),
]
Description = Annotated[str | None, typer.Option(metavar="TEXT", parser=utf8, help="For people.")]


@webhook_app.command("create")
def create_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", parser=utf8, help="Where events go: an https URL.")],
    event: Events = None,
    description: Description = None,
    instance: Instance = None,
    data_dir: DataDir = None,
) -> None:
    """Make a webhook, which gets what happens from now on. Its secret is shown once, now."""
    from roomline.v1.webhook_pb2 import Webhook

    from services.supervisor.webhooks import ask

    wanted = Webhook(url=url, event_kinds=event or (), description=description or "")
    made, secret = ask(settings_of(data_dir=data_dir), instance, lambda webhooks: webhooks.create(wanted))
    typer.echo(f"Webhook  {made.id}\nSecret   {secret}")
    typer.echo("Keep the secret: it is not shown again.", err=True)


@webhook_app.command("list")
def list_webhooks(
    instance: Instance = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List the webhooks of an instance, and how far each has come."""
    from services.supervisor.webhooks import as_json as to_json
    from services.supervisor.webhooks import ask, describe

    found = ask(settings_of(data_dir=data_dir), instance, lambda webhooks: webhooks.all())
    if as_json:
        typer.echo(to_json(found))
    elif found:
        typer.echo("\n\n".join(map(describe, found)))
    else:
        typer.echo("There is no webhook yet. Make one with: roomline webhook create URL", err=True)


@webhook_app.command("update")
def update_webhook(
    webhook: WebhookId,
    url: Annotated[str | None, typer.Option(metavar="URL", parser=utf8, help="Where events go from now on.")] = None,
    event: Events = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Deliver events of all kinds.")] = False,
    description: Description = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Whether anything is delivered. Enabled, it goes on where it stopped."),
    ] = None,
    instance: Instance = None,
    data_dir: DataDir = None,
) -> None:
    """Change a webhook; what is not named stays. What could not be delivered is tried again at once."""
    from roomline.v1.webhook_pb2 import Webhook

    from services.supervisor.webhooks import ask, describe

    if event and all_events:
        raise UsageError("give --event or --all-events, not both")
    changed = Webhook(
        id=webhook, url=url or "", event_kinds=event or (), description=description or "", disabled=enabled is False
    )
    named = {
        "url": url is not None,
        "event_kinds": bool(event) or all_events,
        "description": description is not None,
        "disabled": enabled is not None,
    }
    paths = [path for path, is_named in named.items() if is_named]
    if not paths:
        raise UsageError("name something to change")
    updated = ask(settings_of(data_dir=data_dir), instance, lambda webhooks: webhooks.update(changed, paths))
    typer.echo(describe(updated))


@webhook_app.command("delete")
def delete_webhook(webhook: WebhookId, instance: Instance = None, data_dir: DataDir = None) -> None:
    """Remove a webhook."""
    from services.supervisor.webhooks import ask

    ask(settings_of(data_dir=data_dir), instance, lambda webhooks: webhooks.delete(webhook))


@webhook_app.command("rotate-secret")
def rotate_webhook_secret(webhook: WebhookId, instance: Instance = None, data_dir: DataDir = None) -> None:
    """Give a webhook a new secret, shown once. For 24 hours deliveries are signed with the old one, too."""
    from services.supervisor.webhooks import ask

    typer.echo(ask(settings_of(data_dir=data_dir), instance, lambda webhooks: webhooks.rotate_secret(webhook)))
    typer.echo("Keep the secret: it is not shown again.", err=True)
