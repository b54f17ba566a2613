"""Subscribers on both transports. They speak plain: what TLS adds is tested elsewhere."""

import pytest

from tests.wire.client import Server
from tests.wire.live.client import Subscriber


@pytest.fixture(params=["websocket", pytest.param("http", marks=pytest.mark.thorough)])
def live(request: pytest.FixtureRequest, server: Server) -> Subscriber:
    """Subscribe over this transport."""
    return Subscriber(server, request.param)


@pytest.fixture
def websocket(server: Server) -> Subscriber:
    """Subscribe over WebSockets, where the transport makes no difference."""
    return Subscriber(server, "websocket")
