"""Free ports."""

import os
import random
import socket

_RANGE = range(10_000, 32_000)
"""Below what systems take the ports of outgoing connections from: none of those is given to one meanwhile."""
_PROCESSES = 16
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
"""Processes that test side by side choose from ports of their own."""


def free_port() -> int:
    """A port that nobody listens on, nor will before the caller does."""
    while True:
        port = random.choice(_RANGE[_PROCESS::_PROCESSES])  # noqa: S311 - nothing is secret here
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
