"""The message service over real gRPC, called both ways: the pipe, and plain calls."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running_cluster


@pytest.fixture(params=[True, False], ids=["pipe", "plain"])
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """User and message service with the users bob, ann and eve."""
    async with running_cluster(tmp_path, pipe=request.param) as running:
        await running.add_users("bob", "ann", "eve")
        yield running
