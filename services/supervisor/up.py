"""`roomline up`: one start of everything, from the lock on the data folder to the last child's end."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.common.settings import Settings
from services.common.telemetry import configure_logging
from services.supervisor.command_error import CommandError, UsageError
from services.supervisor.data_folder import DataFolder
from services.supervisor.deployment import Certificate, Listeners, Secrets, programs
from services.supervisor.dev_tls import dev_tls
from services.supervisor.identity import DEV_CLUSTER, Identity
from services.supervisor.ports import is_loopback, resolve
from services.supervisor.session import Session
from services.supervisor.supervisor import Supervisor


@dataclass(frozen=True)
class Options:
    """What the command line adds to the settings."""

    grpc_port: int
    dev: bool
    taken: Identity | None
    """The instance and key to take over."""
    ready_file: Path | None


def up(settings: Settings, options: Options) -> int:
    """Runs everything until a signal comes; gives the exit code. Raises CommandError if it cannot start."""
    if options.dev and not is_loopback(resolve(settings.host)):
        raise UsageError(
            f"--dev lets everybody in who reaches the server, so it does not listen at {settings.host}: "
            "use a loopback address, or start without --dev"
        )
    if options.ready_file is not None and not os.access(options.ready_file.parent, os.W_OK | os.X_OK):
        raise UsageError(f"--ready-file cannot be written: {options.ready_file.parent} is no folder, or not ours")
    os.umask(0o077)  # for the children as well: databases and files are nobody else's business
    settings = settings.model_copy(update=_log_settings(settings, options))
    configure_logging(settings, "supervisor")
    with ExitStack() as stack:
        folder = DataFolder(settings.data_dir)
        lock = stack.enter_context(folder.lock())
        for stale in (folder.run_file, folder.service_secret_file, options.ready_file):
            if stale is not None:
                _remove(stale)
                stack.callback(_remove, stale)
        dev = (options.taken or folder.dev_identity() or Identity.make()) if options.dev else None
        if dev is not None and not settings.chat_api_instance:
            settings = settings.model_copy(update={"chat_api_instance": dev.instance_id})
        certificate = _certificate(settings, folder, dev)
        tls_port = settings.tls_port if certificate else None
        listeners = Listeners.reserve(stack, settings.host, settings.port, tls_port, options.grpc_port)
        secrets = Secrets.of(settings, folder)
        stages = programs(settings, folder.path, listeners, certificate, secrets)

        async def serve(supervisor: Supervisor) -> None:
            # Imported while the children start: it brings gRPC with it, which takes longer than all the rest.
            from services.supervisor.opening import Opening  # noqa: PLC0415

            opening = Opening(
                folder,
                listeners,
                secrets,
                certificate.ca if certificate else None,
                dev=dev,
                taken=options.taken,
                ready_file=options.ready_file,
            )
            await opening.serve(supervisor)

        async def run() -> int:
            session = Session(stages, grace_seconds=settings.shutdown_grace_seconds, inherited=(lock,))
            return await session.run(serve)

        return asyncio.run(run())


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"cannot replace {file}: {error.strerror}") from error


def _log_settings(settings: Settings, options: Options) -> dict[str, str]:
    return {"log_format": "console"} if options.dev and "log_format" not in settings.model_fields_set else {}


def _certificate(settings: Settings, folder: DataFolder, dev: Identity | None) -> Certificate | None:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise UsageError("ROOMLINE_TLS_CERTIFICATE and ROOMLINE_TLS_KEY go together")
    if settings.tls_certificate is not None and settings.tls_key is not None:
        for file in (settings.tls_certificate, settings.tls_key):
            if not os.access(file, os.R_OK):
                raise CommandError(f"cannot read {file}, which the TLS settings name")
        return Certificate(settings.tls_certificate.absolute(), settings.tls_key.absolute(), None)
    if dev is None:
        return None
    extra = () if dev.cluster == DEV_CLUSTER else (f"{dev.cluster}.pusherplatform.io",)
    made = dev_tls(folder.tls, extra)
    return Certificate(made.certificate, made.key, made.ca)
