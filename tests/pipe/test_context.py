"""A handler cannot tell a call of the pipe from a plain one."""

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from roomline.v1.cursor_service_pb2 import GetCursorResponse

from tests.pipe.harness import REQUEST, Context, CursorStub, Server, failure

Status = grpc.StatusCode
OK = GetCursorResponse()
OK.cursor.position = 7


async def test_the_handler_sees_a_fresh_context(server: Server, stub: CursorStub) -> None:
    async def look(request: Any, context: Any) -> GetCursorResponse:
        assert request == REQUEST
        assert context.code() is None
        assert context.details() == ""
        assert context.trailing_metadata() == ()
        assert context.time_remaining() is None
        assert context.peer().startswith("ipv4:127.0.0.1:")
        assert context.peer_identities() is None
        assert context.peer_identity_key() is None
        assert context.auth_context()["transport_security_type"] == [b"insecure"]
        assert not context.done()
        assert not context.cancelled()
        context.set_compression(grpc.Compression.Gzip)
        context.disable_next_message_compression()
        assert await context.read() is grpc.aio.EOF
        return OK

    server.behavior = look
    assert await stub.GetCursor(REQUEST) == OK


async def test_abort(server: Server, stub: CursorStub) -> None:
    async def refuse(request: Any, context: Context) -> None:
        with pytest.raises(grpc.aio.AbortError) as caught:
            await context.abort(Status.NOT_FOUND, "no such ünï", (("k", "v"), ("k-bin", b"\x01")))
        assert context.done()
        assert context.code() is Status.NOT_FOUND
        with pytest.raises(grpc.aio.UsageError):
            await context.abort(Status.INTERNAL)
        with pytest.raises(grpc.aio.AbortError):
            await context.send_initial_metadata((("too", "late"),))
        raise caught.value

    server.behavior = refuse
    call = stub.GetCursor(REQUEST)
    error = await failure(call)
    assert error.code() is Status.NOT_FOUND
    assert error.details() == "no such ünï"
    assert error.trailing_metadata() == grpc.aio.Metadata(("k", "v"), ("k-bin", b"\x01"))
    assert error.initial_metadata() == grpc.aio.Metadata()
    assert await call.code() is Status.NOT_FOUND
    assert await call.details() == "no such ünï"
    assert error.debug_error_string() == "NOT_FOUND:no such ünï"


async def test_abort_takes_what_was_set_before(server: Server, stub: CursorStub) -> None:
    async def refuse(request: Any, context: Context) -> None:
        await context.send_initial_metadata((("i", "1"),))
        context.set_trailing_metadata((("k", "v"),))
        context.set_details("set before")
        await context.abort(Status.ABORTED)

    server.behavior = refuse
    error = await failure(stub.GetCursor(REQUEST))
    assert (error.code(), error.details()) == (Status.ABORTED, "set before")
    assert error.trailing_metadata() == grpc.aio.Metadata(("k", "v"))
    assert error.initial_metadata() == grpc.aio.Metadata(("i", "1"))


async def test_an_abort_stands_whatever_the_handler_does_after_it(server: Server, stub: CursorStub) -> None:
    async def suppress(request: Any, context: Context) -> GetCursorResponse:
        with pytest.raises(grpc.aio.AbortError):
            await context.abort(Status.NOT_FOUND, "gone")
        context.set_code(Status.OK)
        context.set_details("fine")
        return OK

    async def replace(request: Any, context: Context) -> None:
        try:
            await context.abort(Status.NOT_FOUND, "gone")
        finally:
            raise ValueError

    for server.behavior in (suppress, replace):
        error = await failure(stub.GetCursor(REQUEST))
        assert (error.code(), error.details()) == (Status.NOT_FOUND, "gone")


async def test_abort_with_a_rich_status(server: Server, stub: CursorStub) -> None:
    status = status_pb2.Status(code=9, message="not now")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="BUSY", domain="test", metadata={"a": "ü"}))

    async def refuse(request: Any, context: Context) -> None:
        await context.abort_with_status(rpc_status.to_status(status))

    server.behavior = refuse
    error = await failure(stub.GetCursor(REQUEST))
    assert (error.code(), error.details()) == (Status.FAILED_PRECONDITION, "not now")
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert status_pb2.Status.FromString(details) == status


async def test_set_code_drops_the_response(server: Server, stub: CursorStub) -> None:
    async def refuse(request: Any, context: Context) -> GetCursorResponse:
        context.set_code(Status.DATA_LOSS)
        context.set_details("lost")
        return OK

    server.behavior = refuse
    error = await failure(stub.GetCursor(REQUEST))
    assert (error.code(), error.details()) == (Status.DATA_LOSS, "lost")


@pytest.mark.parametrize(("code", "expected"), [(5, Status.NOT_FOUND), (99, Status.UNKNOWN), ("x", Status.UNKNOWN)])
async def test_odd_codes(server: Server, stub: CursorStub, code: Any, expected: Status) -> None:
    async def refuse(request: Any, context: Context) -> GetCursorResponse:
        context.set_code(code)
        return OK

    server.behavior = refuse
    assert (await failure(stub.GetCursor(REQUEST))).code() is expected


