"""Health follows the services closely."""

import asyncio
import contextlib

from gateway.health import Health
from gateway.request import Limits, Request
from services.common.channels import connect_plain


def health_request() -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    return Request("GET", b"/healthz", b"", {}, receive, "id", Limits(1, 1), str)


async def test_a_service_that_comes_back_is_noticed_soon() -> None:
    tries: list[float] = []
    loop = asyncio.get_running_loop()

    def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(loop.time())
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    times = iter(range(0, 10_000, 2))
    async with connect_plain(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as channel:
        health = Health({"user": channel}, lambda: next(times))  # each look is a new one
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                while len(tries) < 5:
                    assert (await health(health_request())).status == 503
                    await asyncio.sleep(0.02)
    server.close()
    await server.wait_closed()
    assert len(tries) == 5  # by default they are a second and more apart
