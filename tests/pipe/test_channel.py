"""What goes over a pipe, and how much at a time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import grpc
import pytest
from roomline.v1 import room_service_pb2_grpc
from roomline.v1.cursor_service_pb2 import GetCursorRequest, GetCursorResponse
from roomline.v1.pipe_service_pb2 import PipeRequest, PipeResponse
from roomline.v1.pipe_service_pb2_grpc import PipeServiceServicer, add_PipeServiceServicer_to_server
from roomline.v1.room_service_pb2 import CreateRoomRequest, CreateRoomResponse

from services.common.pipe.channel import PipeChannel
from services.common.pipe.limits import MAX_FRAME_BYTES, MAX_FRAME_ITEMS, Patience
from tests.pipe.harness import (
    QUICK,
    REQUEST,
    Context,
    CursorStub,
    Server,
    cursors,
    failure,
    pipe_to,
    reason,
    serving,
)


class Recorder(PipeServiceServicer):
    """A pipe's server that records the frames it gets, and answers every call with nothing."""

    def __init__(self) -> None:
        self.frames: list[PipeRequest] = []
        self.answers = True
        self.calls = asyncio.Semaphore(0)

    async def Pipe(self, request_iterator: object, context: Any) -> None:  # type: ignore[override] # noqa: N802 - gRPC's
        await context.write(PipeResponse(credits=1024))
        while (frame := await context.read()) is not grpc.aio.EOF:
            self.frames.append(frame)
            response = PipeResponse()
            for call in frame.calls:
                self.calls.release()
                if not self.answers:
                    continue
                response.results.add(id=call.id)
            await context.write(response)


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Recorder, CursorStub]]:
    """A recorder that has recorded nothing yet, and a stub on an open pipe to it."""
    recorder, server = Recorder(), grpc.aio.server()
    add_PipeServiceServicer_to_server(recorder, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with PipeChannel(f"127.0.0.1:{port}") as channel:
        stub = cursors(channel)
        await stub.GetCursor(REQUEST)
        recorder.frames.clear()
        yield recorder, stub
    await server.stop(None)


async def record(requests: list[GetCursorRequest]) -> list[PipeRequest]:
    """The frames in which the requests are sent when they are made at once."""
    async with recording() as (recorder, stub):
        await asyncio.gather(*(_await(stub.GetCursor(request, timeout=30)) for request in requests))
        return list(recorder.frames)


async def _await(call: Any) -> Any:
    return await call


async def test_calls_are_batched() -> None:
    frames = await record([REQUEST] * 200)
    assert [len(frame.calls) for frame in frames] == [MAX_FRAME_ITEMS] * 3 + [8]
    calls = [call for frame in frames for call in frame.calls]
    assert len({call.id for call in calls}) == 200
    assert calls[0].method == "/roomline.v1.CursorService/GetCursor"
    assert calls[0].request == REQUEST.SerializeToString()
    assert all(0 < call.timeout_us <= 30_000_000 for call in calls)


async def test_cancelled_ids_are_sent_in_pieces() -> None:
    async with recording() as (recorder, stub):
        recorder.answers = False
        calls = [stub.GetCursor(REQUEST) for _ in range(200)]
        for _ in range(1 + len(calls)):  # and the one that opened the pipe
            await recorder.calls.acquire()
        for call in calls:
            call.cancel()
        recorder.answers = True
        await stub.GetCursor(REQUEST)  # sent after what was cancelled before it
        sizes = [len(frame.cancelled_ids) for frame in recorder.frames if frame.cancelled_ids]
        assert sizes == [MAX_FRAME_ITEMS] * 3 + [8]


async def test_a_pipe_keeps_nothing_of_the_call_that_opened_it(server: Server) -> None:
    class Known:
        """What only the first call's task knows."""

    known: ContextVar[Known] = ContextVar("known")

    async def first_call() -> weakref.ref[Known]:
        known.set(Known())
        await cursors(channel).GetCursor(REQUEST)
        return weakref.ref(known.get())

    async with pipe_to(server) as channel:
        left = await asyncio.create_task(first_call())
        await asyncio.sleep(0)  # the loop holds the task until then
        gc.collect()
        assert left() is None


async def test_frames_of_calls_keep_to_their_size() -> None:
    frames = await record([GetCursorRequest(user_id="x" * 300 * 1024)] * 10)
    assert [len(frame.calls) for frame in frames] == [3, 3, 3, 1]
    assert all(frame.ByteSize() <= MAX_FRAME_BYTES for frame in frames)


async def test_a_large_call_goes_unary(server: Server, pipe: CursorStub) -> None:
    for size, piped in ((900 * 1024, 1), (MAX_FRAME_BYTES, 1), (100, 2)):
        request = GetCursorRequest(user_id="x" * size)
        await pipe.GetCursor(request, timeout=10, metadata=[("a", "b")])
        assert server.captured.calls == piped


async def test_call_credentials_go_unary(server: Server) -> None:
    credentials = grpc.access_token_call_credentials("secret")
    async with pipe_to(server) as channel:
        # gRPC refuses them without TLS; what counts is that they are not dropped in silence.
        with pytest.raises(grpc.aio.UsageError, match="secure channels"):
            await cursors(channel).GetCursor(REQUEST, credentials=credentials)


async def test_credits_hold_calls_back() -> None:
    async with serving(max_in_flight=4) as server, pipe_to(server) as channel:
        running = most = 0

        async def count(request: Any, context: Context) -> GetCursorResponse:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return GetCursorResponse()

        server.behavior = count
        stub = cursors(channel)
        await asyncio.gather(*(_await(stub.GetCursor(REQUEST)) for _ in range(100)))
        assert most == 4


async def test_the_queue_is_bounded() -> None:
    async with serving(max_in_flight=1) as server:
        started, release = asyncio.Event(), asyncio.Event()

        async def wait(request: Any, context: Context) -> GetCursorResponse:
            started.set()
            await release.wait()
            return GetCursorResponse()

        server.behavior = wait
        async with pipe_to(server, Patience(max_queued=3)) as channel:
            stub = cursors(channel)
            first = stub.GetCursor(REQUEST)
            await started.wait()
            queued = [stub.GetCursor(REQUEST) for _ in range(3)]
            refused = stub.GetCursor(REQUEST)
            assert refused.done()
            error = await failure(refused)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert reason(error) == "OVERLOADED"
            queued.pop(1).cancel()
            queued.append(stub.GetCursor(REQUEST))
            assert not queued[-1].done()
            release.set()
            await asyncio.gather(*map(_await, [first, *queued]))
            await stub.GetCursor(REQUEST)


async def test_a_queued_call_keeps_its_deadline() -> None:
    async with serving(max_in_flight=1) as server, pipe_to(server) as channel:
        started, release = asyncio.Event(), asyncio.Event()

        async def wait(request: Any, context: Context) -> GetCursorResponse:
            started.set()
            await release.wait()
            return GetCursorResponse()

        server.behavior = wait
        stub = cursors(channel)
        first = stub.GetCursor(REQUEST)
        await started.wait()
        error = await failure(stub.GetCursor(REQUEST, timeout=0.05))
        assert reason(error) == "DEADLINE_EXCEEDED"
        release.set()
        await first
        await stub.GetCursor(REQUEST)
        assert server.captured.calls == 2


async def test_abandoned_calls_give_their_credit_back() -> None:
    async with serving(max_in_flight=2) as server, pipe_to(server) as channel:
        stub = cursors(channel)

        async def hang(request: Any, context: Context) -> GetCursorResponse:
            if request.user_id == "slow":
                await asyncio.Event().wait()
            return GetCursorResponse()

        server.behavior = hang
        slow = GetCursorRequest(user_id="slow")
        for _ in range(3):
            for timeout in (0.02, 0.01):
                assert reason(await failure(stub.GetCursor(slow, timeout=timeout))) == "DEADLINE_EXCEEDED"
        await stub.GetCursor(REQUEST, timeout=10)


async def test_ten_thousand_calls_at_once() -> None:
    served: dict[str, int] = {}

    async def count(request: Any, context: Context) -> CreateRoomResponse:
        served[request.name] = served.get(request.name, 0) + 1
        if len(served) % 7 == 0:
            await asyncio.sleep(0)
        response = CreateRoomResponse()
        response.room.name = request.name
        return response

    async with serving() as server, pipe_to(server) as channel:
        server.behavior = count
        create = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom
        requests = [CreateRoomRequest() for _ in range(10_000)]
        for number, request in enumerate(requests):
            request.name = str(number)
        responses = await asyncio.gather(*(_await(create(request, timeout=60)) for request in requests))
        assert [response.room.name for response in responses] == [request.name for request in requests]
        assert served == {str(number): 1 for number in range(10_000)}


async def test_a_response_that_cannot_be_parsed(server: Server) -> None:
    async with pipe_to(server) as channel:

        def fail(data: bytes) -> None:
            raise ValueError(data)

        method = channel.unary_unary("/roomline.v1.CursorService/GetCursor", None, fail)
        assert (await failure(method(b""))).code() is grpc.StatusCode.INTERNAL


async def test_nothing_is_left_of_a_closed_channel(server: Server) -> None:
    before = asyncio.all_tasks()
    loop_errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
    async with pipe_to(server, QUICK) as channel:
        stub = cursors(channel)
        await asyncio.gather(*(_await(stub.GetCursor(REQUEST)) for _ in range(100)))
        abandoned = stub.GetCursor(REQUEST)
    assert abandoned.cancelled()
    async with pipe_to(server):
        pass  # never used
    await server.stop()
    left = [task for task in asyncio.all_tasks() - before if "services/common/pipe" in repr(task)]
    if left:  # they may still be about to end
        _, pending = await asyncio.wait(left, timeout=10)
        assert not pending
    assert not loop_errors
