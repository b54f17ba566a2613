"""Events to many sockets: Roomline and a bare broadcaster side by side, and all sockets that come back at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.cpu import Reading
from bench.listeners import Burst, Connected
from bench.live_targets import Broadcast, Room, running_broadcaster, running_room
from bench.load import Process, started
from bench.report import Section, micros, millis, rate, ratio
from tests.support import memory

SHARE_GOAL = 0.5
KB_GOAL = 60.0
BACK_GOAL_SECONDS = 60.0

FIRST_SOCKETS = 50
"""Opened before memory is looked at: what the first ones cost, they cost once."""
WARM_UP_SECONDS = 1.0
SETTLE_SECONDS = 2.0
SINGLE_EVENTS = 10
PACE = 10.0
"""Messages per second while latencies are measured."""
MISSED = 20
"""Messages that are sent while all sockets are away."""


@dataclass
class _Side:
    """One of the two servers, with its sockets and all that was measured of it."""

    name: str
    pids: dict[str, int]
    process: Process
    bytes_per_socket: dict[str, float] = field(default_factory=dict)
    singles: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)
    used: list[Reading] = field(default_factory=list)

    def connect(self, sockets: int) -> None:
        self.process.ask(["connect", FIRST_SOCKETS])
        self.bytes_per_socket = grown(self.pids, self.process, sockets - FIRST_SOCKETS)

    def warm_up(self) -> None:
        self.process.ask(["single", 3])
        self.process.ask(["burst", WARM_UP_SECONDS])

    def run(self, seconds: float) -> None:
        self.singles += self.process.ask(["single", SINGLE_EVENTS])
        self.latencies += self.process.ask(["paced", PACE, seconds / 2])
        before = Reading.take(self.pids)
        self.bursts.append(self.process.ask(["burst", seconds]))
        self.used.append(Reading.take(self.pids).since(before))

    @property
    def rates(self) -> list[float]:
        """Deliveries per second in bursts, by round."""
        return [burst["deliveries"] / burst["seconds"] for burst in self.bursts]

    def server_cpu(self) -> list[float]:
        """CPU seconds per delivery of all its processes together, by round."""
        return [
            sum(used.processes.values()) / burst["deliveries"]
            for used, burst in zip(self.used, self.bursts, strict=True)
        ]

    def cpu(self, process: str) -> float:
        """CPU seconds per delivery, the median of the rounds."""
        return statistics.median(
            used.processes[process] / burst["deliveries"] for used, burst in zip(self.used, self.bursts, strict=True)
        )

    def latency(self, share: float) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * share)]

    def own_seconds(self) -> float:
        """CPU seconds of server and sockets in all bursts."""
        server = sum(sum(used.processes.values()) for used in self.used)
        return server + sum(burst["cpu_seconds"] for burst in self.bursts)


def grown(pids: Mapping[str, int], process: Process, sockets: int) -> dict[str, float]:
    """Opens sockets; by how many bytes each of them makes the processes grow."""
    before = memory.resident(pids)
    process.ask(["connect", sockets])
    time.sleep(SETTLE_SECONDS)  # they have nothing more to do that one could wait for
    return {name: (after - before[name]) / sockets for name, after in memory.resident(pids).items()}


def measure(folder: Path, rounds: int, seconds: float, sockets: int, say: Callable[[str], None]) -> Iterator[Section]:
    """Runs `rounds` pairs of rounds, ABBA, with so many sockets on either side."""
    with ExitStack() as stack:
        say("live: starting two servers")
        room = stack.enter_context(running_room(folder / "live", sockets))
        bare = stack.enter_context(running_broadcaster(sockets))
        sides = (_roomline(stack, room), _bare(stack, bare, sockets, room.event()))
        for side in sides:
            side.connect(sockets)
        say("live: sockets with TLS")
        with started("bench.listeners", room.plan(tls=True)) as process:
            process.ask(["connect", FIRST_SOCKETS])
            secure = grown(room.pids, process, sockets - FIRST_SOCKETS)
        for side in sides:
            side.warm_up()
        for number in range(rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                side.run(seconds)
            ours, theirs = (side.rates[-1] for side in sides)
            say(f"live: pair {number + 1} of {rounds}: {ours:,.0f} and {theirs:,.0f} deliveries/s, {ours / theirs:.2f}")
    yield _deliveries(sides[0], sides[1], sockets)
    yield _memory(sides[0], sides[1], secure, sockets)


def _roomline(stack: ExitStack, room: Room) -> _Side:
    return _Side("Roomline", room.pids, stack.enter_context(started("bench.listeners", room.plan())))


def _bare(stack: ExitStack, bare: Broadcast, sockets: int, event: str) -> _Side:
    plan = bare.plan(sockets, event)
    return _Side("bare broadcaster", bare.pids, stack.enter_context(started("bench.listeners", plan)))


def _deliveries(ours: _Side, theirs: _Side, sockets: int) -> Section:
    ratios = [one / other for one, other in zip(ours.rates, theirs.rates, strict=True)]
    median = statistics.median(ratios)
    cpu = [other / one for one, other in zip(ours.server_cpu(), theirs.server_cpu(), strict=True)]
    busy = sum(used.machine for side in (ours, theirs) for used in side.used)
    wall = sum(burst["seconds"] for side in (ours, theirs) for burst in side.bursts)
    others = max(busy - ours.own_seconds() - theirs.own_seconds(), 0.0) / wall
    messages = sum(burst["messages"] for burst in ours.bursts)
    verdict = f"the goal of {SHARE_GOAL} is {_met(median >= SHARE_GOAL)}"
    notes = (
        f"Bursts: {ratio(ratios)} times the deliveries per second of the bare one; {verdict}.",
        f"The bare one takes {ratio(cpu)} times the CPU per delivery.",
        f"One event: the median of {len(ours.singles)}, from the request to the last socket.",
        f"p50 and p99: all deliveries at {PACE:.0f} messages per second, from when each message was due.",
        "µs are of CPU per delivery in bursts. Edge: the gateway, or the bare broadcaster. Load: the sockets' end.",
        f"Other processes kept {others:.2f} cores busy during the bursts.",
        f"Checked: all sockets got the same, Roomline's the {messages:,} messages acknowledged in bursts, in order.",
    )
    columns = ("", "one event ms", "p50 ms", "p99 ms", "burst deliveries/s", "edge µs", "message µs", "load µs")
    rows = [_row(side) for side in (ours, theirs)]
    return Section(f"One room, {sockets:,} sockets, every message to each of them", columns, rows, notes)


def _row(side: _Side) -> tuple[str, ...]:
    parts = [micros(side.cpu(name)) for name in side.pids]
    load = statistics.median(burst["cpu_seconds"] / burst["deliveries"] for burst in side.bursts)
    return (
        side.name,
        millis(statistics.median(side.singles)),
        millis(side.latency(0.5)),
        millis(side.latency(0.99)),
        rate(statistics.median(side.rates)),
        parts[0],
        parts[1] if len(parts) > 1 else "",
        micros(load),
    )


def _memory(ours: _Side, theirs: _Side, secure: Mapping[str, float], sockets: int) -> Section:
    plain = sum(ours.bytes_per_socket.values()) / 1024
    rows = [
        ("Roomline, plain", *_kilobytes([ours.bytes_per_socket[name] for name in ("gateway", "message")])),
        ("Roomline, TLS", *_kilobytes([secure[name] for name in ("gateway", "message")])),
        ("bare broadcaster, plain", *_kilobytes([*theirs.bytes_per_socket.values()])),
    ]
    notes = (
        f"At most {KB_GOAL:.0f} KB per plain socket: {_met(plain <= KB_GOAL)}.",
        f"The growth of the resident memory after the first {FIRST_SOCKETS} sockets, each of another user.",
        "TLS afterwards, the same users once more: the message service knows them already.",
    )
    columns = ("", "gateway or broadcaster KB", "message service KB", "together KB")
    return Section(f"Memory of an idle socket with one subscription, {sockets:,} of them", columns, rows, notes)


def _kilobytes(parts: Sequence[float]) -> tuple[str, str, str]:
    texts = [f"{part / 1024:.1f}" for part in parts]
    return texts[0], texts[1] if len(texts) > 1 else "", f"{sum(parts) / 1024:.1f}"


class _Storm(NamedTuple):
    first: Connected
    back: Connected
    before: dict[str, int]
    peak: dict[str, int]


def storm(folder: Path, sockets: int, say: Callable[[str], None]) -> Section:
    """Cuts all sockets at once; they come back at once, and resume."""
    with ExitStack() as stack:
        say(f"live: {sockets:,} users for a storm")
        room = stack.enter_context(running_room(folder / "storm", sockets, tls=False))
        process = stack.enter_context(started("bench.listeners", room.plan()))
        say("live: the storm")
        first: Connected = process.ask(["connect", sockets])
        last_id = process.ask(["last_event_id"])
        before = memory.resident(room.pids)
        memory.forget_peak(room.pids)
        process.ask(["cut"])
        room.send(MISSED)
        back: Connected = process.ask(["come_back", last_id, MISSED])
        measured = _Storm(first, back, before, memory.peak(room.pids))
        process.ask(["single", 1])
    return _storm_section(measured, sockets)


def _storm_section(measured: _Storm, sockets: int) -> Section:
    rows = [
        (name, f"{came['seconds']:.1f}", f"{came['p50']:.1f}", f"{came['p99']:.1f}", rate(came["refused"]))
        for name, came in (("first", measured.first), ("again", measured.back))
    ]
    grew = {name: (peak - measured.before[name]) / 1024**2 for name, peak in measured.peak.items()}
    megabytes = ", ".join(
        f"{name} {measured.before[name] / 1024**2:.0f} MB before, {more:+.0f} MB at the peak"
        for name, more in grew.items()
    )
    notes = (
        f"All back within {BACK_GOAL_SECONDS:.0f} s: {_met(measured.back['seconds'] <= BACK_GOAL_SECONDS)}.",
        f"Memory: {megabytes}.",
        f"Checked: every socket got the {MISSED} messages sent meanwhile, in order, and the next one.",
    )
    columns = ("", "all there s", "p50 s", "p99 s", "told to come later")
    return Section(f"{sockets:,} sockets connect at once, are cut at once, and resume at once", columns, rows, notes)


def _met(is_met: bool) -> str:
    return "met" if is_met else "NOT met"
