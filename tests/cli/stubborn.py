"""Says when it runs, then neither listens nor stops printing: `python -m tests.cli.stubborn SECONDS`."""

import os
import signal
import sys

from services.common.parent import end_with_parent


def main() -> None:
    """Runs until it is ended by force, `SECONDS` after its parent."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_parent(lambda: None, float(sys.argv[1]))
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    while True:  # until a pipe that nobody reads is full, and for ever then
        sys.stdout.write("still here\n")


if __name__ == "__main__":
    main()
