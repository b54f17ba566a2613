"""The sockets of `live` and those who send to them, a process of its own: `python -m bench.listeners`.

Driven by `bench.load`, one order a line. It only counts what comes, so that it takes little from the servers beside
it; that all sockets got the same, and one of them exactly what was acknowledged, is checked after each round.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import ssl
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, TypedDict

import uvloop

from bench.generator import Connection, Round
from tests.support.many_sockets import Place, Receiver, Tally, events_of

LATE_SECONDS = 60.0
"""How long the last delivery may take when nothing more is sent."""


class Plan(TypedDict):
    """The first line on standard input."""

    host: str
    port: int
    path: str
    """Where sockets begin."""
    tls: bool
    subscriptions: list[tuple[str, dict[str, str]] | None]
    """For each socket, its path and headers; None if it need not subscribe."""
    requests: list[list[str]]
    """For each connection that sends, its HTTP requests; empty if nobody sends."""
    named: bool
    """Whether events have the ids of the messages."""


class Connected(TypedDict):
    """The answer to `connect` and `come_back`."""

    seconds: float
    refused: int
    """How often sockets were told to come later, or were cut off."""
    p50: float
    p99: float
    """Seconds until a socket had its subscription."""


class Burst(TypedDict):
    """The answer to `burst`."""

    messages: int
    deliveries: int
    seconds: float
    """From the first request to the last delivery."""
    cpu_seconds: float
    """What this process used."""


class Listeners:
    """What the orders work on."""

    def __init__(self, plan: Plan) -> None:
        tls = None
        if plan["tls"]:
            tls = ssl.create_default_context()
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        place = Place(plan["host"], plan["port"], plan["path"], tls)
        self._plan = plan
        self._tally = Tally()
        self._receivers = [Receiver(place, self._tally, subscription) for subscription in plan["subscriptions"]]
        self._connected: list[Receiver] = []
        self._senders: list[Connection] = []

    async def open_senders(self) -> None:
        """Opens the connections that send."""
        loop = asyncio.get_running_loop()
        for requests in self._plan["requests"]:
            sender = Connection([request.encode("latin-1") for request in requests])
            await loop.create_connection(partial(_same, sender), self._plan["host"], self._plan["port"])
            self._senders.append(sender)

    async def connect(self, sockets: int) -> Connected:
        """Opens so many sockets more, all at once."""
        begun = len(self._connected)
        new = self._receivers[begun : begun + sockets]
        self._connected += new
        return await self._come([partial(receiver.come_back, None) for receiver in new])

    async def cut(self) -> None:
        """Loses all sockets."""
        for receiver in self._connected:
            receiver.cut()

    async def come_back(self, last_event_id: str, missed: int) -> Connected:
        """Opens all sockets again, all at once, and waits until each has got what it has missed."""
        awaited = self._tally.events + missed * len(self._connected)
        started = time.perf_counter()
        answer = await self._come([partial(one.come_back, last_event_id) for one in self._connected])
        done = await asyncio.wait_for(self._tally.reaches(awaited), LATE_SECONDS)
        self._check()
        return {**answer, "seconds": max(answer["seconds"], done - started)}

    async def last_event_id(self) -> str:
        """Sends one message; the id with which all sockets have got it."""
        witness = self._connected[0]
        witness.kept = []
        await self.single(1)
        (event,) = events_of(witness.kept)
        witness.kept = None
        return str(event[2])

    async def single(self, times: int) -> list[float]:
        """Sends messages one by one: seconds until the last socket had each."""
        return [await self._send_one() for _ in range(times)]

    async def burst(self, seconds: float) -> Burst:
        """Sends as fast as messages are acknowledged, then waits until all have all."""
        witness = self._connected[0]
        witness.kept = []
        gc.collect()
        gc.disable()
        before, cpu, started = self._tally.events, time.process_time(), time.perf_counter()
        current = Round(seconds, len(self._senders))
        for sender in self._senders:
            sender.begin(current)
        await asyncio.wait_for(current.done, seconds + LATE_SECONDS)
        assert not current.others, current.others
        messages = len(current.acknowledged)
        deliveries = messages * len(self._connected)
        ended = await asyncio.wait_for(self._tally.reaches(before + deliveries), LATE_SECONDS)
        cpu = time.process_time() - cpu
        gc.enable()
        self._check()
        received = events_of(witness.kept)
        witness.kept = None
        if self._plan["named"]:
            acknowledged = sorted(int(body[len(b'{"message_id":') : -1]) for body in current.acknowledged)
            assert [int(event[2]) for event in received] == acknowledged, "not what was acknowledged, in order"
        return Burst(messages=messages, deliveries=deliveries, seconds=ended - started, cpu_seconds=cpu)

    async def paced(self, rate: float, seconds: float) -> list[float]:
        """Sends at a rate; the latencies of all deliveries in seconds, sorted, from when each message was due."""
        number = round(rate * seconds)
        arrivals: list[list[float]] = [[] for _ in range(number)]
        for receiver in self._connected:
            receiver.watch()
        self._tally.arrivals = arrivals
        before, started, due = self._tally.events, time.perf_counter(), []
        for message in range(number):
            due.append(started + message / rate)
            await asyncio.sleep(due[-1] - time.perf_counter())
            await self._post()
        await asyncio.wait_for(self._tally.reaches(before + number * len(self._connected)), LATE_SECONDS)
        self._tally.arrivals = None
        self._check()
        return sorted(at - due[message] for message, ats in enumerate(arrivals) for at in ats)

    async def _come(self, tries: Sequence[Any]) -> Connected:
        started = time.perf_counter()

        async def come(one: Any) -> tuple[float, int]:
            refused = await one()
            return time.perf_counter() - started, refused

        came = await asyncio.gather(*(come(one) for one in tries))
        took = sorted(seconds for seconds, _ in came)
        refused = sum(times for _, times in came)
        return Connected(seconds=took[-1], refused=refused, p50=took[len(took) // 2], p99=took[len(took) * 99 // 100])

    async def _send_one(self) -> float:
        awaited, started = self._tally.events + len(self._connected), time.perf_counter()
        await self._post()
        return await asyncio.wait_for(self._tally.reaches(awaited), LATE_SECONDS) - started

    async def _post(self) -> None:
        current = Round(0, 1)
        self._senders[0].begin(current)
        await asyncio.wait_for(current.done, LATE_SECONDS)
        assert not current.others, current.others

    def _check(self) -> None:
        """All sockets are there and have got the same."""
        witness = self._connected[0]
        for receiver in self._connected:
            assert not receiver.lost, "a socket was cut off"
            assert (receiver.events, receiver.digest) == (witness.events, witness.digest), "sockets got other events"


def _same(sender: Connection) -> Connection:
    return sender


async def _serve(plan: Plan) -> None:
    loop = asyncio.get_running_loop()
    listeners = Listeners(plan)
    await listeners.open_senders()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        print(json.dumps(await getattr(listeners, name)(*arguments)), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    uvloop.run(_serve(json.loads(sys.stdin.readline())))
