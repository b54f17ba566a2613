"""Durable sends through the gateway: the same build with the pipe and with it switched off, side by side."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.cpu import Reading
from bench.generator import Outcome
from bench.load import Load, connected
from bench.report import Section, micros, millis, rate, ratio
from bench.servers import Target, running_target

FLOOR = 2.0
GOAL = 2.5
WARM_UP_SECONDS = 1.5

_PROCESSES = ("gateway", "message", "user")


class LostError(Exception):
    """The numbers stand for nothing: what was stored is not what was acknowledged."""


@dataclass
class _Side:
    """One of the two servers, with all that was measured of it."""

    target: Target
    load: Load
    ids: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    used: list[Reading] = field(default_factory=list)

    def warm_up(self) -> None:
        self._kept(self.load.run(WARM_UP_SECONDS))

    def run(self, seconds: float) -> None:
        before = Reading.take(self.target.pids)
        outcome = self._kept(self.load.run(seconds))
        self.used.append(Reading.take(self.target.pids).since(before))
        self.outcomes.append(outcome)

    def _kept(self, outcome: Outcome) -> Outcome:
        if outcome["others"]:
            raise LostError(f"{self.target.name}: requests that were not answered with 201: {outcome['others']}")
        self.ids += outcome["ids"]
        return outcome

    @property
    def rates(self) -> list[float]:
        """Sends per second, by round."""
        return [len(outcome["ids"]) / outcome["seconds"] for outcome in self.outcomes]

    def cpu(self, process: str) -> float:
        """CPU seconds per send, the median of the rounds."""
        return statistics.median(
            used.processes[process] / len(outcome["ids"])
            for used, outcome in zip(self.used, self.outcomes, strict=True)
        )

    def server_cpu(self) -> list[float]:
        """CPU seconds per send of all processes together, by round."""
        return [
            sum(used.processes.values()) / len(outcome["ids"])
            for used, outcome in zip(self.used, self.outcomes, strict=True)
        ]

    def generator_cpu(self) -> float:
        return statistics.median(outcome["cpu_seconds"] / len(outcome["ids"]) for outcome in self.outcomes)

    def own_seconds(self) -> float:
        """CPU seconds of the server and the generator, in all rounds."""
        server = sum(sum(used.processes.values()) for used in self.used)
        return server + sum(outcome["cpu_seconds"] for outcome in self.outcomes)

    def cores(self) -> float:
        """How many cores server and generator used on average."""
        return self.own_seconds() / sum(outcome["seconds"] for outcome in self.outcomes)

    def latency(self, quantile: Literal["p50", "p99"]) -> float:
        return statistics.median(outcome[quantile] for outcome in self.outcomes)

    def check(self) -> None:
        """Raises LostError unless what is stored is what was acknowledged: all of it, once, and nothing else."""
        stored = Counter(self.target.stored_ids())
        acknowledged = Counter(self.ids)
        if stored != acknowledged:
            lost, extra = (acknowledged - stored).total(), (stored - acknowledged).total()
            raise LostError(f"{self.target.name}: {lost} acknowledged messages are missing, {extra} are too many")


def measure(folder: Path, rounds: int, seconds: float, connections: int, say: Callable[[str], None]) -> Section:
    """Runs `rounds` pairs of rounds of `seconds` each, ABBA. Raises LostError if a message was lost or doubled."""
    with ExitStack() as stack:
        say("send: starting two servers")
        sides = []
        for name, pipe in (("pipe", True), ("plain gRPC", False)):
            target = stack.enter_context(running_target(name, folder / name.replace(" ", "-"), pipe=pipe))
            sides.append(_Side(target, stack.enter_context(connected(target.plan(connections)))))
        for side in sides:
            side.warm_up()
        for number in range(rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                side.run(seconds)
            piped, plain = (side.rates[-1] for side in sides)
            say(f"send: pair {number + 1} of {rounds}: {piped:,.0f} and {plain:,.0f} sends/s, {piped / plain:.2f}")
        say("send: reading back what was stored")
        for side in sides:
            side.check()
    return _section(sides[0], sides[1], connections)


def _section(piped: _Side, plain: _Side, connections: int) -> Section:
    ratios = [one / other for one, other in zip(piped.rates, plain.rates, strict=True)]
    cpu = [other / one for one, other in zip(piped.server_cpu(), plain.server_cpu(), strict=True)]
    notes = (
        f"Pipe against plain gRPC: {ratio(ratios)} times the sends per second; {_verdict(statistics.median(ratios))}.",
        f"Plain gRPC takes {ratio(cpu)} times the CPU per send.",
        "µs are of CPU per send; load is the generator. Cores: how many were busy with all of it.",
        f"Other processes kept {_others(piped, plain):.2f} cores busy meanwhile.",
        f"Checked: the {len(piped.ids) + len(plain.ids):,} acknowledged messages were stored, each once, no other.",
    )
    columns = ("", "sends/s", "p50 ms", "p99 ms", *(f"{name} µs" for name in _PROCESSES), "sum µs", "load µs", "cores")
    title = f"Durable sends through the gateway, {connections} keep-alive connections"
    return Section(title, columns, [_row(side) for side in (piped, plain)], notes)


def _verdict(median: float) -> str:
    if median >= GOAL:
        return f"the goal of {GOAL} is met"
    return f"the floor of {FLOOR} is {'met' if median >= FLOOR else 'NOT met'}, the goal of {GOAL} is not"


def _row(side: _Side) -> tuple[str, ...]:
    parts = [side.cpu(process) for process in _PROCESSES]
    return (
        side.target.name,
        rate(statistics.median(side.rates)),
        millis(side.latency("p50")),
        millis(side.latency("p99")),
        *(micros(part) for part in parts),
        micros(sum(parts)),
        micros(side.generator_cpu()),
        f"{side.cores():.2f}",
    )


def _others(*sides: _Side) -> float:
    """How many cores other processes used on average; what the hypervisor took counts too."""
    busy = sum(used.machine for side in sides for used in side.used)
    own = sum(side.own_seconds() for side in sides)
    return max(busy - own, 0.0) / sum(outcome["seconds"] for side in sides for outcome in side.outcomes)
