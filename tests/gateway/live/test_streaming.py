"""Subscriptions over HTTP (spec §10.2)."""

import asyncio
from typing import cast

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.live.delivery import MAX_UNTAKEN_BYTES
from gateway.server import Gateway
from services.common.errors import RoomlineError
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX, Client, Connection
from tests.gateway.live.stage import Stage, Stream, running_stage, subscribe_bytes

INITIAL = [1, "1", {}, {"event_name": "initial_state"}]


async def opened(connection: Connection, path: str = "/rooms/r", headers: dict[str, str] | None = None) -> Stream:
    """A stream whose first two lines have come."""
    connection.write(subscribe_bytes(path, headers))
    status, _ = await connection.head()
    assert status == 200
    stream = Stream(connection)
    assert await stream.line() == [0, ""]
    assert await stream.line() == INITIAL
    return stream


async def test_the_head_says_that_it_is_open(connection: Connection, stage: Stage) -> None:
    connection.write(subscribe_bytes("/later"))
    await asyncio.wait_for(stage.waiting.wait(), 30)
    assert connection.reader._buffer == b""  # type: ignore[attr-defined]
    stage.go_on.set()
    status, headers = await connection.head()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["transfer-encoding"] == "chunked"
    assert headers["connection"] == "close"
    assert headers["access-control-allow-origin"] == "*"
    assert "Retry-After" in headers["access-control-expose-headers"]
    assert headers["cache-control"] == "private, no-store"
    assert "content-length" not in headers
    assert "content-encoding" not in headers
    assert headers["x-request-id"]


async def test_each_event_is_a_line(connection: Connection, stage: Stage) -> None:
    stream = await opened(connection)
    scene = await stage.scene()
    scene.event(2, text="a\nb \N{GRINNING FACE}")
    scene.event(3)
    assert await stream.line() == [1, "2", {}, {"text": "a\nb \N{GRINNING FACE}"}]
    assert await stream.line() == [1, "3", {}, {}]


async def test_what_the_request_looks_like(connection: Connection, stage: Stage) -> None:
    await opened(connection, "/rooms/a%2Fb%20c?message_limit=2&id=x&id=y", {"Last-Event-ID": "7", "X-Request-Id": "q"})
    request = (await stage.scene()).request
    assert request.method == "SUBSCRIBE"
    assert request.parameters == {"instance_id": "the-instance", "room_id": "a/b c"}
    assert request.query == {"message_limit": ["2"], "id": ["x", "y"]}
    assert request.header(b"last-event-id") == "7"
    assert request.request_id == "q"
    assert dict(request.metadata)["authorization"] == "Bearer the-token"
    assert request.links.base_url == "http://localhost"


async def test_keep_alives_come_again_and_again(connection: Connection, stage: Stage) -> None:
    connection.write(subscribe_bytes("/quick", method="GET"))  # clients can only ask for slow ones
    await connection.head()
    stream = Stream(connection)
    assert await stream.line() == [0, ""]
    assert await stream.line() == INITIAL
    for _ in range(3):
        assert await stream.line() == [0, ""]
    (await stage.scene()).outlet.end()
    while (line := await stream.line())[0] == 0:
        pass
    assert line[0] == 255
    await stream.end()


@pytest.mark.parametrize("size", [1, 10_240])
async def test_the_first_keep_alive_may_be_long(connection: Connection, size: int) -> None:
    connection.write(subscribe_bytes("/rooms/r", {"x-initial-heartbeat-size": str(size)}))
    await connection.head()
    stream = Stream(connection)
    kind, text = await stream.line()
    assert (kind, len(text.encode())) == (0, size)
    assert await stream.line() == INITIAL


