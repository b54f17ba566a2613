"""What a result depends on besides the code."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

import grpc


def describe(folder: Path) -> str:
    """Cores, versions and the file system of the folder that holds the databases, in one line."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores ({_processor()}), Python {platform.python_version()}, "
        f"grpcio {grpc.__version__}, uvloop {version('uvloop')}, "
        f"SQLite {sqlite3.sqlite_version} on {_file_system(folder)}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The type: on tmpfs, syncing costs nothing, so nothing durable is measured there."""
    path = folder.resolve()
    best, kind = -1, "an unknown file system"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        if path.is_relative_to(mount) and len(mount) >= best:
            best, kind = len(mount), found
    return kind
