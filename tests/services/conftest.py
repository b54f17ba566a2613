"""Servers over both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from services.common.settings import Settings
from tests.services.station import Station
from tests.support.cluster import Cluster, running_cluster


@pytest.fixture(params=[True, False], ids=["pipe", "plain"])
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, pipe=request.param) as running:
        await running.add_users("bob")
        yield running


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    made = Station(Settings(shutdown_grace_seconds=0.5))
    await made.server.start("127.0.0.1:0")
    yield made
    await made.server.stop()


@pytest.fixture(params=[True, False], ids=["pipe", "plain"])
async def channel(station: Station, request: pytest.FixtureRequest) -> AsyncIterator[grpc.aio.Channel]:
    async with station.channel(pipe=request.param) as opened:
        yield opened
