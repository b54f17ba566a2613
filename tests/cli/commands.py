"""Runs the `roomline` command, and watches processes that are not our children."""

import io
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
import structlog

from services.cli.main import main

LOCATOR = "v1:us1:11111111-2222-3333-4444-555555555555"
KEY = "key-id:secret/with=signs"
"""An instance and a key as Chatkit gave them out."""
END_SECONDS = 20.0


def command(*arguments: object) -> list[str]:
    """The command line of the `roomline` command."""
    return [sys.executable, "-m", "services.cli", *map(str, arguments)]


def roomline(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end; `env` comes on top of ours, without the settings in it."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env={**clean_environment(), **(env or {})},
        timeout=60,
        check=False,
    )


def roomline_here(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Does the same in this process, much faster: for commands that neither set up logs nor start anything."""
    out, err = io.StringIO(), io.StringIO()
    words = [*map(str, arguments)]
    environment = patch.dict(os.environ, {**clean_environment(), **(env or {})}, clear=True)
    logging = structlog.get_config()
    try:
        with environment, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main(words)
    finally:
        structlog.configure(**logging)  # a command sets it up for its own process
    code = int(end.value.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def clean_environment() -> dict[str, str]:
    """Ours, without the settings in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ROOMLINE_")}


def wait_for_end(pid: int) -> None:
    """Returns once the process has ended. Raises TimeoutError."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([descriptor], [], [], END_SECONDS)[0]:
            raise TimeoutError(f"process {pid} still runs")
    finally:
        os.close(descriptor)


def runs(pid: int) -> bool:
    """Whether there is such a process, zombies apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = END_SECONDS) -> None:
    """Polls for what another process does, which cannot be awaited. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
