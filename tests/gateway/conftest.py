"""A gateway on a free port, in front of a backend whose answers the tests choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from gateway.health import Health
from gateway.patience import Patience
from gateway.server import Gateway, build_app
from services.common.settings import Settings
from tests.gateway.backend import Backend, running_backend
from tests.gateway.client import Client


@asynccontextmanager
async def running_gateway(
    settings: Settings, backend: Backend, patience: Patience | None = None
) -> AsyncIterator[Gateway]:
    """A gateway with settings of a test's own."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        health = Health({"user": channel, "message": channel})
        gateway = Gateway(settings, build_app(settings, channel, channel, channel, health), patience)
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.stop()


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, port=0, tls_port=0, max_request_bytes=4096, shutdown_grace_seconds=1)


@pytest.fixture
async def gateway(settings: Settings, backend: Backend) -> AsyncIterator[Gateway]:
    async with running_gateway(settings, backend) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(gateway.port)
