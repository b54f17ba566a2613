"""Who is ready, and who will never be."""

import asyncio
from pathlib import Path

import pytest

from services.supervisor.command_error import CommandError
from services.supervisor.ports import reserve
from services.supervisor.readiness import grpc_probe, http_probe, wait_until_ready
from services.supervisor.supervisor import Supervisor
from tests.cli.commands import wait_until
from tests.cli.lone_supervisor import dummy


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", False),
        (b"", False),
        (b"200\r\n", False),
    ],
)
async def test_the_http_probe_wants_200(answer: bytes, ready: bool) -> None:
    asked: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        probe = http_probe("127.0.0.1", server.sockets[0].getsockname()[1], "/healthz")
        assert await probe() is ready
    assert asked == [b"GET /healthz HTTP/1.1\r\n"]


async def test_nobody_there_is_not_ready() -> None:
    reservation = reserve("127.0.0.1", 0, "--port")
    assert not await http_probe("127.0.0.1", reservation.port, "/healthz")()
    assert not await grpc_probe(reservation.address)()
    reservation.close()


async def never() -> bool:
    return False


async def test_who_takes_too_long_is_named(tmp_path: Path) -> None:
    supervisor = Supervisor([[dummy("slow", tmp_path / "pids", "chatty")]], grace_seconds=5)
    supervisor.start()
    try:
        child = supervisor.children["slow"]
        await asyncio.to_thread(wait_until, lambda: "to standard error" in child.tail)
        with pytest.raises(CommandError, match="the slow process did not get ready within 0 seconds") as caught:
            await wait_until_ready(child, never, 0.1)
        assert "to standard error" in caught.value.details
    finally:
        await supervisor.stop()
