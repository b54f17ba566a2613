"""Free ports."""

import os
import random
import socket
from collections import deque

_RANGE = range(10_000, 32_000)
"""Below what systems take the ports of outgoing connections from: none of those is given to one meanwhile."""
_PROCESSES = 4
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
"""Processes that test side by side choose from ports of their own."""
_CHOOSE = random.SystemRandom().choice
"""Not the module's own: test tools seed that, so that all processes would make the same choices."""
_CHOSEN: deque[int] = deque(maxlen=256)
"""Those that somebody may be about to listen on."""


def free_port() -> int:
    """A port that nobody listens on, nor will before the caller does."""
    while True:
        port = _CHOOSE(_RANGE[_PROCESS::_PROCESSES])
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _CHOSEN:
            _CHOSEN.append(port)
            return port
