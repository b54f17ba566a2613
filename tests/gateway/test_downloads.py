"""Bytes of attachments on their way out (spec §6.3; faults #12, #13, #17)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import quote

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.media_service_pb2 import DownloadAttachmentRequest, DownloadAttachmentResponse

from gateway.server import Gateway
from services.common.rules import invalid
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import Client, Connection
from tests.gateway.media import DATA, PATH, Endless, download, refusal

ETAG = '"one"'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"idle_timeout_seconds": 0.5})


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(gateway.port, authorization=None)


@pytest.fixture
async def connection(gateway: Gateway) -> AsyncIterator[Connection]:
    opened = await Connection.open(gateway.port)
    yield opened
    await opened.close()


async def test_a_download(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download()
    reply = await client.request("GET", PATH, headers={"Origin": "null", "Authorization": "Bearer not looked at"})
    assert reply.status == 200
    assert reply.body == DATA
    assert backend.last.request == DownloadAttachmentRequest(signature="s.i.g")
    assert "authorization" not in backend.last.metadata
    expected = {
        "content-type": "image/png",
        "content-length": str(len(DATA)),
        "content-disposition": "attachment; filename=\"n.bin\"; filename*=UTF-8''n.bin",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "etag": ETAG,
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=300",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    assert expected.items() <= reply.headers.items()
    assert "content-range" not in reply.headers


async def test_head_has_the_headers_of_get(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download()
    get, head = await client.get(PATH), await client.request("HEAD", PATH, headers={"Range": "bytes=0-1"})
    assert (head.status, head.body) == (200, b"")
    assert backend.last.request.length == 0
    varying = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_empty_file(client: Client, backend: Backend, method: str) -> None:
    backend.answers["DownloadAttachment"] = download(b"")
    reply = await client.request(method, PATH, headers={"Range": "bytes=0-"})
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=0-0", DATA[:1], "bytes 0-0/512000"),
        ("bytes=1000-300000", DATA[1000:300_001], "bytes 1000-300000/512000"),
        ("bytes=511999-", DATA[-1:], "bytes 511999-511999/512000"),
        ("bytes=-300", DATA[-300:], "bytes 511700-511999/512000"),
    ],
)
async def test_a_range(client: Client, backend: Backend, header: str, expected: bytes, content_range: str) -> None:
    backend.answers["DownloadAttachment"] = download()
    reply = await client.request("GET", PATH, headers={"Range": header})
    assert (reply.status, reply.body) == (206, expected)
    assert reply.headers["content-range"] == content_range
    assert reply.headers["etag"] == ETAG


async def test_a_range_beyond_the_end(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download(b"12345")
    reply = await client.request("GET", PATH, headers={"Range": "bytes=5-"})
    assert reply.error == (416, "services/chatkit/range_invalid")
    assert reply.headers["content-range"] == "bytes */5"


@pytest.mark.parametrize("header", ["bytes=0-1,3-4", "bytes=" + "0-," * 10_000, "lines=1-2"])
async def test_several_ranges_are_the_whole_file(client: Client, backend: Backend, header: str) -> None:
    backend.answers["DownloadAttachment"] = download()
    reply = await client.request("GET", PATH, headers={"Range": header})
    assert (reply.status, reply.body) == (200, DATA)


async def test_bytes_that_change_between_a_look_and_the_range(client: Client, backend: Backend) -> None:
    def changed(request: DownloadAttachmentRequest) -> list[DownloadAttachmentResponse]:
        return download(etag=str(len(backend.calls)))(request)

    backend.answers["DownloadAttachment"] = changed
    reply = await client.request("GET", PATH, headers={"Range": "bytes=0-1"})
    assert reply.error == (503, "service_unavailable")
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_bytes_that_the_client_has(client: Client, backend: Backend, method: str) -> None:
    backend.answers["DownloadAttachment"] = download()
    reply = await client.request(method, PATH, headers={"If-None-Match": f'"x", W/{ETAG}'})
    assert (reply.status, reply.body) == (304, b"")
    assert "content-length" not in reply.headers
    assert reply.headers["etag"] == ETAG
    assert reply.headers["cache-control"] == "private, max-age=300"
    assert (await client.request("GET", PATH, headers={"If-None-Match": '"x"'})).body == DATA


async def test_a_range_of_bytes_that_are_gone_is_the_whole_file(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download()
    headers = {"Range": "bytes=0-1", "If-Range": '"old"'}
    reply = await client.request("GET", PATH, headers=headers)
    assert (reply.status, reply.body) == (200, DATA)
    reply = await client.request("GET", PATH, headers={**headers, "If-Range": ETAG})
    assert (reply.status, reply.body) == (206, DATA[:2])


@pytest.mark.parametrize(
    "content_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/html\r\nX: y", ""]
)
async def test_no_type_runs_in_a_browser(client: Client, backend: Backend, content_type: str) -> None:
    backend.answers["DownloadAttachment"] = download(b"<script>", content_type=content_type)
    reply = await client.get(PATH)
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "sandbox; default-src 'none'"
    is_type = "/" in content_type and "\r" not in content_type
    assert reply.headers["content-type"] == (content_type if is_type else "application/octet-stream")
    assert "x" not in reply.headers


@pytest.mark.parametrize("name", ["a\r\nX: y", 'a"; x=y', "../../x", "\u202egpj.exe", "x" * 4000, "\0"])
async def test_no_name_leaves_its_header(client: Client, backend: Backend, name: str) -> None:
    backend.answers["DownloadAttachment"] = download(name=name)
    reply = await client.get(PATH)
    assert (reply.status, reply.body) == (200, DATA)
    assert "x" not in reply.headers
    assert reply.headers["content-disposition"].count('"') == 2


async def test_an_etag_that_cannot_be_one_is_left_out(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download(etag='a"\r\n')
    reply = await client.get(PATH)
    assert (reply.status, reply.body) == (200, DATA)
    assert "etag" not in reply.headers


@pytest.mark.parametrize(("left", "expected"), [(10_000, 300), (100, 100), (0, 0), (-5, 0)])
async def test_nothing_is_kept_longer_than_its_signature(
    client: Client, backend: Backend, left: int, expected: int
) -> None:
    backend.answers["DownloadAttachment"] = download(expiration=Timestamp(seconds=int(time.time()) + left))
    cache_control, _, seconds = (await client.get(PATH)).headers["cache-control"].partition("=")
    assert cache_control == "private, max-age"
    assert max(expected - 20, 0) <= int(seconds) <= expected


async def test_a_thumbnail(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download(b"small", content_type="image/webp")
    reply = await client.get(PATH + "&thumbnail=256")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"small", "image/webp")
    assert backend.last.request.thumbnail == 256


@pytest.mark.parametrize("size", ["x", "-1", "1.5", "9" * 40, "\u0661"])
async def test_a_thumbnail_has_a_size(client: Client, backend: Backend, size: str) -> None:
    reply = await client.get(PATH + f"&thumbnail={quote(size)}")
    assert reply.error == (422, "services/chatkit/unprocessable_entity/validation_failed")
    assert reply.description == "Field `thumbnail` is invalid"
    assert backend.calls == []


async def test_a_signature_of_another_attachment(client: Client, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download()
    reply = await client.get(PATH.replace("000000000001", "000000000002"))
    assert reply.error == (403, "services/chatkit/forbidden/signature_invalid")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (refusal("SIGNATURE_INVALID"), 403, "services/chatkit/forbidden/signature_invalid"),
        (refusal("ATTACHMENT_NOT_FOUND"), 404, "services/chatkit/not_found/attachment_not_found"),
        (invalid("signature", "short"), 422, "services/chatkit/unprocessable_entity/validation_failed"),
        (refusal("SHUTTING_DOWN"), 503, "service_unavailable"),
        (ZeroDivisionError("secret"), 500, "internal_server_error"),
    ],
)
@pytest.mark.parametrize("header", ["", "bytes=0-1"])
async def test_a_refused_download(
    client: Client, backend: Backend, header: str, error: Exception, status: int, code: str
) -> None:
    backend.answers["DownloadAttachment"] = error
    assert (await client.request("GET", PATH, headers={"Range": header})).error == (status, code)


async def test_a_download_without_a_head(client: Client, backend: Backend) -> None:
    assert (await client.get(PATH)).error == (500, "internal_server_error")


async def test_a_download_that_never_begins(gateway: Gateway, backend: Backend) -> None:
    endless = Endless()
    backend.answers["DownloadAttachment"] = endless.download
    connection = await Connection.open(gateway.port)
    connection.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await endless.began.wait()
    await connection.close()
    await endless.ended()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_leaves_or_stands_still(connection: Connection, backend: Backend, reads: bool) -> None:
    """The service stops reading the file; nobody has taken in what the client has not."""
    endless = Endless(1000)
    backend.answers["DownloadAttachment"] = endless.download
    connection.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await connection.head())[0] == 200
    if reads:
        await connection.reader.readexactly(3_000_000)
        await connection.close()
    await endless.ended()
    assert endless.sent < 100


@pytest.mark.parametrize("fails", [True, False])
async def test_a_download_that_breaks_off_ends_the_connection(
    connection: Connection, backend: Backend, fails: bool
) -> None:
    async def broken(request: DownloadAttachmentRequest) -> AsyncIterator[DownloadAttachmentResponse]:
        for step in download()(request)[:-1]:
            yield step
        if fails:
            raise refusal("ATTACHMENT_NOT_FOUND")

    backend.answers["DownloadAttachment"] = broken
    connection.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await connection.head())[1]["content-length"] == str(len(DATA))
    with suppress(ConnectionError):
        assert DATA.startswith(await asyncio.wait_for(connection.reader.read(-1), 5))
    assert connection.reader.at_eof() or connection.reader.exception()


async def test_a_service_that_stands_still_inside_a_file(connection: Connection, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = Endless(3).download
    connection.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await connection.head())[0] == 200
    with suppress(ConnectionError):
        assert len(await asyncio.wait_for(connection.reader.read(-1), 5)) <= 2 * 1024 * 1024


async def test_a_connection_goes_on_after_a_download(connection: Connection, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = download()
    request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    connection.write(request * 3)
    for _ in range(3):
        assert (await connection.reply()).body == DATA


async def test_a_preflight(client: Client, backend: Backend) -> None:
    headers = {
        "Origin": "null",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,range",
    }
    reply = await client.request("OPTIONS", PATH, headers=headers)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "PUT" in reply.headers["access-control-allow-methods"]
    assert "range" in reply.headers["access-control-allow-headers"]
    assert backend.calls == []


async def test_other_methods(client: Client) -> None:
    reply = await client.request("POST", PATH)
    assert reply.error == (405, "method_not_allowed")
    assert reply.headers["allow"] == "PUT, GET, HEAD, OPTIONS"
