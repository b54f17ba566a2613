"""Bytes of attachments on their way in (spec §6.2; faults #15, #16)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from roomline.v1.media_service_pb2 import UploadAttachmentResponse

from gateway.server import Gateway
from services.common.errors import RoomlineError
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import Client, Connection
from tests.gateway.media import DATA, ID, PATH, Endless, refusal

LIMIT = 100 * 1024 * 1024


@pytest.fixture
def settings(settings: Settings) -> Settings:
    short = {"idle_timeout_seconds": 0.5, "finish_timeout_seconds": 1.5}
    return settings.model_copy(update={"media_max_bytes": LIMIT, **short})


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(gateway.port, authorization=None)


@pytest.fixture
async def connection(gateway: Gateway) -> AsyncIterator[Connection]:
    opened = await Connection.open(gateway.port)
    yield opened
    await opened.close()


def put(length: int | None, *lines: str) -> bytes:
    every = [f"PUT {PATH} HTTP/1.1", "Host: x", *([] if length is None else [f"Content-Length: {length}"]), *lines]
    return ("\r\n".join(every) + "\r\n\r\n").encode()


async def test_an_upload_is_passed_on_in_pieces(client: Client, backend: Backend) -> None:
    reply = await client.request("PUT", PATH, DATA, {"Authorization": "Bearer not looked at"})
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-origin"] == "*"
    first, *rest = backend.last.request
    assert (first.signature, first.attachment_id) == ("s.i.g", ID)
    assert b"".join(step.chunk for step in rest) == DATA
    assert max(len(step.chunk) for step in rest) <= 256 * 1024
    assert "authorization" not in backend.last.metadata
    assert len(backend.last.metadata["x-request-id"]) == 36


async def test_an_upload_in_http_chunks(connection: Connection, backend: Backend) -> None:
    connection.write(put(None, "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
    await asyncio.sleep(0.05)
    connection.write(b"2\r\nde\r\n0\r\n\r\n")
    assert (await connection.reply()).status == 200
    assert b"".join(step.chunk for step in backend.last.request[1:]) == b"abcde"


async def test_an_empty_upload(client: Client, backend: Backend) -> None:
    assert (await client.request("PUT", PATH, b"")).status == 200
    assert len(backend.last.request) == 1


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (refusal("SIGNATURE_INVALID"), 403, "services/chatkit/forbidden/signature_invalid"),
        (refusal("SIZE_MISMATCH", size=5), 400, "services/chatkit/bad_request/size_mismatch"),
        (refusal("FILE_TOO_LARGE", limit=5), 413, "services/chatkit/file_too_large"),
        (refusal("QUOTA_EXCEEDED", quota="bytes"), 403, "services/chatkit/forbidden/quota_exceeded"),
        (refusal("STORAGE_FULL"), 507, "insufficient_storage"),
        (refusal("ATTACHMENT_NOT_FOUND"), 404, "services/chatkit/not_found/attachment_not_found"),
        (refusal("SHUTTING_DOWN"), 503, "service_unavailable"),
    ],
)
async def test_a_refused_upload_is_answered_at_once(
    connection: Connection, backend: Backend, error: RoomlineError, status: int, code: str
) -> None:
    backend.answers["UploadAttachment"] = error
    connection.write(put(500_000) + b"x" * 1000)
    assert (await connection.reply()).error == (status, code)
    # The connection goes on after the rest of the body.
    connection.write(b"x" * 499_000 + f"GET /attachments/{ID} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await connection.reply()).status == 403


async def test_an_upload_refused_in_the_middle(client: Client, backend: Backend) -> None:
    async def stop(requests: AsyncIterator[Any]) -> Any:
        async for step in requests:
            if step.chunk:
                raise refusal("SIZE_MISMATCH", size=5)

    backend.answers["UploadAttachment"] = stop
    assert (await client.request("PUT", PATH, DATA)).status == 400


@pytest.mark.parametrize("lines", [(), ("Expect: 100-continue",)])
async def test_an_upload_that_is_announced_too_large(
    connection: Connection, backend: Backend, lines: tuple[str, ...]
) -> None:
    connection.write(put(LIMIT + 1, *lines))
    reply = await connection.reply()
    assert reply.error == (413, "services/chatkit/file_too_large")
    assert reply.headers.get("connection") == ("close" if lines else None)
    assert backend.calls == []


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
@pytest.mark.parametrize("path", [f"/attachments/{ID}", f"/attachments/{ID}?signature=", f"/attachments/{ID}?x=y"])
async def test_without_a_signature_nothing_is_called(client: Client, backend: Backend, method: str, path: str) -> None:
    assert (await client.request(method, path)).status == 403
    assert backend.calls == []


async def test_a_body_that_stands_still(connection: Connection, backend: Backend) -> None:
    endless = Endless()
    backend.answers["UploadAttachment"] = endless.upload
    connection.write(put(100) + b"x")
    reply = await connection.reply()
    assert reply.error == (408, "request_timeout")
    assert reply.headers["connection"] == "close"
    await endless.ended()


async def test_a_client_that_leaves_while_it_uploads(gateway: Gateway, backend: Backend) -> None:
    endless = Endless()
    backend.answers["UploadAttachment"] = endless.upload
    connection = await Connection.open(gateway.port)
    connection.write(put(100) + b"x")
    await endless.began.wait()
    await connection.close()
    await endless.ended()


@pytest.mark.thorough
async def test_an_upload_that_is_never_confirmed(client: Client, backend: Backend) -> None:
    endless = Endless()
    backend.answers["UploadAttachment"] = endless.upload
    reply = await client.request("PUT", PATH, b"x")
    assert reply.error == (503, "service_unavailable")
    assert "retry-after" not in reply.headers
    await endless.ended()


async def test_a_store_may_take_its_time_after_the_last_byte(client: Client, backend: Backend) -> None:
    async def slow(requests: AsyncIterator[Any]) -> UploadAttachmentResponse:
        async for _ in requests:
            pass
        await asyncio.sleep(0.8)
        return UploadAttachmentResponse()

    backend.answers["UploadAttachment"] = slow
    assert (await client.request("PUT", PATH, b"x")).status == 200


async def test_an_upload_waits_for_a_slow_service(connection: Connection, backend: Backend) -> None:
    """It takes in little more than the service has taken."""
    go = asyncio.Event()

    async def slow(requests: AsyncIterator[Any]) -> Any:
        await anext(requests)
        await go.wait()
        async for _ in requests:
            pass
        raise refusal("STORAGE_FULL")

    backend.answers["UploadAttachment"] = slow
    connection.write(put(LIMIT))

    async def send_all() -> None:
        for sent in range(0, LIMIT, 65536):
            assert sent < LIMIT // 2
            connection.write(b"x" * 65536)
            await connection.writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send_all(), 0.4)
    go.set()


@pytest.mark.thorough
async def test_a_stop_ends_transfers_after_the_grace_time(gateway: Gateway, backend: Backend) -> None:
    up, down = Endless(), Endless(1000)
    backend.answers["UploadAttachment"], backend.answers["DownloadAttachment"] = up.upload, down.download
    writer, reader = await Connection.open(gateway.port), await Connection.open(gateway.port)
    writer.write(put(LIMIT) + b"x")
    reader.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await reader.head())[0] == 200
    await asyncio.gather(up.began.wait(), down.began.wait())

    async def go_on() -> None:
        """Without standing still."""
        while not writer.writer.is_closing():
            writer.write(b"x")
            await asyncio.gather(asyncio.sleep(0.1), reader.reader.read(1000))

    going_on = asyncio.create_task(go_on())
    await asyncio.wait_for(gateway.stop(), 4)
    going_on.cancel()
    await asyncio.gather(up.ended(), down.ended())
    assert (await writer.reply()).error == (503, "service_unavailable")
    for connection in (writer, reader):
        await connection.close()
