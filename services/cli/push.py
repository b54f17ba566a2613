"""`roomline push-key`: the key that web pushes are signed with."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from typing import Annotated

import typer


def push_key(
    subject: Annotated[
        str, typer.Option(metavar="URL", help="Whom push services write to about our pushes, as mailto: or https: URL.")
    ] = "",
) -> None:
    """Make a key for web push, and print the settings that turn it on.

    It is not stored: put the settings into the environment of `roomline up`, or into roomline.toml.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    from services.cli.options import settings_of
    from services.common.vapid_key import encode_private

    key = encode_private(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value)
    if subject:
        settings_of(push_vapid_key=key, push_subject=subject)  # refuses what the server would refuse
    typer.echo(f"ROOMLINE_PUSH_VAPID_KEY={key}\nROOMLINE_PUSH_SUBJECT={subject or 'mailto:'}")
    typer.echo("Keep the key: browsers that have subscribed with it cannot be reached with another one.", err=True)
    if not subject:
        typer.echo("Complete the subject: an address at which push services can reach you.", err=True)