@pytest.mark.parametrize("value", ["30", "60", "300", ""])
async def test_heartbeats_that_are_taken(connection: Connection, value: str) -> None:
    await opened(connection, headers={"X-Heartbeat-Interval": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Heartbeat-Interval", "29"),
        ("X-Heartbeat-Interval", "301"),
        ("X-Heartbeat-Interval", "soon"),
        ("X-Heartbeat-Interval", "-30"),
        ("X-Heartbeat-Interval", "30.5"),
        ("X-Initial-Heartbeat-Size", "10241"),
        ("X-Initial-Heartbeat-Size", "-1"),
        ("X-Initial-Heartbeat-Size", "9" * 5000),
    ],
)
async def test_heartbeats_that_are_refused(connection: Connection, stage: Stage, name: str, value: str) -> None:
    connection.write(subscribe_bytes("/rooms/r", {name: value}))
    reply = await connection.reply()
    assert reply.error == (422, "services/chatkit/unprocessable_entity/validation_failed")
    assert name in reply.description
    assert stage.scenes == []


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        ("/refused", {}, (404, "services/chatkit/not_found/room_not_found")),
        ("/broken", {}, (500, "internal_server_error")),
        ("/nowhere", {}, (404, "not_found/route")),
        ("/services/chatkit/v9/i/rooms/r", {}, (404, "not_found/route")),
        ("/users", {}, (405, "method_not_allowed")),
        ("/rooms/%ff", {}, (422, "services/chatkit_authorizer/authorization/url_param_parsing_failed")),
        ("/rooms/r", {"Authorization": ""}, (401, "authentication/missing_token")),
        ("/rooms/r", {"Authorization": "\xff"}, (401, "authentication/jwt/invalid")),
    ],
)
async def test_a_refusal_is_an_ordinary_answer(
    connection: Connection, path: str, headers: dict[str, str], error: tuple[int, str]
) -> None:
    for _ in range(2):  # the connection goes on
        connection.write(subscribe_bytes(path, headers))
        assert (await connection.reply()).error == error


async def test_a_bad_token_is_said_first(connection: Connection, backend: Backend) -> None:
    backend.answers["BatchGetUsers"] = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
    connection.write(subscribe_bytes("/refused"))
    assert (await connection.reply()).error == (401, "authentication/expired")


async def test_a_plus_may_be_a_space(connection: Connection, stage: Stage) -> None:
    await opened(connection, "/spaced/a+b")
    assert (await stage.scene()).request.parameters["room_id"] == "a b"


async def test_the_method_is_among_those_of_a_path(gateway: Gateway) -> None:
    reply = await Client(gateway.port).request("PUT", "/rooms/r")
    assert reply.error == (405, "method_not_allowed")
    assert "SUBSCRIBE" in reply.headers["allow"]


async def test_a_normal_end(connection: Connection, stage: Stage) -> None:
    stream = await opened(connection)
    scene = await stage.scene()
    scene.outlet.end()
    scene.event(2)
    scene.outlet.end(ValueError())
    assert await stream.line() == [255, 204, {}, {}]
    await stream.end()
    await scene.closed()


async def test_an_end_with_an_error(connection: Connection, stage: Stage) -> None:
    stream = await opened(connection)
    scene = await stage.scene()
    scene.outlet.end(RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND))
    kind, status, headers, body = await stream.line()
    assert (kind, status, headers) == (255, 404, {})
    assert body["error"] == "services/chatkit/not_found/room_not_found"
    assert all(isinstance(value, str) for value in body.values())
    await stream.end()
    await scene.closed()


async def test_an_end_before_the_head_is_out(connection: Connection, stage: Stage) -> None:
    connection.write(subscribe_bytes("/short"))
    assert (await connection.head())[0] == 200
    stream = Stream(connection)
    assert await stream.line() == INITIAL
    assert await stream.line() == [255, 204, {}, {}]
    await stream.end()
    await (await stage.scene()).closed()


async def test_a_client_that_leaves(gateway: Gateway, stage: Stage) -> None:
    connection = await Connection.open(gateway.port)
    await opened(connection)
    await connection.close()
    scene = await stage.scene()
    await scene.closed()
    scene.event(2)
    scene.outlet.end()


