"""A program: kills migrations at random moments, and migrates again: `python -m tests.faults.killed_migrations FOLDER`.

Every round forks, which is cheap here and would not be safe in a process with threads. `ROUNDS` databases are left in
the folder, each migrated by a process that was killed and then by one that was not.
"""

import os
import signal
import sys
import time
from pathlib import Path

from services.common.sqlite import migrate
from services.message.server import MIGRATIONS
from tests.faults.chance import CHANCE

ROUNDS = 40


def main() -> None:
    """Takes the folder, and the seed of the moments."""
    folder = Path(sys.argv[1])
    CHANCE.seed(int(sys.argv[2]))
    began = time.monotonic()
    migrate(folder / "undisturbed.db", MIGRATIONS)
    whole = time.monotonic() - began
    for number in range(ROUNDS):
        path = folder / f"{number}.db"
        child = os.fork()
        if child == 0:
            migrate(path, MIGRATIONS)
            os._exit(0)
        time.sleep(CHANCE.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        migrate(path, MIGRATIONS)


if __name__ == "__main__":
    main()
