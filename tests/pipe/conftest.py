"""Fixtures of the pipe's tests."""

from collections.abc import AsyncIterator

import grpc
import pytest

from tests.pipe.harness import CursorStub, Server, cursors, pipe_to, plain_to, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


@pytest.fixture
async def pipe(server: Server) -> AsyncIterator[CursorStub]:
    """A stub over the pipe."""
    async with pipe_to(server) as channel:
        yield cursors(channel)


@pytest.fixture(params=["plain", "pipe"])
async def channel(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A plain channel and a pipe: what is tested with it holds for both."""
    async with plain_to(server) if request.param == "plain" else pipe_to(server) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> CursorStub:
    return cursors(channel)
