"""Servers that a test starts for itself, and what they answer."""

import contextlib
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.server import Running, start, stop, wait_ready


@contextlib.contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Running]]:
    """A `roomline up --dev` of one's own, which may be over when the block ends."""
    data_dir = folder / "data"
    process = start(data_dir, *options)
    try:
        yield process, wait_ready(process, data_dir)
    finally:
        stop(process)


def log_of(running: Running) -> str:
    """What all its processes have printed."""
    return (running.data_dir.parent / "up.log").read_text()


def get(url: str, ca: Path | None = None) -> int:
    """The status of the answer."""
    context = ssl.create_default_context(cafile=ca) if ca else None
    with urllib.request.urlopen(url, timeout=10, context=context) as response:  # noqa: S310 - our own server
        return int(response.status)
