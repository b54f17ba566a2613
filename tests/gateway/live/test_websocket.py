"""Subscriptions over WebSockets (spec §10.1)."""

import asyncio
from typing import Any

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.server import Gateway
from services.common.errors import RoomlineError
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX
from tests.gateway.live.stage import Socket, Stage, socket_at

BOTH_KEYS = {"Retry-After", "retry-after"}


async def test_an_open_subscription_and_its_events(socket: Socket, stage: Stage) -> None:
    await socket.opened(0)
    scene = await stage.scene()
    scene.event(2, text="\N{GRINNING FACE}")
    for size in (100, 125, 126, 1000, 65_535, 65_536, 70_000):
        scene.event(size, text="x" * size)
    assert await socket.receive() == [102, 0, "2", {}, {"text": "\N{GRINNING FACE}"}]
    for size in (100, 125, 126, 1000, 65_535, 65_536, 70_000):
        assert await socket.receive() == [102, 0, str(size), {}, {"text": "x" * size}]


async def test_an_open_one_comes_before_its_events(socket: Socket, stage: Stage) -> None:
    await socket.subscribe(0, "/later")
    await asyncio.wait_for(stage.waiting.wait(), 30)
    await socket.opened(1)
    stage.go_on.set()
    assert await socket.receive() == [101, 0, {}]
    assert (await socket.receive())[:3] == [102, 0, "1"]


async def test_whoever_waits_in_turn_opens_after_what_was_asked_for_before(socket: Socket, stage: Stage) -> None:
    for number, path in enumerate(("/later", "/later", "/refused", "/in_turn", "/later")):
        await socket.subscribe(number, path)
    assert (await socket.ended_with(2))[0] == 404
    await socket.opened(5)
    await socket.send(198, 0)
    await asyncio.wait_for(stage.cancelled.wait(), 30)
    stage.go_on.set()
    first = [await socket.receive() for _ in range(6)]
    openings = [frame[1] for frame in first if frame[0] == 101]
    assert sorted(openings) == [1, 3, 4]
    assert openings.index(1) < openings.index(3)


async def test_what_has_ended_waits_for_nothing_in_turn(socket: Socket, stage: Stage) -> None:
    """Else it would wait for later ones that wait for it."""
    await socket.subscribe(0, "/over")
    await socket.subscribe(1, "/later")
    assert (await socket.ended_with(0))[0] == 204
    await stage.scene()
    assert not stage.go_on.is_set()


@pytest.mark.parametrize("number", [0, 7, 2**53, "a", 'quo"te', ""])
async def test_ids_are_the_clients(socket: Socket, number: int | str) -> None:
    await socket.opened(number)


async def test_ids_of_different_types_differ(socket: Socket) -> None:
    await socket.opened(1)
    await socket.opened("1")


async def test_ids_are_of_one_connection(gateway: Gateway, stage: Stage) -> None:
    async with socket_at(gateway.port) as first, socket_at(gateway.port) as second:
        await first.opened(0)
        await second.opened(0)
        (await stage.scene(1)).event(2)
        assert await second.receive() == [102, 0, "2", {}, {}]


@pytest.mark.parametrize("slash", ["", "/", "//"])
async def test_what_the_request_looks_like(gateway: Gateway, socket: Socket, stage: Stage, slash: str) -> None:
    path = f"{slash}services/chatkit/v2/the-instance/rooms/a%2Fb%20c/?message_limit=2&id=x&id=\N{GRINNING FACE}&none="
    headers = {
        "authorization": "Bearer the-token",
        "LAST-EVENT-ID": "7",
        "X-Request-Id": "q",
        "Host": "elsewhere",
        "X-Forwarded-For": "10.1.1.1",
    }
    await socket.subscribe(0, path, headers)
    await socket.receive()
    request = (await stage.scene()).request
    assert request.method == "SUBSCRIBE"
    assert request.parameters == {"instance_id": "the-instance", "room_id": "a/b c"}
    assert request.query == {"message_limit": ["2"], "id": ["x", "\N{GRINNING FACE}"]}
    assert request.header(b"last-event-id") == "7"
    assert request.request_id == "q"
    metadata = dict(request.metadata)
    assert metadata["authorization"] == "Bearer the-token"
    assert "the-instance" in metadata.values()
    assert request.links.base_url == f"http://127.0.0.1:{gateway.port}"
    assert request.remote_address == "127.0.0.1"
    assert (await request.body()) == b"" if request.body_read else True


async def test_paths_may_be_raw(socket: Socket, stage: Stage) -> None:
    await socket.opened(0, "/rooms/Zo\N{LATIN SMALL LETTER E WITH DIAERESIS} \N{GRINNING FACE}#x")
    assert (await stage.scene()).request.parameters["room_id"] == (
        "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS} \N{GRINNING FACE}"
    )


async def test_a_plus_may_be_a_space(socket: Socket, stage: Stage) -> None:
    await socket.opened(0, "/spaced/a+b")
    assert (await stage.scene()).request.parameters["room_id"] == "a b"


