"""What a client that speaks the protocol itself sees of a served pipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from roomline.v1.cursor_service_pb2 import ListRoomCursorsResponse
from roomline.v1.pipe_service_pb2 import PipeCall, PipeMetadata, PipeRequest, PipeResponse, PipeResult
from roomline.v1.pipe_service_pb2_grpc import PipeServiceStub

from services.common.errors import failure_of
from services.common.pipe.limits import MAX_FRAME_BYTES, MAX_FRAME_ITEMS, MAX_METADATA_ITEMS
from tests.pipe.harness import Context, Server, answer, failure, plain_to, reason, serving

METHOD = "/roomline.v1.CursorService/ListRoomCursors"
MIB = 1024 * 1024


class Pipe:
    """A pipe, frame by frame."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stream = PipeServiceStub(channel).Pipe()

    async def open(self) -> PipeResponse:
        first = await self.frame()
        assert first == PipeResponse(credits=first.credits)
        return first

    async def frame(self) -> PipeResponse:
        frame = await self.stream.read()
        assert isinstance(frame, PipeResponse)
        return frame

    async def send(self, *calls: PipeCall, cancel: tuple[int, ...] = ()) -> None:
        await self.stream.write(PipeRequest(calls=calls, cancelled_ids=cancel))

    async def results(self, count: int) -> list[PipeResult]:
        results: list[PipeResult] = []
        while len(results) < count:
            results += (await self.frame()).results
        assert len(results) == count
        return results


def call(call_id: int, **fields: Any) -> PipeCall:
    return PipeCall(id=call_id, method=METHOD, **fields)


def result_reason(result: PipeResult) -> str:
    """The reason in a result, which must be as complete as a plain call's."""
    trailing = grpc.aio.Metadata(*((entry.key, entry.value) for entry in result.trailing_metadata))
    code = next(code for code in grpc.StatusCode if code.value[0] == result.code)
    return reason(grpc.aio.AioRpcError(code, None, trailing, result.details))


@pytest.fixture
async def pipe(server: Server) -> AsyncIterator[Pipe]:
    async with plain_to(server) as channel:
        opened = Pipe(channel)
        assert (await opened.open()).credits == 1024
        yield opened
        opened.stream.cancel()


async def test_results_are_batched(server: Server, pipe: Pipe) -> None:
    started, release = asyncio.Semaphore(0), asyncio.Event()

    async def wait(request: Any, context: Context) -> ListRoomCursorsResponse:
        started.release()
        await release.wait()
        return ListRoomCursorsResponse()

    server.behavior = wait
    for first in range(0, 200, MAX_FRAME_ITEMS):
        await pipe.send(*(call(number) for number in range(first, min(first + MAX_FRAME_ITEMS, 200))))
    for _ in range(200):
        await started.acquire()
    release.set()
    frames: list[PipeResponse] = []
    while sum(len(frame.results) for frame in frames) < 200:
        frames.append(await pipe.frame())
    assert len(frames) == 4
    assert [result.id for frame in frames for result in frame.results] == list(range(200))
    assert max(len(frame.results) for frame in frames) == MAX_FRAME_ITEMS


async def test_frames_of_results_keep_to_their_size(server: Server, pipe: Pipe) -> None:
    async def respond(request: Any, context: Context) -> ListRoomCursorsResponse:
        response = ListRoomCursorsResponse()
        response.cursors.add(user_id="x" * int(request.room_id))
        return response

    server.behavior = respond
    sizes = [300 * 1024] * 8 + [2 * MIB] + [10] * 3
    await pipe.send(
        *(call(number, request=b"\x0a" + _text(str(size))) for number, size in enumerate(sizes)),
    )
    seen = 0
    while seen < len(sizes):
        frame = await pipe.frame()
        seen += len(frame.results)
        assert frame.ByteSize() <= MAX_FRAME_BYTES or len(frame.results) == 1
        assert all(result.code == 0 for result in frame.results)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


async def test_a_result_above_the_message_limit_fails_alone(server: Server, pipe: Pipe) -> None:
    async def respond(request: Any, context: Context) -> ListRoomCursorsResponse:
        response = ListRoomCursorsResponse()
        response.cursors.add(user_id="x" * (5 * MIB if request.room_id else 1))
        return response

    server.behavior = respond
    await pipe.send(call(1), call(2, request=b"\x0a\x01x"), call(3))
    results = {result.id: result for result in await pipe.results(3)}
    assert results[1].code == results[3].code == 0
    assert results[2].code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


