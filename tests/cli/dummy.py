"""A program to supervise: `python -m tests.cli.dummy FILE [crash|deaf|chatty]`.

It adds its pid to FILE whenever it starts.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from services.common.process import PARENT_PIPE_VARIABLE


def main() -> None:
    """Runs until SIGTERM or the end of its parent."""
    file, mode = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "serve"
    stop = threading.Event()
    signal.signal(signal.SIGTERM, (lambda *_: None) if mode == "deaf" else (lambda *_: stop.set()))
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
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


def _watch_parent(stop: threading.Event) -> None:
    os.read(int(os.environ[PARENT_PIPE_VARIABLE]), 1)
    stop.set()


if __name__ == "__main__":
    main()
