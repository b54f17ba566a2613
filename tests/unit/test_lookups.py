"""Names whose servers take their time."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from services.common.lookups import Lookups


async def test_a_name_has_its_addresses_or_there_is_none() -> None:
    look_up = Lookups()
    assert "127.0.0.1" in await look_up("localhost")
    for name in ("no-such-name.invalid", "a" * 70, "a..b", "a\0b"):
        with pytest.raises(OSError, match=r"(?i)name"):
            await look_up(name)


async def test_only_so_many_wait_at_once_also_when_nobody_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answer, arrived, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def slow(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        loop.call_soon_threadsafe(arrived.set)
        answer.wait(60)
        return [(None, None, None, None, ("1.1.1.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    look_up = Lookups(1)
    try:
        first = asyncio.create_task(look_up("first"))
        await arrived.wait()
        first.cancel()
        await asyncio.wait((first,))
        second = asyncio.create_task(look_up("second"))
        await asyncio.sleep(0)
        assert asked == ["first"]
    finally:
        answer.set()
    assert await second == ["1.1.1.1"]
    assert asked == ["first", "second"]


_ENDS = """
import asyncio, socket, threading
from services.common.outbound import Outbound, OutboundFailed

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()

async def main():
    async with Outbound(timeout=0.1) as outbound:
        try:
            await outbound.check("https://example.org/")
        except OutboundFailed as failure:
            print(failure.problem)

asyncio.run(main())
"""


def test_a_slow_name_does_not_hold_up_the_end_of_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", _ENDS], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "its host has no address that requests may go to\n"
