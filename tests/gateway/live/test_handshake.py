"""How a connection becomes a WebSocket, and when it does not."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect

from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX, Client, Connection
from tests.gateway.live.stage import Socket, Stage, running_stage, socket_at, subscribe_bytes

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = ("Host: localhost", "Upgrade: websocket", "Connection: keep-alive, Upgrade", KEY, "Sec-WebSocket-Version: 13")


def head(*lines: str, first: str = "GET /ws HTTP/1.1") -> bytes:
    return "\r\n".join((first, *lines, "", "")).encode()


def without(line: str) -> tuple[str, ...]:
    return tuple(one for one in UPGRADE if one != line)


async def test_the_answer(connection: Connection) -> None:
    connection.write(head(*UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: a, b"))
    status, headers = await connection.head()
    assert status == 101
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert headers["upgrade"].lower() == "websocket"
    assert "sec-websocket-extensions" not in headers
    assert "sec-websocket-protocol" not in headers


@pytest.mark.parametrize("path", ["/ws", "/ws?", "/ws?x=y"])
@pytest.mark.parametrize("origin", ["null", "https://elsewhere.example", None])
async def test_any_origin_may_come(gateway: Gateway, path: str, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    async with socket_at(gateway.port, path, additional_headers=headers) as socket:
        await socket.opened(0)


async def test_a_connection_may_have_served_requests(connection: Connection) -> None:
    for _ in range(2):
        connection.write(subscribe_bytes("/users", method="GET"))
        assert (await connection.reply()).status == 200
    connection.write(head(*UPGRADE))
    assert (await connection.head())[0] == 101


async def test_frames_may_come_with_the_handshake(connection: Connection) -> None:
    ping = b"\x81\x86\0\0\0\0[16,5]"
    connection.write(head(*UPGRADE) + ping)
    assert (await connection.head())[0] == 101
    assert await asyncio.wait_for(connection.reader.readexactly(8), 30) == b"\x81\x06[17,5]"


@pytest.mark.parametrize("cut", [1, 10, 50, 100, 150])
async def test_a_handshake_may_come_in_pieces(connection: Connection, cut: int) -> None:
    data = head(*UPGRADE)
    connection.write(data[:cut])
    await connection.writer.drain()
    await asyncio.sleep(0.01)
    connection.write(data[cut:])
    assert (await connection.head())[0] == 101


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: localhost",),
        *(without(line) for line in UPGRADE[1:]),
        (*without(KEY), "Sec-WebSocket-Key: short"),
        (*UPGRADE[:4], "Sec-WebSocket-Version: 8"),
        (*UPGRADE, "Content-Length: 0"),
        (*UPGRADE, "Content-Length: 4"),
        (*UPGRADE, "Transfer-Encoding: chunked"),
        ("Host: localhost", "Upgrade: h2c", "Connection: Upgrade"),
    ],
)
async def test_what_is_no_handshake(connection: Connection, lines: tuple[str, ...]) -> None:
    body = {"Content-Length: 4": b"abcd", "Transfer-Encoding: chunked": b"0\r\n\r\n"}.get(lines[-1], b"")
    connection.write(head(*lines) + body)
    reply = await connection.reply()
    assert reply.error == (426, "upgrade_required")
    assert reply.headers["upgrade"] == "websocket"
    connection.write(subscribe_bytes("/users", method="GET"))  # a request like any other
    assert (await connection.reply()).status == 200


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /ws/more HTTP/1.1", 404),
        ("GET /wss HTTP/1.1", 404),
        ("GET / HTTP/1.1", 404),
        (f"GET {PREFIX}/ws HTTP/1.1", 404),
        (f"GET {PREFIX}/users HTTP/1.1", 200),
        ("POST /ws HTTP/1.1", 405),
        ("SUBSCRIBE /ws HTTP/1.1", 405),
    ],
)
async def test_there_is_no_upgrade_elsewhere(connection: Connection, first: str, status: int) -> None:
    connection.write(head(*UPGRADE, "Authorization: Bearer x", first=first))
    assert (await connection.reply()).status == status


async def test_no_upgrade_behind_a_request_that_is_being_answered(connection: Connection, stage: Stage) -> None:
    connection.write(subscribe_bytes("/users", method="GET") + head(*UPGRADE))
    assert (await connection.reply()).status == 200
    assert (await connection.reply()).error == (426, "upgrade_required")


async def test_sockets_count_as_connections(stage: Stage, settings: Settings, backend: Backend) -> None:
    settings = settings.model_copy(update={"max_connections": 1})
    async with running_stage(stage, settings, backend) as gateway:
        async with socket_at(gateway.port) as socket:
            await socket.opened(0)
            one_too_many = await Connection.open(gateway.port)
            one_too_many.write(head(*UPGRADE))
            reply = await one_too_many.reply()
            assert reply.error == (503, "service_unavailable")
            assert 1 <= int(reply.headers["retry-after"]) <= 5
            await one_too_many.close()
        await (await stage.scene()).closed()
        async with socket_at(gateway.port) as socket:
            await socket.opened(0)


async def test_over_tls(stage: Stage, settings: Settings, backend: Backend, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    settings = settings.model_copy(update={"tls_certificate": tmp_path / "both.pem"})
    async with running_stage(stage, settings, backend) as gateway:
        url = f"wss://localhost:{gateway.tls_port}/ws"
        async with connect(url, host="127.0.0.1", ssl=trust, ping_interval=None, proxy=None) as connection:
            await Socket(connection).opened(0)
            assert (await stage.scene()).request.links.base_url == f"https://localhost:{gateway.tls_port}"
        assert (await Client(gateway.tls_port or 0, trust).get("/users")).status == 200
