"""Real services, whose grace periods pass when a test says so, and gateways in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from roomline.v1.presence_service_pb2_grpc import PresenceServiceStub

from gateway.live.presence import Presence
from services.common.backoff import Backoff
from services.common.channels import connect
from services.common.ids import MICROSECONDS
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from tests.gateway.live.presence.watching import SECONDS, OpenGateway
from tests.support.clock import ManualTimers, ShiftedClock
from tests.support.cluster import SERVICE_SECRET, Cluster, running_cluster


@pytest.fixture
def timers() -> ManualTimers:
    return ManualTimers()


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def cluster(tmp_path: Path, timers: ManualTimers, clock: ShiftedClock) -> AsyncIterator[Cluster]:
    """With the users ann, bob and "a b"."""
    async with running_cluster(tmp_path, later=timers, clock=clock, port=0, tls_port=0) as running:
        await running.add_users("ann", "bob", "a b")
        yield running


@pytest.fixture
def open_gateway(cluster: Cluster) -> OpenGateway:
    @asynccontextmanager
    async def opened(
        *, linger_seconds: float = SECONDS, open_seconds: float = SECONDS, grace_seconds: float = 0.05
    ) -> AsyncIterator[Presence]:
        async with connect(cluster.settings.user_address, cluster.settings) as channel:
            presence = Presence(
                PresenceServiceStub(channel),
                ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "gateway", lambda: cluster.clock() / MICROSECONDS),
                grace_seconds=grace_seconds,
                open_seconds=open_seconds,
                linger_seconds=linger_seconds,
                backoff=Backoff(first=0.01, longest=0.1),
            )
            try:
                yield presence
            finally:
                await presence.close()

    return opened
