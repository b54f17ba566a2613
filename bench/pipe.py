"""What one call costs between two processes if its handler does nothing: over the pipe, and as plain gRPC."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import uvloop

from bench.cpu import process_seconds
from bench.echo import METHOD, SERVICE
from bench.report import Section, micros, rate, ratio
from services.common.pipe.channel import PipeChannel

PAYLOAD = bytes(100)
WARM_UP_SECONDS = 0.5
END_SECONDS = 10.0

Method = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


class _Server(NamedTuple):
    pid: int
    address: str


class _Round(NamedTuple):
    """All per call, in seconds."""

    wall: float
    server: float
    client: float

    @property
    def both(self) -> float:
        return self.server + self.client


def measure(rounds: int, seconds: float, in_flight: int, say: Callable[[str], None]) -> Section:
    """Runs `rounds` pairs of rounds of `seconds` each, with so many calls in flight."""
    with _echo_server() as server:
        piped, plain = uvloop.run(_measure(server, rounds, seconds, in_flight, say))
    cpu = [other.both / one.both for one, other in zip(piped, plain, strict=True)]
    speed = [other.wall / one.wall for one, other in zip(piped, plain, strict=True)]
    return Section(
        f"A call that does nothing, {in_flight} in flight, {len(PAYLOAD)} bytes each way",
        ("", "calls/s", "server µs", "client µs", "together µs"),
        [_row("pipe", piped), _row("plain gRPC", plain)],
        (f"Plain gRPC takes {ratio(cpu)} times the CPU; the pipe makes {ratio(speed)} times the calls per second.",),
    )


async def _measure(
    server: _Server, rounds: int, seconds: float, in_flight: int, say: Callable[[str], None]
) -> tuple[list[_Round], list[_Round]]:
    piped: list[_Round] = []
    plain: list[_Round] = []
    async with PipeChannel(server.address) as pipe, grpc.aio.insecure_channel(server.address) as unary:
        sides = [(_method(pipe), piped), (_method(unary), plain)]
        for method, _ in sides:
            await _run(method, server.pid, WARM_UP_SECONDS, in_flight)
        for number in range(rounds):
            say(f"pipe: pair {number + 1} of {rounds}")
            for method, measured in sides if number % 2 == 0 else reversed(sides):
                measured.append(await _run(method, server.pid, seconds, in_flight))
    return piped, plain


def _method(channel: grpc.aio.Channel) -> Method:
    method: Any = channel.unary_unary(f"/{SERVICE}/{METHOD}")
    return method  # type: ignore[no-any-return]  # with no serializers, bytes


async def _run(method: Method, pid: int, seconds: float, in_flight: int) -> _Round:
    calls = 0
    started = time.perf_counter()
    server, client = process_seconds(pid), time.process_time()

    async def call() -> None:
        nonlocal calls
        while time.perf_counter() < started + seconds:
            await method(PAYLOAD)
            calls += 1

    await asyncio.gather(*(call() for _ in range(in_flight)))
    wall = time.perf_counter() - started
    server, client = process_seconds(pid) - server, time.process_time() - client
    return _Round(wall / calls, server / calls, client / calls)


def _row(name: str, measured: list[_Round]) -> tuple[str, ...]:
    wall, server, client = (statistics.median(values) for values in zip(*measured, strict=True))
    return name, rate(1 / wall), micros(server), micros(client), micros(server + client)


@contextmanager
def _echo_server() -> Iterator[_Server]:
    command = [sys.executable, "-m", "bench.echo"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield _Server(process.pid, f"127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
