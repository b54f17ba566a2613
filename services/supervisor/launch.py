"""Runs a module as a child of the supervisor: `python -m services.supervisor.launch MODULE SECONDS`.

The module ends in its own way when the supervisor dies. This sees to it that it does end: `SECONDS` later at the
latest, and not held up by a log that nobody reads any more.
"""

import os
import runpy
import sys
import threading
import time

from services.common.process import PARENT_PIPE_VARIABLE


def _end_with_parent(parent_pipe: int, seconds: float) -> None:
    while os.read(parent_pipe, 1):
        pass
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    time.sleep(seconds)
    os._exit(1)


def main() -> None:
    """Runs until the module ends."""
    module, seconds = sys.argv[1:]
    parent_pipe = int(os.environ[PARENT_PIPE_VARIABLE])
    threading.Thread(target=_end_with_parent, args=(parent_pipe, float(seconds)), daemon=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
