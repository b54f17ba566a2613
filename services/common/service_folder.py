"""Where a service keeps its database; one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

RESTORING = "restoring.json"
"""Is in the data folder while a restore puts its files in place."""


class ServiceFolder:
    """A service's part of the data folder, readable for its owner only.

    `service` is the first part of its files' names: `user` gives `user.db` and `user.lock`.
    """

    def __init__(self, path: Path, service: str) -> None:
        self._path = path
        self._service = service
        self._lock: BinaryIO
        self.database = path / f"{service}.db"

    def open(self) -> None:
        """Makes folder and file if there are none, and takes the lock.

        Raises RuntimeError if another process has it, or if a restore into the folder was interrupted.
        """
        self.lock()
        if (self._path / RESTORING).exists():
            self.close()
            raise RuntimeError(f"a restore into {self._path} was interrupted: start it again to finish it")
        self.database.touch(mode=0o600)  # SQLite gives its other files the same mode

    def lock(self) -> None:
        """Keeps the service off the folder, which is made if there is none. Raises RuntimeError if it is at work.

        The lock ends with the process, however it ends.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path / f"{self._service}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = os.fdopen(descriptor, "wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise RuntimeError(f"another {self._service} service works on {self._path}") from error

    def close(self) -> None:
        """Gives the lock back."""
        self._lock.close()
