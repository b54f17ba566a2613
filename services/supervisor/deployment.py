"""Where one start of Roomline listens, and what its processes are told."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from services.common.ids import secret
from services.common.settings import Settings
from services.supervisor.child import Program
from services.supervisor.command_error import UsageError
from services.supervisor.data_folder import DataFolder
from services.supervisor.ports import Reservation, is_loopback, reserve, resolve

SERVICES = ("user", "message", "media")
GATEWAY = "gateway"
_GRPC_HOST = "127.0.0.1"
_OWN_SECRETS = ("ROOMLINE_OPERATOR_SECRET", "ROOMLINE_KEY")
"""Variables of the command that are not for every child."""


@dataclass(frozen=True)
class Listeners:
    """The ports of all processes."""

    services: Mapping[str, Reservation]
    http: Reservation
    https: Reservation | None

    @classmethod
    def reserve(cls, stack: ExitStack, host: str, port: int, tls_port: int | None, grpc_port: int) -> Listeners:
        """Takes the ports until the stack closes. Raises CommandError if one is taken.

        gRPC listeners have no TLS, so they stay on the loopback interface even if the gateway leaves it.
        """
        asked = [*(range(grpc_port, grpc_port + len(SERVICES)) if grpc_port else ()), *filter(None, (port, tls_port))]
        if len(set(asked)) < len(asked):
            raise UsageError(f"--port, --tls-port and --grpc-port ({grpc_port} and the two after it) must not overlap")
        address = resolve(host)
        grpc_host = address if is_loopback(address) else _GRPC_HOST

        def take(at: str, number: int, option: str) -> Reservation:
            reservation = reserve(at, number, option)
            stack.callback(reservation.close)
            return reservation

        return cls(
            services={
                name: take(grpc_host, grpc_port and grpc_port + offset, "--grpc-port")
                for offset, name in enumerate(SERVICES)
            },
            http=take(address, port, "--port"),
            https=take(address, tls_port, "--tls-port") if tls_port is not None else None,
        )


@dataclass(frozen=True)
class Certificate:
    """What the gateway's TLS listener shows."""

    certificate: Path
    key: Path
    ca: Path | None
    """For clients to trust; None if the certificate is the operator's own."""


@dataclass(frozen=True)
class Secrets:
    """What the processes trust each other by. Handed over by environment, never written to a log."""

    operator: str = dataclasses.field(repr=False)
    service: str = dataclasses.field(repr=False)

    @classmethod
    def of(cls, settings: Settings, folder: DataFolder) -> Secrets:
        """Those of the settings; otherwise the operator's from the data folder, and a new one for the services."""
        return cls(
            operator=settings.operator_secret.get_secret_value() or folder.operator_secret(),
            service=settings.service_secret.get_secret_value() or secret(),
        )


def programs(
    settings: Settings, data_dir: Path, listeners: Listeners, certificate: Certificate | None, secrets: Secrets
) -> list[list[Program]]:
    """The services, then the gateway, which calls them."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OWN_SECRETS}
    common = {
        "ROOMLINE_DATA_DIR": str(data_dir),
        "ROOMLINE_HOST": listeners.http.host,
        "ROOMLINE_PORT": str(listeners.http.port),
        "ROOMLINE_SERVICE_SECRET": secrets.service,
        "ROOMLINE_PORTS_RESERVED": "true",
        "ROOMLINE_LOG_FORMAT": settings.log_format,
        "ROOMLINE_CHAT_API_INSTANCE": settings.chat_api_instance,
    }
    for name, reservation in listeners.services.items():
        common[f"ROOMLINE_{name.upper()}_ADDRESS"] = reservation.bind_address
    if listeners.https is not None and certificate is not None:
        common |= {
            "ROOMLINE_TLS_PORT": str(listeners.https.port),
            "ROOMLINE_TLS_CERTIFICATE": str(certificate.certificate),
            "ROOMLINE_TLS_KEY": str(certificate.key),
        }
    own = {"user": {"ROOMLINE_OPERATOR_SECRET": secrets.operator}}

    def program(name: str, module: str) -> Program:
        # -P: a folder called `services` or `gateway` where the command was given must not stand in for ours.
        return Program(name, (sys.executable, "-P", "-m", module), {**inherited, **common, **own.get(name, {})})

    return [[program(name, f"services.{name}") for name in SERVICES], [program(GATEWAY, "gateway")]]


@dataclass(frozen=True)
class Run:
    """Where a running server is reached; what its ready file and run file say."""

    http: str
    https: str
    """Empty if there is no TLS listener."""
    grpc: Mapping[str, str]
    instance_locator: str
    """Empty if the start named no instance; `key` likewise."""
    key: str = dataclasses.field(repr=False)
    ca_file: str
    pids: Mapping[str, int]

    @classmethod
    def of(cls, listeners: Listeners, ca: Path | None) -> Run:
        """Without instance and processes, which come later."""
        return cls(
            http=f"http://{listeners.http.address}",
            https=f"https://{listeners.https.address}" if listeners.https else "",
            grpc={name: reservation.address for name, reservation in listeners.services.items()},
            instance_locator="",
            key="",
            ca_file=str(ca or ""),
            pids={"supervisor": os.getpid()},
        )

    def to_json(self) -> str:
        """For `from_json`, test suites and scripts. Holds the key: for private files only."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Run:
        """Reads what `to_json` wrote. Raises ValueError or TypeError."""
        return cls(**json.loads(text))
