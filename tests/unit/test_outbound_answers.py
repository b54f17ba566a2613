"""What comes back on the one way out: answers and files, good ones and others (fault 20)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web

from services.common.outbound import (
    MAX_ANSWER_BYTES,
    MAX_FILE_URL_LENGTH,
    MAX_URL_LENGTH,
    Outbound,
    OutboundFailed,
    OutboundRefused,
)
from tests.support.receiver import Posted, Receiver, receiver, refuse

HERE = "127.0.0.1"


@pytest.fixture
async def target() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


async def test_a_redirect_is_an_answer_and_not_followed(target: Receiver) -> None:
    target.reply = refuse(307, Location=f"{target.url}/other")
    async with Outbound(allow_private=True) as outbound:
        answer = await outbound.post(f"{target.url}/first", b"", {})
    assert (answer.status, answer.headers["location"]) == (307, f"{target.url}/other")
    assert [posted.path for posted in target.posted] == ["/first"]


@pytest.mark.parametrize("size", [0, MAX_ANSWER_BYTES - 1, 10_000_000])
async def test_of_a_huge_answer_no_more_than_the_beginning_is_read(target: Receiver, size: int) -> None:
    async def flood(_: Posted) -> web.StreamResponse:
        return web.Response(body=b"x" * size)

    target.reply = flood
    async with Outbound(allow_private=True) as outbound:
        assert [(await outbound.post(target.url, b"", {})).status for _ in range(3)] == [200, 200, 200]


async def test_a_connection_is_used_again() -> None:
    """Its other end is known by then: push services are few, and pushes many."""
    peers: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(text="thank you")

    server = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    server.app.router.add_post("/", answer)
    await server.setup()
    try:
        site = web.TCPSite(server, HERE, 0)
        await site.start()
        async with Outbound(allow_private=True) as outbound:
            for _ in range(2):
                await outbound.post(f"http://{HERE}:{server.addresses[0][1]}/", b"", {})
    finally:
        await server.cleanup()
    assert len(peers) == 2
    assert peers[0] == peers[1]


@contextlib.asynccontextmanager
async def _answers(writing: Sequence[bytes], stay: bool) -> AsyncIterator[str]:
    """The URL of a server that writes this, and then goes or stays."""
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):  # whoever has read enough goes
                await reader.readuntil(b"\r\n\r\n")
                for piece in writing:
                    writer.write(piece)
                    await writer.drain()
                if stay:
                    await reader.read()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            served.set()

    async with await asyncio.start_server(serve, HERE, 0) as server:
        yield f"http://{HERE}:{server.sockets[0].getsockname()[1]}/"
        await served.wait()


@pytest.mark.parametrize(
    "writing",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
    ],
)
async def test_a_slow_answer_is_not_waited_for(writing: Sequence[bytes]) -> None:
    async with _answers(writing, stay=True) as url, Outbound(allow_private=True, timeout=0.3) as outbound:
        with pytest.raises(OutboundFailed, match="in time"):
            await outbound.post(url, b"", {})


@pytest.mark.parametrize("stay", [True, False])
@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 100", [b"some"]),
        (b"Transfer-Encoding: chunked", [b"4\r\nsome\r\n"]),
        (b"Content-Encoding: gzip", [b"nonsense"]),
        (b"Content-Type: text/plain", [b"x" * 100_000] * 100),
    ],
)
async def test_what_follows_the_status_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, head: bytes, body: Sequence[bytes], stay: bool
) -> None:
    """Whoever has said 200 has taken it: a body that stalls or breaks off is no reason to send it again."""
    monkeypatch.setattr("services.common.outbound.MAX_ANSWER_SECONDS", 0.1)
    answers = _answers([b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", *body], stay)
    async with answers as url, Outbound(allow_private=True, timeout=60) as outbound:
        assert (await outbound.post(url, b"", {})).status == 200


@pytest.mark.parametrize(
    "writing",
    [
        [],
        [b"nonsense\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n", b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n", b"X-Many: yes\r\n" * 100_000, b"\r\n"],
    ],
)
async def test_nonsense_is_no_answer(writing: Sequence[bytes]) -> None:
    async with _answers(writing, stay=False) as url, Outbound(allow_private=True) as outbound:
        with pytest.raises(OutboundFailed, match="proper"):
            await outbound.post(url, b"", {})


async def fetched(outbound: Outbound, url: str, most: int = 1_000_000) -> bytes:
    """The whole file."""
    async with contextlib.aclosing(outbound.get(url, most)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_file_comes_in_pieces(target: Receiver) -> None:
    data = bytes(range(256)) * 1000

    async def reply(_: Posted) -> web.StreamResponse:
        return web.Response(body=data)

    target.reply = reply
    long_url = f"{target.url}/file?{'s' * (2 * MAX_URL_LENGTH)}"
    async with Outbound(allow_private=True) as outbound:
        assert await fetched(outbound, long_url, len(data)) == data
        with pytest.raises(OutboundFailed, match=f"more than {len(data) - 1} bytes"):
            await fetched(outbound, long_url, len(data) - 1)
        with pytest.raises(OutboundRefused):
            await fetched(outbound, f"{target.url}/{'s' * MAX_FILE_URL_LENGTH}")


@pytest.mark.parametrize("status", [204, 206, 302, 403, 404, 500])
async def test_only_200_is_a_file(target: Receiver, status: int) -> None:
    target.reply = refuse(status, Location=f"{target.url}/other")
    async with Outbound(allow_private=True) as outbound:
        with pytest.raises(OutboundFailed, match=f"status {status}"):
            await fetched(outbound, target.url)
    assert len(target.posted) == 1


async def test_files_are_fetched_from_public_addresses_only() -> None:
    async def look_up(_: str) -> Sequence[str]:
        return [HERE]

    async with Outbound(resolve=look_up) as outbound:
        for url in ("https://example.org/", "https://127.0.0.1/", "http://example.org/", "no url"):
            with pytest.raises(OutboundRefused):
                await fetched(outbound, url)


async def test_a_file_that_stops_or_breaks_off_is_none() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    async with Outbound(allow_private=True, timeout=0.5) as outbound:
        async with _answers([head, b"half"], stay=True) as url:
            with pytest.raises(OutboundFailed, match="no answer in time"):
                await fetched(outbound, url)
        async with _answers([head, b"half"], stay=False) as url:
            with pytest.raises(OutboundFailed, match="no proper answer"):
                await fetched(outbound, url)
