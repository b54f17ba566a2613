"""The gateway on real sockets (spec §1.4)."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import SendMessageRequest, SendMessageResponse
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import GetUserResponse

from gateway.health import Health
from gateway.http_protocol import MAX_HEAD_BYTES
from gateway.server import Gateway, build_app
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX, Client, Connection


@pytest.fixture
async def connection(gateway: Gateway) -> AsyncIterator[Connection]:
    opened = await Connection.open(gateway.port)
    yield opened
    await opened.close()


def head(method: str, path: str, *lines: str) -> bytes:
    first = f"{method} {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
    return (first + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode()


async def test_one_connection_serves_many_requests(connection: Connection) -> None:
    for _ in range(3):
        connection.write(head("GET", "/users"))
        assert (await connection.reply()).body == b"[]"
    connection.write(head("GET", "/users") * 3)
    for _ in range(3):
        assert (await connection.reply()).body == b"[]"


@pytest.mark.parametrize(
    ("raw", "user_id"),
    [
        (b"Zo\xc3\xab", "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"),
        (b"\xf0\x9f\x98\x80%20x", "\N{GRINNING FACE} x"),
        # Node writes such a character as one byte.
        (b"Zo\xeb", "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"),
        (b'"a"<b>{c}|^`\\', '"a"<b>{c}|^`\\'),
    ],
)
async def test_ids_may_come_unencoded(client: Client, backend: Backend, raw: bytes, user_id: str) -> None:
    assert (await client.get(b"/users/" + raw)).status == 200
    assert backend.last.request.id == user_id


async def test_pipelined_requests_may_be_cut_anywhere(connection: Connection) -> None:
    data = head("POST", "/users", "Content-Length: 2") + b"{}" + head("GET", "/users") * 2
    for cut in range(len(data) - 400, len(data) - 100, 7):
        connection.write(data[:cut])
        await asyncio.sleep(0.002)
        connection.write(data[cut:])
        assert [(await connection.reply()).status for _ in range(3)] == [201, 200, 200]


async def test_unencoded_ids_in_pieces_and_after_others(connection: Connection, backend: Backend) -> None:
    for _ in range(2):
        connection.write(b"GET " + PREFIX.encode() + b"/users/\xc3")
        await asyncio.sleep(0.02)
        connection.write(b"\xab HTTP/1.1\r\nX-Name: \xc3\xab\r\nAuthorization: x\r\n\r\n")
        assert (await connection.reply()).status == 200
    connection.write(b"\r\nGET " + PREFIX.encode() + b"/users/\xc3\xab HTTP/1.1\r\nAuthorization: x\r\n\r\n")
    assert (await connection.reply()).status == 200
    assert backend.last.request.id == "\N{LATIN SMALL LETTER E WITH DIAERESIS}"


async def test_a_raw_utf_8_query(client: Client, backend: Backend) -> None:
    await client.get("/users_by_ids?id=\N{GRINNING FACE}".encode())
    assert list(backend.last.request.ids) == ["\N{GRINNING FACE}"]


@pytest.mark.parametrize("path", ["/users", "/rooms/r/messages", "/users/a/rooms/r/join"])
async def test_a_body_that_is_announced_too_large(connection: Connection, backend: Backend, path: str) -> None:
    connection.write(head("POST", path, "Content-Length: 4097") + b"x" * 1000)
    reply = await connection.reply()
    assert reply.error == (413, "request_too_large")
    # The connection goes on after the rest of the body.
    connection.write(b"x" * 3097 + head("GET", "/users"))
    assert (await connection.reply()).status == 200
    assert [call.method for call in backend.calls] == ["ListUsers"]


async def test_a_body_that_turns_out_too_large(connection: Connection, backend: Backend) -> None:
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    connection.write(head("POST", "/users", "Transfer-Encoding: chunked") + chunk * 5)
    assert (await connection.reply()).error == (413, "request_too_large")
    connection.write(chunk + b"0\r\n\r\n" + head("GET", "/users"))
    assert (await connection.reply()).status == 200
    assert len(backend.calls) == 1


async def test_a_body_without_end_is_cut_off(connection: Connection) -> None:
    connection.write(head("POST", "/users", "Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"

    async def send_on() -> None:
        for _ in range(1000):
            connection.write(chunk)
            await connection.writer.drain()

    with pytest.raises(ConnectionError):
        await send_on()


async def test_chunks_are_put_together(connection: Connection, backend: Backend) -> None:
    connection.write(head("POST", "/users", "Transfer-Encoding: chunked") + b'7\r\n{"id": \r\n')
    await asyncio.sleep(0.02)
    connection.write(b'4\r\n"a"}\r\n0\r\n\r\n')
    assert (await connection.reply()).status == 201
    assert backend.last.request.user.id == "a"


async def test_a_client_may_wait_to_send_its_body(connection: Connection) -> None:
    connection.write(head("POST", "/users", "Expect: 100-continue", "Content-Length: 2"))
    assert (await connection.head())[0] == 100
    connection.write(b"{}")
    assert (await connection.reply()).status == 201


@pytest.mark.parametrize(("path", "length", "status"), [("/users", 5000, 413), ("/nowhere", 2, 404)])
async def test_a_client_that_waits_in_vain(connection: Connection, path: str, length: int, status: int) -> None:
    connection.write(head("POST", path, "Expect: 100-continue", f"Content-Length: {length}"))
    reply = await connection.reply()
    assert reply.status == status
    assert reply.headers["connection"] == "close"
    assert await connection.reader.read() == b""


async def test_a_client_that_leaves_inside_its_body(gateway: Gateway, client: Client, backend: Backend) -> None:
    connection = await Connection.open(gateway.port)
    connection.write(head("POST", "/users", "Content-Length: 100") + b"{")
    await connection.writer.drain()
    await connection.close()
    assert (await client.get("/users")).status == 200
    assert [call.method for call in backend.calls] == ["ListUsers"]


@pytest.mark.parametrize("line", ["X-Long: ", "Cookie: a=b\r\nX-Long: "])
async def test_a_head_without_end(connection: Connection, line: str) -> None:
    connection.write(head("GET", "/users", line)[:-4])
    for _ in range(MAX_HEAD_BYTES // 1024 + 1):
        connection.write(b"x" * 1024)
    reply = await connection.reply()
    assert reply.error == (431, "request_head_too_large")
    assert reply.headers["connection"] == "close"
    assert await connection.reader.read() == b""


async def test_a_long_query_passes(client: Client, backend: Backend) -> None:
    assert (await client.get("/users_by_ids?" + "&".join(f"id={n:064}" for n in range(250)))).status == 200
    assert len(backend.last.request.ids) == 250


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GARBAGE / HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http(connection: Connection, client: Client, data: bytes) -> None:
    connection.write(data)
    assert (await connection.reply()).error == (400, "bad_request")
    assert await connection.reader.read() == b""
    assert (await client.get("/users")).status == 200


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_an_upgrade_is_not_taken(connection: Connection, upgrade: str) -> None:
    lines = (f"Upgrade: {upgrade}", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    connection.write(head("GET", "/ws", *lines, "Sec-WebSocket-Version: 13"))
    assert (await connection.reply()).error == (404, "not_found/route")


H2C = (
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
)


@pytest.mark.parametrize("cut", [1, 100, 200, 290, 300, 320, 340])
@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 10", b'{"id":"a"}'), ("Transfer-Encoding: chunked", b'4\r\n{"id\r\n6\r\n":"a"}\r\n0\r\n\r\n')],
)
async def test_a_request_that_offers_an_upgrade_keeps_its_body(
    connection: Connection, backend: Backend, framing: str, body: bytes, cut: int
) -> None:
    request = head("POST", "/users", *H2C, framing, "Upgrade: other") + body
    data = request + request + head("GET", "/users", *H2C) + head("GET", "/users/b")
    connection.write(data[:cut])
    await asyncio.sleep(0.01)
    connection.write(data[cut:])
    assert [(await connection.reply()).status for _ in range(4)] == [201, 201, 200, 200]
    assert [call.method for call in backend.calls] == ["CreateUser", "CreateUser", "ListUsers", "GetUser"]
    assert {call.request.user.id for call in backend.calls[:2]} == {"a"}


async def test_a_body_is_no_request(connection: Connection, backend: Backend) -> None:
    hidden = head("DELETE", "/users/victim")
    connection.write(head("POST", "/users", *H2C, f"Content-Length: {len(hidden)}") + hidden)
    assert (await connection.reply()).error == (400, "services/chatkit/bad_request/malformed_json")
    connection.write(head("GET", "/users"))
    assert (await connection.reply()).status == 200
    assert [call.method for call in backend.calls] == ["ListUsers"]


async def test_an_offer_to_wait_for_an_upgrade(connection: Connection) -> None:
    connection.write(head("POST", "/users", *H2C, "Expect: 100-continue", "Content-Length: 2"))
    assert (await connection.head())[0] == 100
    connection.write(b"{}")
    assert (await connection.reply()).status == 201


@pytest.mark.parametrize("target", ["chat.example:443", "/users"])
async def test_a_tunnel_is_refused(connection: Connection, backend: Backend, target: str) -> None:
    connection.write(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + head("GET", "/users"))
    assert (await connection.reply()).error == (400, "bad_request")
    assert await connection.reader.read() == b""
    assert backend.calls == []


async def test_nonsense_behind_a_request_does_not_take_its_answer(connection: Connection) -> None:
    connection.write(head("GET", "/users") + b"nonsense\r\n\r\n")
    reply = await connection.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert await connection.reader.read() == b""


async def test_nonsense_inside_a_body(connection: Connection, backend: Backend) -> None:
    connection.write(head("POST", "/users", "Transfer-Encoding: chunked") + b"nonsense\r\n")
    assert (await connection.reply()).error == (400, "bad_request")
    assert await connection.reader.read() == b""
    assert backend.calls == []


async def test_the_head_of_an_answer(client: Client) -> None:
    headers = (await client.get("/users")).headers
    assert headers["content-type"] == "application/json"
    assert headers["date"].endswith("GMT")
    assert "server" not in headers
    assert "content-encoding" not in headers


async def test_tls_beside_plain(settings: Settings, backend: Backend, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    settings = settings.model_copy(update={"tls_certificate": tmp_path / "both.pem"})
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        gateway = Gateway(settings, build_app(settings, channel, channel, channel, Health({})))
        await gateway.start()
        assert gateway.tls_port is not None
        for client in (Client(gateway.port), Client(gateway.tls_port, trust)):
            assert (await client.get("/users")).body == b"[]"
        await gateway.stop()


async def test_a_certificate_that_cannot_be_read(settings: Settings, backend: Backend, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"tls_certificate": tmp_path / "missing.pem"})
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        with pytest.raises(FileNotFoundError):
            Gateway(settings, build_app(settings, channel, channel, channel, Health({})))


async def test_a_stop_lets_requests_finish(gateway: Gateway, client: Client, backend: Backend) -> None:
    stopping: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def stop() -> None:
        await gateway.stop()

    def send(_request: SendMessageRequest) -> SendMessageResponse:
        stopping.set_result(asyncio.ensure_future(stop()))
        time.sleep(0.3)
        return SendMessageResponse(message=Message(id=5))

    backend.answers["SendMessage"] = send
    reply = await client.post("/rooms/r/messages", {"parts": [{"type": "text/plain", "content": "hi"}]})
    assert reply.json == {"message_id": 5}
    await (await stopping)
    with pytest.raises(ConnectionRefusedError):
        await client.get("/users")


async def test_a_stop_closes_idle_connections_at_once(gateway: Gateway, connection: Connection) -> None:
    connection.write(head("GET", "/users"))
    await connection.reply()
    await asyncio.wait_for(gateway.stop(), 0.9)
    assert await connection.reader.read() == b""


@pytest.mark.thorough
async def test_a_stop_does_not_wait_longer_than_the_grace_time(gateway: Gateway, connection: Connection) -> None:
    connection.write(head("POST", "/users", "Content-Length: 100") + b"{")
    await asyncio.sleep(0.05)
    await asyncio.wait_for(gateway.stop(), 3)
    assert (await connection.reply()).error == (503, "service_unavailable")


async def test_health(client: Client, backend: Backend) -> None:
    client.authorization = None
    assert (await client.get("/healthz")).json == {"status": "ok"}
    await backend.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert (await client.get("/healthz")).status == 200  # kept for a second
    await asyncio.sleep(1.05)
    reply = await client.get("/healthz")
    assert (reply.status, reply.json) == (503, {"status": "unavailable", "services": ["user", "message"]})


async def test_health_without_services(settings: Settings) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        gateway = Gateway(settings, build_app(settings, channel, channel, channel, Health({"user": channel})))
        await gateway.start()
        client = Client(gateway.port)
        assert (await client.get("/healthz")).status == 503
        reply = await client.get("/users")
        assert reply.error == (503, "service_unavailable")
        assert reply.headers["retry-after"] == "1"
        await gateway.stop()


async def test_answers_do_not_mix(client: Client, backend: Backend) -> None:
    backend.answers["GetUser"] = lambda request: GetUserResponse(user=User(id=request.id))
    replies = await asyncio.gather(*(client.get(f"/users/{number}") for number in range(50)))
    assert [reply.json["id"] for reply in replies] == [str(number) for number in range(50)]