async def test_details_without_a_code_are_dropped(server: Server, stub: CursorStub) -> None:
    async def tell(request: Any, context: Context) -> GetCursorResponse:
        context.set_code(Status.OK)
        context.set_details("fine")
        return OK

    server.behavior = tell
    call = stub.GetCursor(REQUEST)
    assert await call == OK
    assert await call.details() == ""


async def test_a_plain_exception(server: Server, stub: CursorStub) -> None:
    async def fail(request: Any, context: Context) -> None:
        context.set_trailing_metadata((("k", "v"),))
        raise ValueError("boo")

    async def fail_with_code(request: Any, context: Context) -> None:
        context.set_code(Status.DATA_LOSS)
        raise ValueError("boo")

    async def raise_abort_error(request: Any, context: Context) -> None:
        raise grpc.aio.AbortError("not from abort")

    server.behavior = fail
    error = await failure(stub.GetCursor(REQUEST))
    assert (error.code(), error.details()) == (Status.UNKNOWN, "Unexpected <class 'ValueError'>: boo")
    assert error.trailing_metadata() == grpc.aio.Metadata(("k", "v"))
    server.behavior = fail_with_code
    error = await failure(stub.GetCursor(REQUEST))
    assert (error.code(), error.details()) == (Status.DATA_LOSS, "Unexpected <class 'ValueError'>: boo")
    server.behavior = raise_abort_error
    error = await failure(stub.GetCursor(REQUEST))
    assert error.code() is Status.UNKNOWN
    assert error.details() == "Unexpected <class 'AssertionError'>: Abort error has been replaced!"


async def test_misuse(server: Server, stub: CursorStub) -> None:
    async def metadata_twice(request: Any, context: Context) -> GetCursorResponse:
        await context.send_initial_metadata((("a", "b"),))
        with pytest.raises(grpc.aio.UsageError):
            await context.send_initial_metadata((("a", "b"),))
        for bad in (5, {"a": "b"}, [["a", "b"]], [("a",)], [("a", 1)]):
            with pytest.raises(TypeError, match="Invalid trailing metadata type"):
                context.set_trailing_metadata(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected tuple, got list"):
            await context.abort(Status.INTERNAL, "x", [("a", "b")])
        return OK

    async def illegal_trailer(request: Any, context: Context) -> GetCursorResponse:
        context.set_trailing_metadata((("A B", "c"),))
        return OK

    server.behavior = metadata_twice
    assert await stub.GetCursor(REQUEST) == OK
    server.behavior = illegal_trailer
    error = await failure(stub.GetCursor(REQUEST))
    assert (error.code(), error.details()) == (Status.INTERNAL, "Invalid metadata")


async def test_unknown_methods(channel: grpc.aio.Channel) -> None:
    unknown: Any = channel.unary_unary("/roomline.v1.CursorService/Nope")
    error = await failure(unknown(b""))
    assert error.code() is Status.UNIMPLEMENTED


async def test_deadline_in_the_handler(server: Server, stub: CursorStub) -> None:
    cancelled = asyncio.Event()

    async def hang(request: Any, context: Context) -> None:
        assert 0 < context.time_remaining() < 0.25  # gRPC rounds it up
        assert 0 < await asyncio.to_thread(context.time_remaining) < 0.25
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server.behavior = hang
    error = await failure(stub.GetCursor(REQUEST, timeout=0.2))
    assert error.code() is Status.DEADLINE_EXCEEDED
    await cancelled.wait()


async def test_cancellation_reaches_the_handler(server: Server, stub: CursorStub) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: Any, context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server.behavior = hang
    for how in ("call", "task"):
        started.clear()
        cancelled.clear()
        call = stub.GetCursor(REQUEST)
        task = asyncio.ensure_future(_await(call))
        await started.wait()
        if how == "call":
            assert call.cancel()
        else:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cancelled.wait()
        assert call.cancelled()
        assert call.done()
        assert not call.cancel()
        assert await call.code() is Status.CANCELLED
        assert await call.details() == "Locally cancelled by application!"


async def _await(call: Any) -> Any:
    return await call


async def test_done_callbacks_of_the_handler(server: Server, stub: CursorStub) -> None:
    called: asyncio.Queue[Any] = asyncio.Queue()

    async def succeed(request: Any, context: Any) -> GetCursorResponse:
        context.add_done_callback(called.put_nowait)
        return OK

    async def refuse(request: Any, context: Any) -> None:
        context.add_done_callback(called.put_nowait)
        await context.abort(Status.CANCELLED, "no")

    server.behavior = succeed
    await stub.GetCursor(REQUEST)
    context = await called.get()
    assert context.done()
    assert not context.cancelled()
    server.behavior = refuse
    assert (await failure(stub.GetCursor(REQUEST))).code() is Status.CANCELLED
    assert (await called.get()).cancelled()
