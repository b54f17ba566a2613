"""CPU time of processes and of the whole machine, as Linux counts it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

_TICKS = os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    """User and system time of a living process, all its threads together; counted in steps of usually 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may hold spaces and brackets
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Reading(NamedTuple):
    """CPU times at one moment."""

    processes: dict[str, float]
    """Seconds, by name."""
    machine: float
    """Seconds that all cores were busy together, stolen time included."""

    @classmethod
    def take(cls, pids: Mapping[str, int]) -> Self:
        """Reads them now."""
        return cls({name: process_seconds(pid) for name, pid in pids.items()}, _machine_seconds())

    def since(self, earlier: Reading) -> Reading:
        """What was used between two moments."""
        used = {name: seconds - earlier.processes[name] for name, seconds in self.processes.items()}
        return Reading(used, self.machine - earlier.machine)


def _machine_seconds() -> float:
    line = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS
