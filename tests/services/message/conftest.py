"""The message service over real gRPC, called both ways: the pipe, and plain calls."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from services.media.maintenance import Pace
from tests.services.message.desk import Desk
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster
from tests.support.transports import PIPE_AND_PLAIN


@pytest.fixture(params=PIPE_AND_PLAIN)
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """User and message service with the users bob, ann and eve."""
    async with running_cluster(tmp_path, pipe=request.param) as running:
        await running.add_users("bob", "ann", "eve")
        yield running


@pytest.fixture(params=PIPE_AND_PLAIN)
async def desk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """All services, with a clock that can be moved, and a media service that sweeps all the time."""
    clock = ShiftedClock()
    async with running_cluster(tmp_path, pipe=request.param, clock=clock, pace=Pace(sweep=0.05)) as running:
        opened = Desk(running, clock=clock)
        await opened.open()
        yield opened


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """All that is logged."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with capture_logs() as captured:
        yield captured
    structlog.configure(wrapper_class=before)
