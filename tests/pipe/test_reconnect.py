"""What becomes of calls when the connection breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from roomline.v1 import room_service_pb2_grpc
from roomline.v1.cursor_service_pb2 import GetCursorResponse, SetCursorRequest, SetCursorResponse
from roomline.v1.pipe_service_pb2 import PipeResponse
from roomline.v1.pipe_service_pb2_grpc import PipeServiceServicer
from roomline.v1.room_service_pb2 import CreateRoomRequest, CreateRoomResponse

from services.common.pipe.channel import PipeChannel
from tests.pipe.harness import (
    PATIENT,
    QUICK,
    REQUEST,
    Context,
    Server,
    cursors,
    failure,
    pipe_to,
    plain_to,
    reason,
)

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Breaker:
    """A behavior that hangs until its server breaks, and answers, or refuses, from then on."""

    def __init__(self, response: Any) -> None:
        self.started = asyncio.Event()
        self.calls = 0
        self.broken = False
        self._response = response

    async def __call__(self, request: Any, context: Context) -> Any:
        self.calls += 1
        if not self.broken:
            self.started.set()
            await asyncio.Event().wait()
        if isinstance(self._response, grpc.StatusCode):
            await context.abort(self._response, "refused")
        return self._response


async def test_calls_go_on_after_a_restart(server: Server) -> None:
    async with pipe_to(server, PATIENT) as channel:
        stub = cursors(channel)
        for _ in range(3):
            await stub.GetCursor(REQUEST)
            await server.stop()
            await server.start()
            await asyncio.gather(*(_await(stub.GetCursor(REQUEST)) for _ in range(10)))


async def _await(call: Any) -> Any:
    return await call


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with pipe_to(server, PATIENT) as opened:
        yield opened


async def _restart_during(server: Server, breaker: Breaker, call: Any) -> Any:
    """Breaks the connection while the call's handler runs, and awaits the call."""
    await breaker.started.wait()
    await server.stop()
    breaker.broken = True
    await server.start()
    return await call


async def test_calls_without_side_effects_are_sent_again(server: Server, channel: grpc.aio.Channel) -> None:
    server.behavior = breaker = Breaker(GetCursorResponse())
    await _restart_during(server, breaker, cursors(channel).GetCursor(REQUEST))
    assert breaker.calls == 2


async def test_idempotent_calls_are_sent_again(server: Server, channel: grpc.aio.Channel) -> None:
    server.behavior = breaker = Breaker(SetCursorResponse())
    await _restart_during(server, breaker, cursors(channel).SetCursor(SetCursorRequest(user_id="ann")))
    assert breaker.calls == 2


async def test_calls_with_a_request_id_are_sent_again(server: Server, channel: grpc.aio.Channel) -> None:
    server.behavior = breaker = Breaker(CreateRoomResponse())
    create = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom
    await _restart_during(server, breaker, create(CreateRoomRequest(request_id="once")))
    assert breaker.calls == 2


async def test_other_calls_are_not(server: Server, channel: grpc.aio.Channel) -> None:
    server.behavior = breaker = Breaker(CreateRoomResponse())
    create = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom
    error = await failure(_restart_during(server, breaker, create(CreateRoomRequest())))
    assert error.code() is UNAVAILABLE
    assert reason(error) == "CONNECTION_LOST"
    assert await create(CreateRoomRequest()) == CreateRoomResponse()
    assert breaker.calls == 2


STANDING = (
    *(grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS),
    *(grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.OUT_OF_RANGE),
    *(grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED),
)
REFUSALS = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", REFUSALS, ids=lambda code: code.name)
async def test_a_refusal_of_a_later_try(server: Server, channel: grpc.aio.Channel, code: grpc.StatusCode) -> None:
    """It stands if it says what became of the first try, or if that did not matter."""
    get = cursors(channel).GetCursor
    create, set_cursor = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom, cursors(channel).SetCursor
    calls: list[tuple[Any, bool]] = [
        (lambda: create(CreateRoomRequest(request_id="once")), code in STANDING),
        (lambda: set_cursor(SetCursorRequest(user_id="ann")), code in STANDING),
        (lambda: get(REQUEST), True),
    ]
    for call, stands in calls:
        server.behavior = breaker = Breaker(code)
        error = await failure(_restart_during(server, breaker, call()))
        if stands:
            assert (error.code(), error.details()) == (code, "refused")
        else:
            assert reason(error) == "CONNECTION_LOST"
        assert breaker.calls == 2
        first = await failure(call())
        assert (first.code(), first.details()) == (code, "refused")


