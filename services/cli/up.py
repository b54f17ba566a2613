"""`roomline up`."""
# ruff: noqa: PLC0415 - see main.py

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import DataDir, InstanceOfKey, Key, identity, settings_of


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
    instance: InstanceOfKey = None,
    key: Key = None,
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
    options = Options(grpc_port, dev, identity(instance, key), ready_file.absolute() if ready_file else None)
    raise typer.Exit(run(settings, options))
