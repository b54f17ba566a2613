"""Supervision, shown on programs that do nothing else."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.supervisor import child as child_module
from services.supervisor import supervisor as supervisor_module
from services.supervisor.child import Program
from services.supervisor.supervisor import Supervisor
from tests.cli.commands import runs, wait_for_end, wait_until
from tests.cli.lone_supervisor import dummy


@contextlib.asynccontextmanager
async def supervised(*stages: list[Program], grace_seconds: float = 10.0) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(stages, grace_seconds=grace_seconds)
    supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def written(file: Path, count: int) -> list[str]:
    await asyncio.to_thread(wait_until, lambda: len(lines(file)) >= count)
    return lines(file)


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    async with supervised([dummy("one", tmp_path / "one")]) as supervisor:
        (first,) = await written(tmp_path / "one", 1)
        assert supervisor.children["one"].pid == int(first)
        os.kill(int(first), signal.SIGKILL)
        _, second = await written(tmp_path / "one", 2)
        assert supervisor.children["one"].pid == int(second) != int(first)
        assert [await supervisor.started.get() for _ in range(2)] == ["one", "one"]


async def test_a_child_that_keeps_dying_is_started_ever_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "FIRST_DELAY_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    async with supervised([dummy("one", tmp_path / "one", "crash")]) as supervisor:
        starts = []
        for _ in range(5):
            await supervisor.started.get()
            starts.append(loop.time())
        assert starts[4] - starts[3] >= 0.4  # 0.05, 0.1, 0.2, 0.4
        child = supervisor.children["one"]
        assert child.failures == 4
        assert "no reason to live" in child.tail


async def test_a_program_that_does_not_exist_is_tried_again(tmp_path: Path) -> None:
    async with supervised([Program("none", (str(tmp_path / "missing"),), {})]) as supervisor:
        child = supervisor.children["none"]
        await asyncio.to_thread(wait_until, lambda: child.failures >= 2)
        assert "cannot be started" in child.tail[-1]
        assert child.pid == 0


async def test_the_last_stage_stops_first(tmp_path: Path) -> None:
    order = tmp_path / "both"
    async with supervised([dummy("one", tmp_path / "one")], [dummy("two", tmp_path / "two")]) as supervisor:
        (one,) = await written(tmp_path / "one", 1)
        (two,) = await written(tmp_path / "two", 1)
    assert lines(tmp_path / "one")[-1] == lines(tmp_path / "two")[-1] == "stopped"
    assert (tmp_path / "two").stat().st_mtime_ns < (tmp_path / "one").stat().st_mtime_ns
    assert not runs(int(one))
    assert not runs(int(two))
    assert not order.exists()
    assert all(child.pid == 0 for child in supervisor.children.values())


async def test_a_child_that_ignores_the_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "GRACE_MARGIN_SECONDS", 0.1)
    async with supervised([dummy("one", tmp_path / "one", "deaf")], grace_seconds=0.1):
        (pid,) = await written(tmp_path / "one", 1)
    assert lines(tmp_path / "one") == [pid]
    assert not runs(int(pid))


async def test_stop_ends_the_wait_for_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for delay in ("FIRST_DELAY_SECONDS", "LAST_DELAY_SECONDS"):
        monkeypatch.setattr(child_module, delay, 60.0)
    async with supervised([dummy("one", tmp_path / "one", "crash")]) as supervisor:
        await asyncio.to_thread(wait_until, lambda: supervisor.children["one"].failures == 1)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5


async def test_what_children_print_goes_to_standard_error(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async with supervised([dummy("one", tmp_path / "one", "chatty")]) as supervisor:
        child = supervisor.children["one"]
        await asyncio.to_thread(wait_until, lambda: "to standard error" in child.tail)
    assert list(child.tail) == ["to standard output", "to standard error", "without an end"]
    captured = capfdbinary.readouterr()
    assert captured.err == b"to standard output\nto standard error\nwithout an end\n"
    assert captured.out == b""


@contextlib.contextmanager
def lone(folder: Path, mode: str = "serve") -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A supervisor in a process of its own, which may be over when the block ends, and the pids of its two children."""
    command = [sys.executable, "-m", "tests.cli.lone_supervisor", str(folder), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            files = [folder / "one", folder / "two"]
            wait_until(lambda: all(lines(file) for file in files))
            yield process, [int(lines(file)[0]) for file in files]
        finally:
            process.kill()


def test_children_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with lone(tmp_path) as (process, children):
        process.kill()
        process.wait()
        for child in children:
            wait_for_end(child)
    assert lines(tmp_path / "one")[-1] == lines(tmp_path / "two")[-1] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all(tmp_path: Path, number: signal.Signals) -> None:
    with lone(tmp_path) as (process, children):
        process.send_signal(number)
        assert process.wait(20) == 0
        assert not any(map(runs, children))


def test_children_have_their_own_session_so_ctrl_c_reaches_only_the_supervisor(tmp_path: Path) -> None:
    with lone(tmp_path) as (_, children):
        assert [os.getsid(child) for child in children] == children


def test_a_second_ctrl_c_kills(tmp_path: Path) -> None:
    with lone(tmp_path, "deaf") as (process, children):
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert b"stopping" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert not any(map(runs, children))
