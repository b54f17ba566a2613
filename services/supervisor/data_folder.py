"""The data folder: who uses it, and what the command keeps in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from services.common.ids import secret
from services.common.service_folder import RESTORING
from services.supervisor.command_error import CommandError
from services.supervisor.identity import Identity
from services.supervisor.private_file import read_private_file, write_private_file

DRAIN_SECONDS = 20.0
"""How long the processes of a killed supervisor may take to end: their grace time, and a little."""
POLL_SECONDS = 0.05


class DataFolderBusyError(CommandError):
    """Another process uses the data folder."""


class DataFolder:
    """The files of one installation. Only its owner may look inside. Made by the first `lock`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def run_file(self) -> Path:
        """Where the running server listens, and its supervisor's process id."""
        return self.path / "run.json"

    @property
    def service_secret_file(self) -> Path:
        """What the processes of the running server sign their tokens with, for commands that call its services."""
        return self.path / "service.secret"

    @property
    def tls(self) -> Path:
        """The folder of the development CA and certificate."""
        return self.path / "tls"

    @property
    def _operator_key_file(self) -> Path:
        return self.path / "operator.key"

    @property
    def _dev_file(self) -> Path:
        return self.path / "dev.json"

    @property
    def doors_file(self) -> Path:
        """Which switches development mode has turned on."""
        return self.path / "doors.json"

    @property
    def restoring_file(self) -> Path:
        """Is there while a restore puts its files in place; then nothing else may use the folder."""
        return self.path / RESTORING

    @property
    def kept_files(self) -> list[Path]:
        """What belongs to the installation beside databases and attachments: files that may be there, or not."""
        tls = (self.tls / name for name in ("ca.pem", "ca.key", "server.pem", "server.key"))
        return [self._operator_key_file, self._dev_file, self.doors_file, *tls]

    @contextlib.contextmanager
    def lock(self, drain_seconds: float = DRAIN_SECONDS, *, restoring: bool = False) -> Iterator[int]:
        """Keeps other commands off the folder; gives the lock's file descriptor.

        Makes the folder if there is none. Processes that inherit the descriptor hold the lock too: after the supervisor
        was killed it is free only when the last of them has ended, so two services never write to one database.
        Raises DataFolderBusyError, at once if the holder lives, otherwise after `drain_seconds`, and CommandError if
        the folder cannot be used: also if a restore was interrupted there, unless the caller is one.
        """
        descriptor = self._open_lock()
        try:
            deadline = time.monotonic() + drain_seconds
            while not _try_lock(descriptor):
                holder = self.holder()
                if _alive(holder):
                    raise DataFolderBusyError(f"the data folder {self.path} is in use by process {holder}")
                if time.monotonic() > deadline:
                    raise DataFolderBusyError(f"the data folder {self.path} is in use by processes of an earlier run")
                time.sleep(POLL_SECONDS)
            if not restoring:
                self.refuse_half_restored()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield descriptor
        finally:
            # Closed, not unlocked: unlocking would release it for the processes that inherited it as well.
            os.close(descriptor)

    @contextlib.contextmanager
    def copying(self) -> Iterator[None]:
        """Keeps restores off the folder, and nobody else. Raises CommandError if one is at work, or was interrupted."""
        with self._lock_against(fcntl.LOCK_SH, f"a restore into {self.path} is at work"):
            self.refuse_half_restored()
            yield

    def exchanging(self) -> contextlib.AbstractContextManager[None]:
        """Keeps backups off the folder. Raises CommandError if one is made."""
        return self._lock_against(fcntl.LOCK_EX, f"a backup of {self.path} is being made: wait for its end")

    @contextlib.contextmanager
    def _lock_against(self, kind: int, others: str) -> Iterator[None]:
        """A lock on the folder itself, which is none of those that servers have."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise CommandError(f"cannot use the data folder {self.path}: {error.strerror}") from error
        try:
            if not _try_lock(descriptor, kind):
                raise CommandError(others)
            yield
        finally:
            os.close(descriptor)

    def refuse_half_restored(self) -> None:
        """Raises CommandError if a restore has not come to its end."""
        if self.restoring_file.exists():
            raise CommandError(
                f"a restore into {self.path} was interrupted: start the same `roomline restore` again to finish it"
            )

    def _open_lock(self) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Only what is ours, so that a mistyped `--data-dir /tmp` does not change the machine.
            if self._lock_file.exists() or not any(self.path.iterdir()):
                self.path.chmod(0o700)
            return os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CommandError(f"cannot use the data folder {self.path}: {error.strerror}") from error

    def holder(self) -> int:
        """The process that took the lock last; 0 if there is none. It may have ended since."""
        text = read_private_file(self._lock_file) or ""
        return int(text) if text.isdigit() else 0

    def operator_secret(self) -> str:
        """Signs operator tokens; made when first asked for."""
        stored = (read_private_file(self._operator_key_file) or "").strip()
        if not stored:
            stored = secret()
            write_private_file(self._operator_key_file, stored + "\n")
        return stored

    def dev_identity(self) -> Identity | None:
        """The instance of development mode, once there is one."""
        text = read_private_file(self._dev_file)
        return Identity.from_json(text, str(self._dev_file)) if text is not None else None

    def remember_dev_identity(self, identity: Identity) -> None:
        """Has the next start in development mode, and `roomline token`, use this instance."""
        write_private_file(self._dev_file, identity.to_json())


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(process: int) -> bool:
    if not process:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
