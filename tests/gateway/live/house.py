"""A gateway in front of real services, and what its clients do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.health import Health
from gateway.live.live import Live
from gateway.server import Gateway, build_app
from services.common.ids import MICROSECONDS
from services.common.tokens import user_token
from tests.gateway.live.stage import Socket
from tests.support.cluster import SECRET, Cluster

ROOM = "/services/chatkit/v6/one/rooms/the-room"


@asynccontextmanager
async def gateway_of(cluster: Cluster) -> AsyncIterator[Gateway]:
    settings = cluster.settings.model_copy(update={"port": 0})
    channels = {"user": cluster.user_channel, "message": cluster.message_channel}
    live = Live(settings, **channels, clock=cluster.clock)
    app = build_app(settings, **channels, media=cluster.media_channel, health=Health({}), live=live)
    gateway = Gateway(settings, app)
    async with live:
        await gateway.start()
        yield gateway
        await gateway.stop()


def token_of(cluster: Cluster, *, key: str = "key", secret: str = SECRET, seconds: int = 3600) -> dict[str, str]:
    """The headers of Bob's."""
    token = user_token("one", key, secret, "bob", cluster.clock() / MICROSECONDS, seconds)
    return {"Authorization": "Bearer " + token}


async def opened(socket: Socket, number: int, path: str, headers: dict[str, str]) -> None:
    await socket.subscribe(number, path, headers)
    assert await socket.receive() == [101, number, {}]
