"""Pictures are looked at by processes of their own; whatever those do or suffer, only thumbnails are missing."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.media.pictures import Limits, Picture, Pictures, PicturesUnavailableError
from tests.services.media.drawings import JPEG, in_chunks


def processes() -> list[int]:
    """The processes that look at pictures for this one."""
    return [pid for pid in children("self") if b"picture_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def children(pid: int | str) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # threads come and go
            found += map(int, (task / "children").read_text().split())
    return found


async def test_a_process_that_is_killed_is_a_picture_that_cannot_be_decoded() -> None:
    async def killing() -> AsyncIterator[bytes]:
        yield JPEG[:100]
        (pid,) = processes()
        os.kill(pid, signal.SIGKILL)
        yield JPEG[100:]
        yield bytes(1024**2)

    pictures = Pictures()
    assert await pictures.look(killing()) is None
    assert processes() == []
    assert (await pictures.look(in_chunks(JPEG)) or Picture(0, 0, {})).width == 640


async def test_one_at_a_time() -> None:
    seen = []

    async def watched() -> AsyncIterator[bytes]:
        yield JPEG
        seen.append(len(processes()))

    pictures = Pictures()
    await asyncio.gather(*(pictures.look(watched()) for _ in range(3)))
    assert seen == [1, 1, 1]


async def test_a_process_ends_with_who_waits_for_it() -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield JPEG
        started.set()
        await asyncio.Event().wait()

    looking = asyncio.create_task(Pictures().look(endless()))
    await started.wait()
    assert len(processes()) == 1
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert processes() == []


async def test_bytes_that_cannot_be_read_are_the_callers_problem() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield JPEG
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await Pictures().look(failing())
    assert processes() == []


async def test_a_process_that_cannot_be_started_says_nothing_about_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("/nonexistent", "/bin/false"):
        monkeypatch.setattr(sys, "executable", program)
        with pytest.raises(PicturesUnavailableError):
            await Pictures().look(in_chunks(JPEG))


PARENT = """
import asyncio
from services.media.pictures import Pictures

async def stalled():
    yield b"GIF89a"
    print("waiting", flush=True)
    await asyncio.Event().wait()

asyncio.run(Pictures().look(stalled()))
"""


async def test_a_process_ends_with_its_parent() -> None:
    """Even if it is stopped, and so sees neither the end of its input nor the end of its time."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"waiting\n"
    (child,) = children(parent.pid)
    ended = asyncio.Event()
    child_ends = os.pidfd_open(child)
    asyncio.get_running_loop().add_reader(child_ends, ended.set)
    try:
        os.kill(child, signal.SIGSTOP)
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(5):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(child_ends)
        os.close(child_ends)


async def test_a_process_knows_no_secrets_and_can_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINE_SERVICE_SECRET", "a secret")
    seen = {}

    async def looking() -> AsyncIterator[bytes]:
        yield JPEG
        (pid,) = processes()
        of_child = Path(f"/proc/{pid}")
        seen["environment"] = (of_child / "environ").read_bytes()
        seen["limits"] = (of_child / "limits").read_bytes()
        seen["files"] = b" ".join(os.fsencode(name) for name in sorted(os.listdir(of_child / "fd")))

    await Pictures().look(looking())
    assert b"a secret" not in seen["environment"]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen["limits"].decode().splitlines()}
    for limit in ("Max open files", "Max file size", "Max core file size"):
        assert limits[limit] == ["0", "0"]
    assert limits["Max address space"] == [str(Limits().memory_bytes)] * 2
    assert seen["files"] == b"0 1 2"
