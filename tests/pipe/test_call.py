"""A caller cannot tell a call of the pipe from a plain one."""

import asyncio
from typing import Any

import grpc
import pytest
from roomline.v1.cursor_service_pb2 import GetCursorResponse

from tests.pipe.harness import REQUEST, Context, CursorStub, Server, cursors, failure, pipe_to, plain_to

Status = grpc.StatusCode


async def test_success(stub: CursorStub) -> None:
    call = stub.GetCursor(REQUEST)
    assert isinstance(call, grpc.aio.UnaryUnaryCall)
    assert not call.done()
    response = await call
    assert response == GetCursorResponse()
    assert await call is response
    assert call.done()
    assert not call.cancelled()
    assert not call.cancel()
    assert await call.code() is Status.OK
    assert await call.details() == ""
    assert await call.initial_metadata() == grpc.aio.Metadata()
    assert await call.trailing_metadata() == grpc.aio.Metadata()
    assert call.time_remaining() is None
    await call.wait_for_connection()


async def test_a_call_runs_unless_it_is_awaited(stub: CursorStub) -> None:
    call = stub.GetCursor(REQUEST)
    assert await call.code() is Status.OK
    assert await call == GetCursorResponse()


async def test_many_may_await_one_call(stub: CursorStub) -> None:
    call = stub.GetCursor(REQUEST)

    async def wait() -> Any:
        return await call

    first, second, code = await asyncio.gather(wait(), wait(), call.code())
    assert first is second
    assert code is Status.OK


async def test_all_arguments_are_taken(stub: CursorStub) -> None:
    call = stub.GetCursor(
        REQUEST,
        timeout=10,
        metadata=(("a", "b"),),
        credentials=None,
        wait_for_ready=True,
        compression=grpc.Compression.Gzip,
    )
    remaining = call.time_remaining()
    assert remaining is not None
    assert 9 < remaining <= 10
    await call
    await stub.GetCursor(REQUEST, timeout=1e9, wait_for_ready=False)


async def test_done_callbacks(server: Server, stub: CursorStub) -> None:
    called: list[Any] = []
    call = stub.GetCursor(REQUEST)
    call.add_done_callback(called.append)
    await call
    call.add_done_callback(called.append)
    assert called == [call, call]


async def test_deadline_of_the_caller(server: Server, stub: CursorStub) -> None:
    async def hang(request: Any, context: Context) -> None:
        await asyncio.Event().wait()

    server.behavior = hang
    loop = asyncio.get_running_loop()
    await failure(stub.GetCursor(REQUEST, timeout=0.01))
    started = loop.time()
    call = stub.GetCursor(REQUEST, timeout=0.1)
    error = await failure(call)
    assert 0.1 <= loop.time() - started < 1
    assert error.code() is Status.DEADLINE_EXCEEDED
    assert call.time_remaining() == 0
    assert not call.cancelled()
    assert (await failure(call)).code() is Status.DEADLINE_EXCEEDED


async def test_a_call_without_time_is_not_made(server: Server, stub: CursorStub) -> None:
    async def never(request: Any, context: Context) -> None:
        pytest.fail("called")

    server.behavior = never
    assert (await failure(stub.GetCursor(REQUEST, timeout=-1))).code() is Status.DEADLINE_EXCEEDED


async def test_a_call_may_be_cancelled_at_once(server: Server, stub: CursorStub) -> None:
    call = stub.GetCursor(REQUEST)
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    assert await call.code() is Status.CANCELLED
    await stub.GetCursor(REQUEST)


async def test_waiting_for_the_code_does_not_cancel(server: Server, stub: CursorStub) -> None:
    release = asyncio.Event()

    async def wait(request: Any, context: Context) -> GetCursorResponse:
        await release.wait()
        return GetCursorResponse()

    server.behavior = wait
    call = stub.GetCursor(REQUEST)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call.code(), 0.05)
    release.set()
    assert await call == GetCursorResponse()


async def test_a_server_that_is_not_there(server: Server, channel: grpc.aio.Channel) -> None:
    await server.stop()
    stub = cursors(channel)
    assert (await failure(stub.GetCursor(REQUEST))).code() is Status.UNAVAILABLE
    waiting = stub.GetCursor(REQUEST, wait_for_ready=True, timeout=20)
    failing = await failure(stub.GetCursor(REQUEST, wait_for_ready=True, timeout=0.05))
    assert failing.code() is Status.DEADLINE_EXCEEDED
    await server.start()
    assert await waiting == GetCursorResponse()


@pytest.mark.parametrize("open_channel", [plain_to, pipe_to])
async def test_closing_cancels_calls(server: Server, open_channel: Any) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: Any, context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server.behavior = hang
    channel = open_channel(server)
    stub = cursors(channel)
    call = stub.GetCursor(REQUEST)
    await started.wait()
    await channel.close()
    with pytest.raises(asyncio.CancelledError):
        await call
    await cancelled.wait()
    with pytest.raises(grpc.aio.UsageError):
        await stub.GetCursor(REQUEST)
    await channel.close()


@pytest.mark.parametrize("open_channel", [plain_to, pipe_to])
async def test_closing_with_grace_lets_calls_finish(server: Server, open_channel: Any) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, context: Context) -> GetCursorResponse:
        started.set()
        await release.wait()
        return GetCursorResponse()

    server.behavior = wait
    channel = open_channel(server)
    call = cursors(channel).GetCursor(REQUEST)
    await started.wait()
    closing = asyncio.create_task(channel.close(30))
    await asyncio.sleep(0)
    release.set()
    await closing
    assert await call == GetCursorResponse()


async def test_the_rest_of_the_channel(channel: grpc.aio.Channel) -> None:
    await channel.channel_ready()
    assert channel.get_state() is grpc.ChannelConnectivity.READY
    stream: Any = channel.stream_stream("/roomline.v1.CursorService/Nope")()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is Status.UNIMPLEMENTED
    unary_stream: Any = channel.unary_stream("/roomline.v1.CursorService/Nope")
    assert await unary_stream(b"").code() is Status.UNIMPLEMENTED
    stream_unary: Any = channel.stream_unary("/roomline.v1.CursorService/Nope")
    assert await stream_unary().code() is Status.UNIMPLEMENTED
