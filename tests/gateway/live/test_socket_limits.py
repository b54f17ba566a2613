"""What ends a WebSocket: messages that are none, too many of them, slow clients, silent ones, a stop (spec §10.1)."""

import asyncio

import orjson
import pytest

from gateway.live.outlet import event_tail
from gateway.live.websocket import MAX_MESSAGE_BYTES, MAX_SUBSCRIBE_BYTES, MAX_SUBSCRIPTIONS
from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.live.stage import PATIENT, WITH_TOKEN, Socket, Stage, running_stage, socket_at

BOTH_KEYS = {"Retry-After", "retry-after"}


@pytest.mark.parametrize("patience", [PATIENT._replace(ping=0.05, silence=20.0)])
async def test_the_server_pings_too(socket: Socket) -> None:
    for number in (1, 2, 3):
        assert await socket.receive() == [16, number]
        await socket.send(17, number, None, None)
    await socket.send(16, "still here")
    while (message := await socket.receive())[0] == 16:
        pass
    assert message == [17, "still here"]


@pytest.mark.parametrize("patience", [PATIENT._replace(silence=0.5)])
async def test_a_client_that_says_nothing_is_left(socket: Socket, stage: Stage) -> None:
    await socket.opened(0)
    await (await stage.scene()).closed()
    assert await socket.ended() == 1006


@pytest.mark.parametrize(
    "message",
    [
        "",
        "garbage",
        "[100",
        "{}",
        "null",
        "7",
        "[]",
        "[5]",
        '["100",0,"/services",{}]',
        "[101,0,{}]",
        "[100]",
        "[100,0]",
        '[100,0,"/services"]',
        "[100,0,7,{}]",
        "[100,0,null,{}]",
        '[100,null,"/services",{}]',
        '[100,[1],"/services",{}]',
        '[100,true,"/services",{}]',
        '[100,1.5,"/services",{}]',
        '[100,"' + "x" * 100 + '","/services",{}]',
        '[100,0,"/services",[]]',
        '[100,0,"/services",null]',
        '[100,0,"/services",{"Authorization":7}]',
        '[100,0,"\\ud800",{}]',
        "[198]",
        "[198,null]",
        "[16]",
        "[16,{}]",
        "[" * 2000 + "]" * 2000,
        b"[16,0]",
    ],
)
async def test_a_malformed_message_closes_the_connection(socket: Socket, stage: Stage, message: str | bytes) -> None:
    await socket.opened(0)
    await socket.connection.send(message)
    assert await socket.closed_with() == (400, {}, "bad_request")
    await (await stage.scene()).closed()


async def test_what_comes_behind_a_malformed_message_is_not_heard(socket: Socket, stage: Stage) -> None:
    await socket.connection.send("garbage")
    await socket.subscribe(0, "/rooms/r")
    assert (await socket.closed_with())[0] == 400
    assert stage.scenes == []


async def test_a_message_may_be_large(socket: Socket) -> None:
    frame = orjson.dumps([16, "x" * (MAX_MESSAGE_BYTES - 7)]).decode()
    assert len(frame) == MAX_MESSAGE_BYTES
    await socket.connection.send(frame)
    assert (await socket.receive())[0] == 17


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_message_that_is_too_large(socket: Socket, stage: Stage, pieces: int) -> None:
    await socket.opened(0)
    text = "x" * (MAX_MESSAGE_BYTES // pieces + 1)
    await socket.connection.send(text if pieces == 1 else [text] * pieces)
    assert await socket.closed_with() == (413, {}, "request_too_large")
    assert socket.connection.close_code == 1009
    await (await stage.scene()).closed()


async def test_there_is_a_limit_on_path_and_headers(socket: Socket, stage: Stage) -> None:
    await socket.subscribe(0, "/rooms/r", {**WITH_TOKEN, "X-Long": "x" * MAX_SUBSCRIBE_BYTES})
    status, _, body = await socket.ended_with(0)
    assert (status, body["error"]) == (431, "request_head_too_large")
    assert stage.scenes == []
    await socket.opened(0)


async def test_there_is_a_limit_on_a_socket(socket: Socket) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        await socket.opened(number)
    await socket.subscribe(MAX_SUBSCRIPTIONS, "/rooms/r")
    status, headers, body = await socket.ended_with(MAX_SUBSCRIPTIONS)
    assert (status, headers, body["error"]) == (429, {}, "too_many_subscriptions")
    assert str(MAX_SUBSCRIPTIONS) in body["error_description"]
    await socket.send(198, 0)
    await socket.opened(MAX_SUBSCRIPTIONS)


async def test_there_is_a_limit_on_the_process(stage: Stage, settings: Settings, backend: Backend) -> None:
    async with (
        running_stage(stage, settings, backend, max_subscriptions=1) as gateway,
        socket_at(gateway.port) as socket,
    ):
        await socket.opened(0)
        await socket.subscribe(1, "/rooms/r")
        status, headers, body = await socket.ended_with(1)
        assert (status, body["error"]) == (503, "service_unavailable")
        assert headers.keys() == BOTH_KEYS
        await socket.send(198, 0)
        await (await stage.scene()).closed()
        await socket.opened(1)


async def test_a_client_that_takes_nothing(gateway: Gateway, stage: Stage) -> None:
    async with socket_at(gateway.port) as slow, socket_at(gateway.port) as quick:
        await slow.opened(0)
        await slow.opened(1)
        await quick.opened(0)
        slow.connection.transport.pause_reading()
        scene = await stage.scene()
        tail = event_tail("2", orjson.dumps("x" * 65_536))
        async with asyncio.timeout(60):
            for _ in range(10_000):
                scene.outlet.event(tail)
                await asyncio.sleep(0)
                if scene.is_closed.is_set():
                    break
        await (await stage.scene(1)).closed()
        (await stage.scene(2)).event(2)
        assert await quick.receive() == [102, 0, "2", {}, {}]
        slow.connection.transport.resume_reading()
        while (message := await slow.receive())[0] == 102:
            pass
        code, status, headers, body = message
        assert (code, status, body["error"]) == (99, 503, "service_unavailable")
        assert headers.keys() == BOTH_KEYS
        assert await slow.ended() == 1013


async def test_a_client_that_takes_nothing_at_all(stage: Stage, settings: Settings, backend: Backend) -> None:
    async with (
        running_stage(stage, settings, backend, PATIENT._replace(lingering=0.1)) as gateway,
        socket_at(gateway.port, close_timeout=1) as slow,
    ):
        await slow.opened(0)
        slow.connection.transport.pause_reading()
        scene = await stage.scene()
        tail = event_tail("2", orjson.dumps("x" * 65_536))
        while not scene.is_closed.is_set():
            scene.outlet.event(tail)
            await asyncio.sleep(0)
        await asyncio.wait_for(gateway.stop(), 30)


async def test_a_stop_tells_every_subscription(gateway: Gateway, stage: Stage) -> None:
    async with socket_at(gateway.port) as socket:
        await socket.opened(0)
        await socket.opened(1)
        await socket.subscribe(2, "/later")
        await asyncio.wait_for(stage.waiting.wait(), 30)
        stopping = asyncio.create_task(gateway.stop())
        for number in range(3):
            status, headers, body = await socket.ended_with(number)
            assert (status, body["error"]) == (503, "service_unavailable")
            assert headers.keys() == BOTH_KEYS
        assert await socket.ended() == 1012
        await asyncio.wait_for(stopping, 30)
    for number in range(2):
        await (await stage.scene(number)).closed()
    await asyncio.wait_for(stage.cancelled.wait(), 30)
