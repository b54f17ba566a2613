"""Server-sent events as a transport (spec §7)."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.app import App
from gateway.chatkit.endpoint import SubscriptionEndpoint, refusal
from gateway.chatkit.routes import CHATKIT
from gateway.inquiry import Inquiry
from gateway.live.delivery import MAX_UNTAKEN_BYTES, Admission
from gateway.live.sse import EventStreamDelivery, block
from gateway.request import Limits, Request
from gateway.response import Response
from gateway.router import Router
from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX, Client, Connection
from tests.gateway.live.stage import PATIENT, Stage, Stream

BELOW = "/services/chatkit/v6/{instance_id}/events/"
AT_ONCE, LATER, REFUSED, QUICK = (f"{PREFIX}/events/{name}" for name in ("at_once", "later", "refused", "quick"))


@pytest.fixture
async def gateway(stage: Stage, settings: Settings, backend: Backend) -> AsyncIterator[Gateway]:
    """A gateway that serves the stage as event streams, one of them with pings all the time."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        router, inquiry = Router(), Inquiry(channel)
        for name, subscribe in (("at_once", stage.at_once), ("later", stage.later), ("refused", stage.refused)):
            router.add_event_stream(BELOW + name, SubscriptionEndpoint(CHATKIT, subscribe, inquiry))
        quick_endpoint = SubscriptionEndpoint(CHATKIT, stage.at_once, inquiry)

        async def quick(request: Request) -> Response:
            return await EventStreamDelivery(quick_endpoint, request, Admission(1), 0.02).opening()

        router.add("GET", BELOW + "quick", quick)
        limits = Limits(settings.max_request_bytes, settings.call_timeout_seconds)
        app = App(router, lambda error, request: refusal(error, request, CHATKIT), limits, max_subscriptions=2)
        running = Gateway(settings, app, PATIENT)
        await running.start()
        try:
            yield running
        finally:
            await running.stop()


def ask(connection: Connection, path: str = AT_ONCE) -> None:
    connection.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-token\r\n\r\n".encode())


async def opened(connection: Connection, path: str = AT_ONCE) -> Stream:
    """A stream whose first two blocks have come."""
    ask(connection, path)
    assert (await connection.head())[0] == 200
    stream = Stream(connection)
    assert await stream.chunk() == b"retry: 2000\n\n"
    assert await stream.chunk()
    return stream


def test_blocks() -> None:
    assert block("e:1", "message.new", b'{"a":1}') == b'id: e:1\nevent: message.new\ndata: {"a":1}\n\n'
    assert block("e:1") == b"id: e:1\n\n"
    assert block(name="message.new", data=b"{}") == b"event: message.new\ndata: {}\n\n"


async def test_the_head_is_out_at_once(connection: Connection) -> None:
    ask(connection)
    status, headers = await connection.head()
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("private, no-store", "no")
    assert (headers["transfer-encoding"], headers["connection"]) == ("chunked", "close")
    assert headers["access-control-allow-origin"] == "*"
    assert "content-length" not in headers


async def test_events_go_out_as_they_are(connection: Connection, stage: Stage) -> None:
    stream = await opened(connection)
    scene = await stage.scene()
    scene.outlet.event(block("e:2", "message.new", b"{}"))
    assert await stream.chunk() == block("e:2", "message.new", b"{}")
    scene.outlet.end()
    await stream.end()
    await scene.closed()


async def test_a_silent_stream_is_kept_alive(connection: Connection) -> None:
    stream = await opened(connection, QUICK)
    for _ in range(3):
        assert await stream.chunk() == b": ping\n\n"


async def test_a_refusal_is_an_ordinary_answer(gateway: Gateway) -> None:
    reply = await Client(gateway.port).get(REFUSED)
    assert (reply.status, reply.headers["content-type"]) == (404, "application/json")
    reply = await Client(gateway.port).request("POST", AT_ONCE)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, OPTIONS")


async def test_there_are_not_more_than_there_may_be(gateway: Gateway, stage: Stage) -> None:
    connections = [await Connection.open(gateway.port) for _ in range(2)]
    for connection in connections:
        await opened(connection)
    reply = await Client(gateway.port).get(AT_ONCE)
    assert (reply.status, "retry-after" in reply.headers) == (503, True)
    await connections[0].close()
    await (await stage.scene(0)).closed()
    connections[0] = await Connection.open(gateway.port)
    await opened(connections[0])
    for connection in connections:
        await connection.close()


async def test_a_client_that_leaves_is_noticed(connection: Connection, stage: Stage) -> None:
    await opened(connection)
    await connection.close()
    await (await stage.scene()).closed()


async def test_a_client_that_leaves_early_is_noticed(connection: Connection, stage: Stage) -> None:
    ask(connection, LATER)
    await asyncio.wait_for(stage.waiting.wait(), 30)
    await connection.close()
    await asyncio.wait_for(stage.cancelled.wait(), 30)


async def test_a_slow_reader_is_cut_off(gateway: Gateway, stage: Stage) -> None:
    with sockets.create_connection(("127.0.0.1", gateway.port)) as slow:
        slow.sendall(f"GET {AT_ONCE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\r\n".encode())
        scene = await stage.scene()
        large = block("e:2", "message.new", b"x" * 65_536)
        for _ in range(2 * MAX_UNTAKEN_BYTES // len(large) + 256):  # the system takes some too
            scene.outlet.event(large)
            await asyncio.sleep(0)
        await scene.closed()


async def test_a_stop_ends_all_streams(gateway: Gateway, connection: Connection, stage: Stage) -> None:
    stream = await opened(connection)
    await asyncio.wait_for(gateway.stop(), 30)
    await stream.end()
    await (await stage.scene()).closed()
