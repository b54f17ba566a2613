"""Memory of processes, as Linux counts it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_KB = 1024


def resident(pids: Mapping[str, int]) -> dict[str, int]:
    """Resident bytes of living processes now, by name."""
    return {name: _field(pid, "VmRSS") for name, pid in pids.items()}


def peak(pids: Mapping[str, int]) -> dict[str, int]:
    """The most resident bytes that they had since they began, or since `forget_peak`."""
    return {name: _field(pid, "VmHWM") for name, pid in pids.items()}


def forget_peak(pids: Mapping[str, int]) -> None:
    """Lets `peak` begin anew."""
    for pid in pids.values():
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * _KB
    raise LookupError(name)
