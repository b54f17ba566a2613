"""Fixtures of the fault tests."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.health import Health
from gateway.server import Gateway, build_app
from tests.cli.commands import wait_until
from tests.faults.actors import Actor
from tests.faults.chance import CHANCE
from tests.faults.chatkit import Chatkit
from tests.faults.invariants import check_databases, is_settled
from tests.support.cluster import Cluster, running_cluster


@pytest.fixture(autouse=True)
def seed() -> int:
    """Makes the moments of a test; `ROOMLINE_FAULT_SEED` makes them the same again, as far as the machine does."""
    chosen = int(os.environ.get("ROOMLINE_FAULT_SEED") or secrets.randbits(32))
    print(f"ROOMLINE_FAULT_SEED={chosen}")  # noqa: T201 - pytest shows it with a failure
    CHANCE.seed(chosen)
    return chosen


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """User and message service with the users bob, ann and eve; their databases must agree afterwards."""
    async with running_cluster(tmp_path) as running:
        await running.add_users("bob", "ann", "eve")
        yield running
        await asyncio.to_thread(wait_until, lambda: is_settled(tmp_path))
    check_databases(tmp_path)


@pytest.fixture
def server(cluster: Cluster) -> Actor:
    """A server of the instance that acts as Bob where an actor is needed."""
    return Actor(cluster, cluster.as_server("bob"))


@pytest.fixture
async def chatkit(cluster: Cluster) -> AsyncIterator[Chatkit]:
    """A gateway in front of the cluster."""
    settings = cluster.settings.model_copy(update={"port": 0})
    channels = {"user": cluster.user_channel, "message": cluster.message_channel, "media": cluster.media_channel}
    gateway = Gateway(settings, build_app(settings, **channels, health=Health(channels), live=None))
    await gateway.start()
    yield Chatkit(cluster, gateway.port)
    await gateway.stop()