async def test_calls_that_were_not_sent_yet_are_sent_later() -> None:
    server = Server(max_in_flight=1)
    await server.start()
    server.behavior = breaker = Breaker(CreateRoomResponse())
    async with pipe_to(server, PATIENT) as channel:
        create = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom
        sent, queued = create(CreateRoomRequest()), create(CreateRoomRequest())
        assert await _restart_during(server, breaker, queued) == CreateRoomResponse()
        assert reason(await failure(sent)) == "CONNECTION_LOST"
        assert breaker.calls == 2
    await server.stop()


async def test_an_outage_is_borne_for_a_while_then_calls_fail_at_once(server: Server) -> None:
    loop = asyncio.get_running_loop()
    async with pipe_to(server, QUICK) as channel:
        stub = cursors(channel)
        await stub.GetCursor(REQUEST)
        await server.stop()
        started = loop.time()
        error = await failure(stub.GetCursor(REQUEST))
        assert loop.time() - started >= QUICK.outage_seconds
        assert error.code() is UNAVAILABLE
        # Whether this call was sent depends on how soon gRPC notices; the next ones are not.
        assert reason(error) in {"SERVICE_UNAVAILABLE", "CONNECTION_LOST"}
        call = stub.GetCursor(REQUEST)
        assert call.done()
        error = await failure(call)
        assert reason(error) == "SERVICE_UNAVAILABLE"
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert isinstance(details, bytes)
        info = error_details_pb2.ErrorInfo()
        assert status_pb2.Status.FromString(details).details[0].Unpack(info)
        # Not where it is: callers see this.
        assert (info.domain, dict(info.metadata)) == ("roomline", {"service": "backend"})
        waiting = stub.GetCursor(REQUEST, wait_for_ready=True)
        await server.start()
        assert await waiting == GetCursorResponse()
        assert await stub.GetCursor(REQUEST) == GetCursorResponse()


async def test_a_channel_closed_under_the_pipe(server: Server) -> None:
    under = plain_to(server)
    async with PipeChannel(under, service="cursors", patience=QUICK) as channel:
        stub = cursors(channel)
        await stub.GetCursor(REQUEST)
        await under.close()
        for _ in range(2):
            assert (await failure(stub.GetCursor(REQUEST))).code() is UNAVAILABLE


async def test_deadlines_hold_during_an_outage(server: Server, channel: grpc.aio.Channel) -> None:
    await server.stop()
    for wait_for_ready in (True, False):
        call = cursors(channel).GetCursor(REQUEST, timeout=0.05, wait_for_ready=wait_for_ready)
        assert reason(await failure(call)) == "DEADLINE_EXCEEDED"


async def test_a_repeated_call_that_nobody_answers_reports_a_lost_connection(server: Server) -> None:
    server.behavior = breaker = Breaker(GetCursorResponse())
    async with pipe_to(server, QUICK) as channel:
        call = cursors(channel).GetCursor(REQUEST)
        await breaker.started.wait()
        await server.stop()
        assert reason(await failure(call)) == "CONNECTION_LOST"


class Misbehaving(PipeServiceServicer):
    """A pipe's server that ends every stream, or sends garbage, when the first call comes."""

    def __init__(self, *, garbage: bool = False) -> None:
        self.calls = 0
        self._garbage = garbage

    async def Pipe(self, request_iterator: object, context: Any) -> None:  # type: ignore[override] # noqa: N802 - gRPC's
        await context.write(PipeResponse(credits=10).SerializeToString())
        frame = await context.read()
        if frame is not grpc.aio.EOF:
            self.calls += 1
            if self._garbage:
                await context.write(b"\xff\xff\xff")
                await context.read()


@pytest.mark.parametrize("garbage", [False, True])
async def test_a_call_that_breaks_every_connection_is_given_up(*, garbage: bool) -> None:
    misbehaving, server = Misbehaving(garbage=garbage), grpc.aio.server()
    pipe: Any = misbehaving.Pipe
    handlers: dict[str, Any] = {"Pipe": grpc.stream_stream_rpc_method_handler(pipe)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("roomline.v1.PipeService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with PipeChannel(f"127.0.0.1:{port}", patience=PATIENT) as channel:
        error = await failure(cursors(channel).GetCursor(REQUEST))
        assert reason(error) == "CONNECTION_LOST"
        assert misbehaving.calls == PATIENT.max_sends
    await server.stop(None)


async def test_a_server_without_a_pipe_is_unavailable() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with PipeChannel(f"127.0.0.1:{port}", patience=QUICK) as channel:
        assert reason(await failure(cursors(channel).GetCursor(REQUEST))) == "SERVICE_UNAVAILABLE"
    await server.stop(None)
