"""Runs a real nginx with `deploy/nginx.conf`, of which only the lines that are marked for it are changed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
MARK = "# CHANGE"
NAME = "localhost"
"""The name that it serves."""
START_SECONDS = 30.0
STOP_SECONDS = 30.0
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Nginx:
    """A running nginx."""

    port: int
    master: int
    """Its process."""
    folder: Path

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://{NAME}:{self.port}"

    @property
    def workers(self) -> dict[str, int]:
        """Processes that serve, by name."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()
        return {f"worker {pid}": int(pid) for pid in children}

    def kept_files(self) -> list[Path]:
        """What it has put aside on disk, of bodies that it did not pass on at once."""
        return [path for path in (self.folder / "kept").rglob("*") if path.is_file()]


def find_nginx() -> str:
    """The executable, which Debian keeps for root; without it tests are left out, or fail if all must run."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None and os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail("`nginx` is not installed", pytrace=False)
    if found is None:
        pytest.skip("left out: every test of the nginx file, since `nginx` is not installed")
    return found


@contextmanager
def running_nginx(folder: Path, upstream: str, certificate: Path, key: Path) -> Iterator[Nginx]:
    """An nginx in front of `host:port`, with everything that it writes in the folder."""
    executable, port = find_nginx(), free_port()
    kept = folder / "kept"
    kept.mkdir(parents=True)
    included = folder / "included.conf"
    included.write_text("".join(f"{name}_temp_path {kept / name};\n" for name in _TEMPORARY))
    config = folder / "nginx.conf"
    config.write_text(
        _rendered(
            SHIPPED.read_text(),
            {
                "error_log": f"error_log {folder}/error.log;",
                "access_log": f"access_log {folder}/access.log paths;",
                "server": f"server {upstream};",
                "include": f"include {included};",
                "server_name": f"server_name {NAME};",
                "ssl_certificate": f"ssl_certificate {certificate};",
                "ssl_certificate_key": f"ssl_certificate_key {key};",
            },
            port,
        )
    )
    options = ("-p", str(folder), "-c", str(config), "-e", f"{folder}/error.log")
    process = subprocess.Popen((executable, *options, "-g", f"daemon off; pid {folder}/nginx.pid;"))
    try:
        _wait_listening(process, port, folder / "error.log")
        yield Nginx(port, process.pid, folder)
    finally:
        _stop(process)


def _rendered(text: str, changes: dict[str, str], port: int) -> str:
    """The text with each marked line changed, by its first word; a marked line of any other word is a KeyError."""

    def changed(line: str) -> str:
        words = line.split()
        if MARK not in line:
            return line
        if words[0] != "listen":
            return changes[words[0]]
        # A machine may have no IPv6.
        return line.replace("listen 443", f"listen 127.0.0.1:{port}") if words[1] == "443" else ""

    # The first comment speaks of the mark and has it in no directive.
    return "\n".join(line if line.lstrip().startswith("#") else changed(line) for line in text.splitlines()) + "\n"


def _wait_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"nginx did not start: {log.read_text() if log.exists() else ''}", pytrace=False)
            time.sleep(0.02)  # another process's socket: there is nothing to await
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
