"""Metadata crosses the pipe as it crosses a plain call."""

from typing import Any

import grpc
import pytest
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import GetCursorResponse

from tests.pipe.harness import REQUEST, Context, CursorStub, Server

OK = GetCursorResponse(cursor=Cursor(position=7))


async def test_metadata_reaches_the_handler(server: Server, stub: CursorStub) -> None:
    seen: list[Any] = []

    async def look(request: Any, context: Context) -> GetCursorResponse:
        seen.append(context.invocation_metadata())
        return OK

    server.behavior = look
    sent = (("a", "1"), ("a", ""), ("b-bin", b"\x00\xff"), ("c", " ~ "), ("user-agent", "mine"))
    await stub.GetCursor(REQUEST, metadata=sent)
    await stub.GetCursor(REQUEST, metadata=grpc.aio.Metadata(*sent))
    for metadata in seen:
        assert isinstance(metadata, tuple)
        assert metadata[0].key == "user-agent"
        assert metadata[0].value.startswith("grpc-python-asyncio/")
        assert [tuple(entry) for entry in metadata[1:]] == list(sent[:4])


@pytest.mark.parametrize(
    "metadata", [[("Upper", "x")], [("", "x")], [("a b", "x")], [("a", "ünï")], [("a", "x\ny")]], ids=repr
)
async def test_illegal_metadata_is_refused(server: Server, stub: CursorStub, metadata: list[tuple[str, str]]) -> None:
    with pytest.raises(grpc.aio.InternalError):
        await stub.GetCursor(REQUEST, metadata=metadata)
    await stub.GetCursor(REQUEST)


@pytest.mark.parametrize("metadata", [[("a-bin", "text")], [("a", 5)]], ids=repr)
async def test_metadata_of_a_wrong_type_is_refused(server: Server, stub: CursorStub, metadata: Any) -> None:
    with pytest.raises(TypeError):
        await stub.GetCursor(REQUEST, metadata=metadata)


async def test_metadata_reaches_the_caller(server: Server, stub: CursorStub) -> None:
    async def tell(request: Any, context: Context) -> GetCursorResponse:
        await context.send_initial_metadata(grpc.aio.Metadata(("i", "1"), ("i-bin", b"\xfe")))
        context.set_trailing_metadata((("t", b"2"), ("t", "3"), ("t-bin", b"\x00")))
        assert context.trailing_metadata() == (("t", b"2"), ("t", "3"), ("t-bin", b"\x00"))
        return OK

    server.behavior = tell
    call = stub.GetCursor(REQUEST)
    assert await call.initial_metadata() == grpc.aio.Metadata(("i", "1"), ("i-bin", b"\xfe"))
    assert await call.trailing_metadata() == grpc.aio.Metadata(("t", "2"), ("t", "3"), ("t-bin", b"\x00"))
    assert await call == OK
