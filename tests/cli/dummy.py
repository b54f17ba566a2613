"""A program to supervise: `python -m tests.cli.dummy FILE [crash|deaf|chatty]`.

It adds its pid to FILE whenever it starts. It imports little, so that it starts at once.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from services.common.parent import end_with_parent

END_SECONDS = 30.0


def main() -> None:
    """Runs until SIGTERM or the end of its parent."""
    file, mode = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "serve"
    stop = threading.Event()
    signal.signal(signal.SIGTERM, (lambda *_: None) if mode == "deaf" else (lambda *_: stop.set()))
    end_with_parent(stop.set, END_SECONDS)
    with Path(file).open("a") as pids:
        pids.write(f"{os.getpid()}\n")
    if mode == "crash":
        sys.stderr.write("no reason to live\n")
        sys.exit(3)
    if mode == "chatty":
        sys.stdout.write("to standard output\n")
        sys.stdout.flush()
        os.write(2, b"to standard error\nwithout an end")
    while not stop.wait(0.05):  # short, because signal handlers run between waits only
        pass
    with Path(file).open("a") as pids:
        pids.write("stopped\n")


if __name__ == "__main__":
    main()