async def test_an_error_above_the_message_limit_fails_alone(server: Server, pipe: Pipe) -> None:
    async def fail(request: Any, context: Context) -> ListRoomCursorsResponse:
        if request.room_id:
            await context.abort(grpc.StatusCode.INTERNAL, "x" * 5 * MIB)
        return ListRoomCursorsResponse()

    server.behavior = fail
    await pipe.send(call(1), call(2, request=b"\x0a\x01x"), call(3))
    results = {result.id: result for result in await pipe.results(3)}
    assert results[1].code == results[3].code == 0
    assert results[2].code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


async def test_calls_beyond_the_credits_are_refused() -> None:
    async with serving(max_in_flight=2) as server, plain_to(server) as channel:
        started, release = asyncio.Semaphore(0), asyncio.Event()

        async def wait(request: Any, context: Context) -> ListRoomCursorsResponse:
            started.release()
            await release.wait()
            return ListRoomCursorsResponse()

        server.behavior = wait
        pipe = Pipe(channel)
        assert (await pipe.open()).credits == 2
        await pipe.send(call(1), call(2), call(3), call(4))
        refused = await pipe.results(2)
        assert [result.id for result in refused] == [3, 4]
        assert {result_reason(result) for result in refused} == {"OVERLOADED"}
        release.set()
        assert [result.code for result in await pipe.results(2)] == [0, 0]
        await pipe.send(call(5))
        assert [result.code for result in await pipe.results(1)] == [0]


async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async with serving(max_in_flight=8) as server, plain_to(server) as channel:
        pipe = Pipe(channel)
        await pipe.open()
        frames = 300
        writing = asyncio.create_task(_flood(pipe, frames))
        # Everything comes once it is read.
        await pipe.results(frames * 64)
        await writing


async def _flood(pipe: Pipe, frames: int) -> None:
    metadata = [PipeMetadata(key="a", value=b"x" * 1000)]
    for number in range(frames):
        await pipe.send(*(call(number * 64 + item, metadata=metadata) for item in range(64)))


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a\x02\x12\x05"], ids=repr)
async def test_a_garbage_frame_ends_its_pipe_only(server: Server, pipe: Pipe, garbage: bytes) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: Any, context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server.behavior = hang
    async with plain_to(server) as channel:
        raw: Any = channel.stream_stream("/roomline.v1.PipeService/Pipe")()
        await raw.read()
        await raw.write(PipeRequest(calls=[call(1)]).SerializeToString())
        await started.wait()
        await raw.write(garbage)
        error = await failure(raw.read())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(error) == "REQUEST_UNDECODABLE"
        await cancelled.wait()
    server.behavior = answer
    await pipe.send(call(1))
    assert (await pipe.results(1))[0].code == 0


async def test_a_garbage_frame_may_come_before_the_servers_first(server: Server) -> None:
    async with plain_to(server) as channel:
        for _ in range(50):
            raw: Any = channel.stream_stream("/roomline.v1.PipeService/Pipe")()
            await raw.write(b"\xff\xff\xff")
            assert reason(await failure(_read_all(raw))) == "REQUEST_UNDECODABLE"


async def _read_all(raw: Any) -> None:
    while await raw.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize(
    ("calls", "cancelled", "field", "limit"),
    [(MAX_FRAME_ITEMS + 1, 0, "calls", MAX_FRAME_ITEMS), (0, 1025, "cancelled_ids", 1024)],
)
async def test_a_frame_with_too_many_items_ends_its_pipe_only(
    server: Server, pipe: Pipe, calls: int, cancelled: int, field: str, limit: int
) -> None:
    await pipe.send(*(call(number) for number in range(calls)), cancel=tuple(range(cancelled)))
    error = await failure(pipe.frame())
    assert reason(error) == "FIELD_INVALID"
    assert dict(failure_of(error).metadata) == {"field": field, "rule": f"at most {limit} items"}
    assert server.captured.calls == 0
    async with plain_to(server) as channel:
        other = Pipe(channel)
        await other.open()
        await other.send(*(call(number) for number in range(MAX_FRAME_ITEMS)), cancel=tuple(range(2000, 3024)))
        assert {result.code for result in await other.results(MAX_FRAME_ITEMS)} == {0}


