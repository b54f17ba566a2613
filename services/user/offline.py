"""Instances and keys while no server runs: the same service, for a moment and for this process alone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pydantic import SecretStr
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub

from services.common.channels import connect
from services.common.ids import secret
from services.common.settings import Settings
from services.common.tokens import OPERATOR_ISSUER, ServiceTokens
from services.user.server import build_server

if TYPE_CHECKING:
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub


@contextlib.asynccontextmanager
async def open_instances(settings: Settings) -> AsyncIterator[tuple[InstanceServiceAsyncStub, ServiceTokens]]:
    """An `InstanceService` on the data folder of the settings, and the tokens of its operator.

    Use it as one uses a running server's: `await stub.ListInstances(request, metadata=tokens.metadata())`. Raises
    RuntimeError if a server runs on the folder: ask that one. What a deletion leaves to other services is done when
    they run again.
    """
    private = settings.model_copy(
        update={
            "service_secret": SecretStr(secret()),
            "operator_secret": SecretStr(secret()),
            "pipe": False,  # one call does not pay for a pipe, and a service that is away fails at once
            "shutdown_grace_seconds": 0.0,
        }
    )
    server = build_server(private)
    await server.start("127.0.0.1:0")
    try:
        async with connect(f"127.0.0.1:{server.port}", private) as channel:
            tokens = ServiceTokens(OPERATOR_ISSUER, private.operator_secret.get_secret_value(), "operator")
            yield InstanceServiceStub(channel), tokens
    finally:
        await server.stop()