@pytest.mark.parametrize(
    ("path", "headers", "status", "error"),
    [
        ("/refused", None, 404, "services/chatkit/not_found/room_not_found"),
        ("/broken", None, 500, "internal_server_error"),
        ("/nowhere", None, 404, "not_found/route"),
        ("/services/chatkit/v9/i/rooms/r", None, 404, "not_found/route"),
        ("/services/other/v6/i/rooms/r", None, 404, "not_found/route"),
        ("/users", None, 405, "method_not_allowed"),
        ("/rooms/%ff", None, 422, "services/chatkit_authorizer/authorization/url_param_parsing_failed"),
        ("/rooms/a%00", None, 422, "services/chatkit_authorizer/authorization/url_param_parsing_failed"),
        ("/rooms/r", {}, 401, "authentication/missing_token"),
        ("/rooms/r", {"Authorization": "\N{GRINNING FACE}"}, 401, "authentication/jwt/invalid"),
        ("/rooms/r", {"Authorization": "a\r\nb"}, 401, "authentication/jwt/invalid"),
    ],
)
async def test_a_refusal_ends_the_subscription_only(
    socket: Socket, path: str, headers: dict[str, str] | None, status: int, error: str
) -> None:
    await socket.subscribe(0, path, headers)
    found, sent, body = await socket.ended_with(0)
    assert (found, sent, body["error"]) == (status, {}, error)
    assert body["error_uri"].endswith(error)
    await socket.opened(0)  # the id is free again


async def test_a_bad_token_is_said_first(socket: Socket, backend: Backend) -> None:
    backend.answers["BatchGetUsers"] = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
    await socket.subscribe(0, "/refused")
    status, _, body = await socket.ended_with(0)
    assert (status, body["error"]) == (401, "authentication/expired")


async def test_a_normal_end(socket: Socket, stage: Stage) -> None:
    await socket.opened(0)
    scene = await stage.scene()
    scene.outlet.end()
    scene.event(2)
    scene.outlet.end(ValueError())
    assert await socket.ended_with(0) == (204, {}, {})
    await scene.closed()
    await socket.opened(0)


async def test_an_end_with_an_error(socket: Socket, stage: Stage) -> None:
    await socket.opened(0)
    scene = await stage.scene()
    scene.outlet.end(RoomlineError(ErrorReason.ERROR_REASON_CURSOR_EXPIRED))
    status, headers, body = await socket.ended_with(0)
    assert (status, body["error"]) == (503, "service_unavailable")
    assert headers.keys() == BOTH_KEYS
    assert 1 <= int(headers["Retry-After"]) <= 5
    await scene.closed()


async def test_an_end_while_it_opens(socket: Socket, stage: Stage) -> None:
    await socket.subscribe(0, "/short")
    assert await socket.receive() == [101, 0, {}]
    assert (await socket.receive())[:3] == [102, 0, "1"]
    assert await socket.ended_with(0) == (204, {}, {})
    await (await stage.scene()).closed()


@pytest.mark.parametrize("padding", [[], [None], [None, None], [None, None, None]])
async def test_unsubscribe(socket: Socket, stage: Stage, padding: list[None]) -> None:
    await socket.opened(0)
    await socket.send(198, 0, *padding)
    scene = await stage.scene()
    await scene.closed()
    scene.event(2)
    await socket.send(198, 0, *padding)  # unknown by now
    await socket.opened(0)


async def test_unsubscribe_before_it_is_open(socket: Socket, stage: Stage) -> None:
    await socket.subscribe(0, "/later")
    await asyncio.wait_for(stage.waiting.wait(), 30)
    await socket.send(198, 0)
    await asyncio.wait_for(stage.cancelled.wait(), 30)
    await socket.opened(0)


async def test_an_id_that_is_taken(socket: Socket, stage: Stage) -> None:
    await socket.opened(0)
    await socket.subscribe(0, "/rooms/r")
    status, headers, body = await socket.ended_with(0)
    assert (status, headers, body["error"]) == (400, {}, "bad_request")
    await (await stage.scene()).closed()  # for the client it has ended too
    await socket.opened(0)


async def test_a_client_that_leaves(gateway: Gateway, stage: Stage) -> None:
    async with socket_at(gateway.port) as socket:
        await socket.opened(0)
        await socket.opened(1)
        await socket.subscribe(2, "/later")
        await asyncio.wait_for(stage.waiting.wait(), 30)
    for number in range(2):
        scene = await stage.scene(number)
        await scene.closed()
        scene.event(2)
        scene.outlet.end()
    await asyncio.wait_for(stage.cancelled.wait(), 30)


async def test_a_connection_that_breaks(gateway: Gateway, stage: Stage) -> None:
    async with socket_at(gateway.port) as socket:
        await socket.opened(0)
        socket.connection.transport.abort()
        await (await stage.scene()).closed()


@pytest.mark.parametrize("ping", [[0], [123456789], ["abc"], [7, None, None]])
async def test_a_ping_is_answered_with_its_id(socket: Socket, ping: list[Any]) -> None:
    await socket.send(16, *ping)
    assert await socket.receive() == [17, ping[0]]


async def test_pings_of_the_frames_are_answered_too(socket: Socket) -> None:
    await asyncio.wait_for(await socket.connection.ping(), 30)


async def test_a_message_may_come_in_pieces(socket: Socket) -> None:
    await socket.connection.send(["[16,", '"in ', 'pieces"]'])
    assert await socket.receive() == [17, "in pieces"]


async def test_subscriptions_end_while_others_are_sent_to(socket: Socket, stage: Stage) -> None:
    """Whoever goes through a list of outlets may do so without a copy."""
    for number in range(3):
        await socket.opened(number)
    open_ones = list(stage.scenes)
    for scene in open_ones:
        scene.outlet.end()
        assert not scene.is_closed.is_set()
    for scene in open_ones:
        await scene.closed()


async def test_a_path_is_of_its_version(socket: Socket) -> None:
    await socket.subscribe(0, PREFIX.replace("/v6/", "/v7/") + "/rooms/r")
    assert (await socket.receive())[0] == 101