async def test_a_client_that_leaves_too_early(gateway: Gateway, stage: Stage) -> None:
    connection = await Connection.open(gateway.port)
    connection.write(subscribe_bytes("/later"))
    await asyncio.wait_for(stage.waiting.wait(), 30)
    await connection.close()
    await asyncio.wait_for(stage.cancelled.wait(), 30)


async def test_what_comes_behind_a_stream_is_not_heard(gateway: Gateway, stage: Stage) -> None:
    connection = await Connection.open(gateway.port)
    connection.write(subscribe_bytes("/rooms/r") + subscribe_bytes("/users", method="GET"))
    await connection.head()
    stream = Stream(connection)
    assert await stream.line() == [0, ""]
    assert await stream.line() == INITIAL
    connection.write(subscribe_bytes("/users", method="GET"))
    scene = await stage.scene()
    scene.event(2)
    assert await stream.line() == [1, "2", {}, {}]
    await connection.close()
    await scene.closed()


async def test_a_client_that_takes_nothing(gateway: Gateway, stage: Stage) -> None:
    slow, quick = [await Connection.open(gateway.port) for _ in range(2)]
    await opened(slow)
    cast("asyncio.Transport", slow.writer.transport).pause_reading()
    other = await opened(quick)
    scene = await stage.scene()
    piece = "x" * 65_536
    async with asyncio.timeout(60):
        for number in range(2, 10_000):
            scene.event(number, text=piece)
            await asyncio.sleep(0)
            if scene.is_closed.is_set():
                break
    assert number > MAX_UNTAKEN_BYTES / len(piece)
    (await stage.scene(1)).event(2)
    assert await other.line() == [1, "2", {}, {}]
    for connection in (slow, quick):
        await connection.close()


async def test_there_is_a_limit_on_subscriptions(stage: Stage, settings: Settings, backend: Backend) -> None:
    async with running_stage(stage, settings, backend, max_subscriptions=1) as gateway:
        first, second = [await Connection.open(gateway.port) for _ in range(2)]
        await opened(first)
        for _ in range(2):
            second.write(subscribe_bytes("/rooms/r"))
            reply = await second.reply()
            assert reply.error == (503, "service_unavailable")
            assert 1 <= int(reply.headers["retry-after"]) <= 5
        await first.close()
        await (await stage.scene()).closed()
        await opened(second)
        await second.close()


async def test_refused_subscriptions_do_not_count(stage: Stage, settings: Settings, backend: Backend) -> None:
    async with running_stage(stage, settings, backend, max_subscriptions=1) as gateway:
        connection = await Connection.open(gateway.port)
        for _ in range(3):
            connection.write(subscribe_bytes("/refused"))
            assert (await connection.reply()).status == 404
        await opened(connection)
        await connection.close()


async def test_a_stop_ends_streams(gateway: Gateway, connection: Connection, stage: Stage) -> None:
    stream = await opened(connection)
    await asyncio.wait_for(gateway.stop(), 30)
    kind, status, _, body = await stream.line()
    assert (kind, status, body["error"]) == (255, 503, "service_unavailable")
    await stream.end()
    await (await stage.scene()).closed()


async def test_a_stop_ends_what_is_not_open_yet(gateway: Gateway, connection: Connection, stage: Stage) -> None:
    connection.write(subscribe_bytes("/later"))
    await asyncio.wait_for(stage.waiting.wait(), 30)
    await asyncio.wait_for(gateway.stop(), 30)
    assert (await connection.reply()).error == (503, "service_unavailable")
    await asyncio.wait_for(stage.cancelled.wait(), 30)


async def test_options_says_that_browsers_may(gateway: Gateway) -> None:
    reply = await Client(gateway.port).request("OPTIONS", f"{PREFIX}/rooms/r", headers={"Origin": "null"})
    assert reply.status == 204
    assert "SUBSCRIBE" in reply.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in reply.headers["access-control-allow-headers"].split(",")}
    assert {"last-event-id", "x-heartbeat-interval", "x-initial-heartbeat-size", "authorization"} <= allowed