async def test_a_frame_that_is_too_large_ends_its_pipe_unparsed(server: Server) -> None:
    async with plain_to(server) as channel:
        raw: Any = channel.stream_stream("/roomline.v1.PipeService/Pipe")()
        await raw.read()
        await raw.write(b"\xff" * (MAX_FRAME_BYTES + 1))
        error = await failure(raw.read())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason(error) == "REQUEST_TOO_LARGE"


async def test_a_call_with_too_much_metadata_is_refused_alone(pipe: Pipe) -> None:
    entry = PipeMetadata(key="a", value=b"x")
    most = MAX_METADATA_ITEMS
    await pipe.send(call(1, metadata=[entry] * (most + 1)), call(2, metadata=[entry] * most))
    results = {result.id: result for result in await pipe.results(2)}
    assert result_reason(results[1]) == "FIELD_INVALID"
    assert results[2].code == 0


async def test_an_id_twice_in_flight_ends_the_pipe(server: Server, pipe: Pipe) -> None:
    async def hang(request: Any, context: Context) -> None:
        await asyncio.Event().wait()

    server.behavior = hang
    await pipe.send(call(1), call(1))
    assert reason(await failure(pipe.frame())) == "FIELD_INVALID"


@pytest.mark.parametrize(("key", "value"), [("A", b"x"), ("", b"x"), ("a", b"x\r\ny: z"), ("a", b"\xff")])
async def test_metadata_that_http_would_refuse(server: Server, pipe: Pipe, key: str, value: bytes) -> None:
    await pipe.send(call(1, metadata=[PipeMetadata(key=key, value=value)]), call(2))
    results = {result.id: result for result in await pipe.results(2)}
    assert result_reason(results[1]) == "REQUEST_UNDECODABLE"
    assert results[2].code == 0


async def test_cancelling(server: Server, pipe: Pipe) -> None:
    calls: list[str] = []
    started = asyncio.Event()

    async def hang(request: Any, context: Context) -> None:
        calls.append("started")
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            calls.append("cancelled")
            raise

    server.behavior = hang
    await pipe.send(call(1), cancel=(1, 99))
    results = await pipe.results(1)
    assert result_reason(results[0]) == "CANCELLED"
    assert calls == []
    await pipe.send(call(2))
    await started.wait()
    await pipe.send(cancel=(2, 2))
    assert result_reason((await pipe.results(1))[0]) == "CANCELLED"
    assert calls == ["started", "cancelled"]


async def test_deadlines_are_kept_without_the_clients_help(server: Server, pipe: Pipe) -> None:
    async def ignore_cancellation(request: Any, context: Context) -> ListRoomCursorsResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert context.time_remaining() == 0
        return ListRoomCursorsResponse()

    server.behavior = ignore_cancellation
    await pipe.send(call(1, timeout_us=50_000), call(2, timeout_us=20_000))
    results = await pipe.results(2)
    assert [result.id for result in results] == [2, 1]
    assert {result_reason(result) for result in results} == {"DEADLINE_EXCEEDED"}
    server.behavior = answer
    await pipe.send(call(3, timeout_us=2**64 - 1))
    assert (await pipe.results(1))[0].code == 0


async def test_half_closing_lets_calls_finish(server: Server, pipe: Pipe) -> None:
    release = asyncio.Event()

    async def wait(request: Any, context: Context) -> ListRoomCursorsResponse:
        await release.wait()
        return ListRoomCursorsResponse()

    server.behavior = wait
    await pipe.send(call(1), call(2))
    await pipe.stream.done_writing()
    release.set()
    assert [result.code for result in await pipe.results(2)] == [0, 0]
    assert await pipe.stream.read() is grpc.aio.EOF
    assert await pipe.stream.code() is grpc.StatusCode.OK


async def test_a_client_that_is_gone_has_its_handlers_cancelled(server: Server, pipe: Pipe) -> None:
    started, cancelled = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def hang(request: Any, context: Context) -> None:
        started.release()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.release()

    server.behavior = hang
    await pipe.send(call(1), call(2))
    await started.acquire()
    await started.acquire()
    pipe.stream.cancel()
    await cancelled.acquire()
    await cancelled.acquire()


async def test_the_pipe_is_not_a_method_of_the_pipe(server: Server, pipe: Pipe) -> None:
    await pipe.send(PipeCall(id=1, method="/roomline.v1.PipeService/Pipe"), PipeCall(id=2), PipeCall())
    codes = {result.code for result in await pipe.results(3)}
    assert codes == {grpc.StatusCode.UNIMPLEMENTED.value[0]}
