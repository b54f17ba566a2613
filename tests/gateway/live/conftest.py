"""A stage, and what is in front of it."""

from collections.abc import AsyncIterator

import pytest

from gateway.patience import Patience
from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import Connection
from tests.gateway.live.stage import PATIENT, Socket, Stage, running_stage, socket_at


@pytest.fixture
def patience() -> Patience:
    return PATIENT


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def gateway(stage: Stage, settings: Settings, backend: Backend, patience: Patience) -> AsyncIterator[Gateway]:
    async with running_stage(stage, settings, backend, patience) as running:
        yield running


@pytest.fixture
async def socket(gateway: Gateway) -> AsyncIterator[Socket]:
    async with socket_at(gateway.port) as opened:
        yield opened


@pytest.fixture
async def connection(gateway: Gateway) -> AsyncIterator[Connection]:
    opened = await Connection.open(gateway.port)
    yield opened
    await opened.close()
