"""Where a service keeps its database; one process at a time."""

import fcntl
from pathlib import Path
from typing import BinaryIO


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
        """Makes folder and file if there are none, and takes the lock. Raises RuntimeError if another process has it.

        The lock ends with the process, however it ends.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self._path / f"{self._service}.lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise RuntimeError(f"another {self._service} service works on {self._path}") from error
        self.database.touch(mode=0o600)  # SQLite gives its other files the same mode

    def close(self) -> None:
        """Gives the lock back."""
        self._lock.close()
