"""The watch over the supervisor: a process that it started ends when it does, however it ends."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable

PARENT_PIPE_VARIABLE = "ROOMLINE_PARENT_PIPE"
"""Number of an inherited file descriptor that reaches its end when the supervisor dies, however it dies."""
GRACE_MARGIN_SECONDS = 2.0
"""What a process gets beyond its own grace time before it is ended by force."""


def end_with_parent(stop: Callable[[], object], seconds: float) -> None:
    """Calls `stop`, from another thread, when the supervisor is dead; `seconds` later the process ends in any case.

    What it prints in between goes nowhere, lest it be held up by a log that nobody reads any more. A process without a
    supervisor is left alone.
    """
    descriptor = os.environ.get(PARENT_PIPE_VARIABLE)
    if not descriptor:
        return

    def watch() -> None:
        while os.read(int(descriptor), 1):
            pass
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        with contextlib.suppress(RuntimeError):  # a loop that is closed already: it was about to end
            stop()
        time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
