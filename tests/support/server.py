"""Starts a real `roomline up --dev` for black-box tests, and reads where it listens."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Running:
    """What the ready file of a running server says."""

    http: str
    """Base URL of the plain listener, without a trailing slash: `http://127.0.0.1:41234`."""
    https: str
    grpc: dict[str, str]
    """`user`, `message` and `media` → `host:port`."""
    instance_locator: str
    key: str
    ca_file: Path
    pids: dict[str, int]
    data_dir: Path

    @property
    def instance_id(self) -> str:
        """The third part of the instance locator."""
        return self.instance_locator.split(":", 2)[2]

    @classmethod
    def read(cls, ready_file: Path, data_dir: Path) -> Self:
        """Reads the ready file of `roomline up`."""
        ready = json.loads(ready_file.read_text())
        return cls(
            http=ready["http"],
            https=ready["https"],
            grpc=ready["grpc"],
            instance_locator=ready["instance_locator"],
            key=ready["key"],
            ca_file=Path(ready["ca_file"]),
            pids=ready["pids"],
            data_dir=data_dir,
        )


def start(
    data_dir: Path, *options: str, env: dict[str, str] | None = None, dev: bool = True
) -> subprocess.Popen[bytes]:
    """Starts `roomline up --dev` on free ports; its output goes to `up.log` in the data folder's parent.

    `options` come last, so that they win over the defaults given here. Without `dev` there is no TLS, and no instance
    unless options name one.
    """
    ready_file = ready_file_of(data_dir)
    ready_file.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "services.cli", "up", "--data-dir", str(data_dir)),
        *(("--dev",) if dev else ()),
        *("--port", "0", "--tls-port", "0", "--grpc-port", "0", "--ready-file", str(ready_file)),
        *options,
    ]
    with (data_dir.parent / "up.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})


def ready_file_of(data_dir: Path) -> Path:
    """Where `start` has the server write its ready file."""
    return data_dir.parent / "ready.json"


def wait_ready(process: subprocess.Popen[bytes], data_dir: Path) -> Running:
    """Waits for the ready file. Raises RuntimeError, with the log's end, if the server ends or is too slow."""
    ready_file = ready_file_of(data_dir)
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (data_dir.parent / "up.log").read_text(errors="replace")[-4000:]
            raise RuntimeError(f"roomline up did not get ready (exit code {process.poll()}):\n{log}")
        time.sleep(0.02)  # another process's file: there is nothing to await
    return Running.read(ready_file, data_dir)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stops the server as Ctrl-C does, and returns its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def running_server(
    folder: Path, *options: str, env: dict[str, str] | None = None, dev: bool = True
) -> Iterator[Running]:
    """A server in `folder/data` for the time of the block."""
    data_dir = folder / "data"
    data_dir.mkdir(parents=True, exist_ok=True)
    process = start(data_dir, *options, env=env, dev=dev)
    try:
        yield wait_ready(process, data_dir)
    finally:
        stop(process)
