"""The load generator, a process of its own: `python -m bench.generator`, driven by `bench.load`.

It is cheap, so that it takes little from the servers that share its cores: requests are bytes made beforehand, and of
an answer only the status, the length and the message's id are looked at. The load is closed: each connection sends
its next request when it has the answer to the last.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import TypedDict, cast

import uvloop

CREATED = 201
LATE_SECONDS = 30.0
"""How long a round may take beyond its time."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_ID = b'{"message_id":'


class Plan(TypedDict):
    """The first line on standard input."""

    host: str
    port: int
    requests: list[list[str]]
    """For each connection, the HTTP requests that it sends over and over, as latin-1."""


class Outcome(TypedDict):
    """A line on standard output: the answer to a line that holds a round's seconds."""

    seconds: float
    """From the first request to the last answer."""
    ids: list[int]
    """Of the messages that were acknowledged."""
    others: dict[str, int]
    """Answers that acknowledge nothing, by status; `lost` counts connections that broke."""
    p50: float
    p99: float
    """Latencies in seconds."""
    cpu_seconds: float
    """What the generator used."""


class Round:
    """What the connections write down together."""

    def __init__(self, seconds: float, connections: int) -> None:
        self.acknowledged: list[bytes] = []
        self.latencies: list[float] = []
        self.others: Counter[str] = Counter()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.end = time.perf_counter() + seconds
        self._active = connections

    def left(self) -> None:
        """A connection sends no more."""
        self._active -= 1
        if not self._active and not self.done.done():
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._requests = cycle(requests)
        self._transport: asyncio.Transport
        self._round: Round | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own has no such base class

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Called by the event loop."""
        if self._round is not None:
            self._round.others["lost"] += 1
            self._round.left()

    def begin(self, new_round: Round) -> None:
        """Sends until the round's time is over."""
        if self._transport.is_closing():
            new_round.others["lost"] += 1
            new_round.left()
            return
        self._round = new_round
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._received:
            data = self._received + data
        head_end = data.find(_HEAD_END)
        length_at = data.find(_LENGTH, 0, head_end) + len(_LENGTH)
        if head_end < 0 or len(data) < (end := head_end + 4 + int(data[length_at : data.index(b"\r", length_at)])):
            self._received = data
            return
        self._received = b""
        current, now = self._round, time.perf_counter()
        assert current is not None, "an answer that nobody asked for"
        assert len(data) == end, "more than one answer"
        body = data[head_end + 4 :]
        if data[9:12] == b"201" and body.startswith(_ID):
            current.acknowledged.append(body)
            current.latencies.append(now - self._sent_at)
        else:
            current.others[data[9:12].decode()] += 1
        if now < current.end:
            self._sent_at = now
            self._transport.write(next(self._requests))
        else:
            self._round = None
            current.left()


async def _run(connections: Sequence[Connection], seconds: float) -> Outcome:
    gc.collect()
    gc.disable()
    cpu, started = time.process_time(), time.perf_counter()
    current = Round(seconds, len(connections))
    for connection in connections:
        connection.begin(current)
    await asyncio.wait_for(current.done, seconds + LATE_SECONDS)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    gc.enable()
    latencies = sorted(current.latencies) or [float("nan")]
    return Outcome(
        seconds=took,
        ids=[int(body[len(_ID) : -1]) for body in current.acknowledged],
        others=dict(current.others),
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        cpu_seconds=cpu,
    )


def _same(connection: Connection) -> Connection:
    return connection


async def _serve(plan: Plan) -> None:
    loop = asyncio.get_running_loop()
    connections = []
    for requests in plan["requests"]:
        connection = Connection([request.encode("latin-1") for request in requests])
        await loop.create_connection(partial(_same, connection), plan["host"], plan["port"])
        connections.append(connection)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _run(connections, float(line))), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    uvloop.run(_serve(json.loads(sys.stdin.readline())))
