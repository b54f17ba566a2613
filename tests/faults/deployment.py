"""A real `roomline up --dev` whose processes are killed. Everything blocks: beside a load it belongs in a thread."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.chance import CHANCE
from tests.support.server import Running, ready_file_of, start, stop, wait_ready

SERVICES = ("user", "message", "media")
CHILDREN = (*SERVICES, "gateway")
RESTART_SECONDS = 20.0


class Deployment:
    """A data folder, and the server that runs on it. `running` says where, from the last time it was ready."""

    running: Running

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: tuple[str, ...] = ()

    @property
    def log(self) -> str:
        """What all processes have printed."""
        return (self.data_dir.parent / "up.log").read_text(errors="replace")

    def start(self, *ports: str) -> None:
        """Starts the server and waits until it is ready. `ports` are options; those of the last start if none."""
        self._ports = ports or self._ports
        self._process = start(self.data_dir, *self._ports)
        self.running = wait_ready(self._process, self.data_dir)

    def stop(self) -> None:
        """Stops the server in an orderly way, if it runs."""
        if self._process is not None:
            assert stop(self._process) == 0
            self._process = None

    def kill_children(self, *names: str) -> None:
        """Kills processes under supervision; returns when the ready file tells of their successors."""
        before = {name: self.running.pids[name] for name in names}
        for pid in before.values():
            assert pid > 1
            os.kill(pid, signal.SIGKILL)
        self.running = self._running_after(before)

    def kill_supervisor(self) -> None:
        """Kills the supervisor, and nobody else."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def kill_all(self) -> None:
        """Kills all processes in any order, as a power cut does."""
        pids = list(self.running.pids.values())
        CHANCE.shuffle(pids)
        for pid in pids:
            assert pid > 1
            with contextlib.suppress(ProcessLookupError):  # ended with its supervisor
                os.kill(pid, signal.SIGKILL)
        self.kill_supervisor()

    def _running_after(self, pids: dict[str, int]) -> Running:
        deadline = time.monotonic() + RESTART_SECONDS
        while time.monotonic() < deadline:
            running = Running.read(ready_file_of(self.data_dir), self.data_dir)
            if all(running.pids[name] not in {0, pid} for name, pid in pids.items()):
                return running
            time.sleep(0.01)  # another process's file: there is nothing to await
        raise TimeoutError(f"not all of {[*pids]} are back:\n{self.log[-4000:]}")


@contextlib.contextmanager
def deployed(folder: Path, *ports: str) -> Iterator[Deployment]:
    """A server that is ready, for the time of the block; it ends with the block however the block ends."""
    deployment = Deployment(folder)
    try:
        deployment.start(*ports)
        yield deployment
    finally:
        deployment.stop()


def free_ports() -> tuple[str, ...]:
    """Options with ports that nobody uses, most likely.

    They lie below those that the system hands out: a client that tries again and again to reach such a port while its
    listener is away may end up connected to itself, and so take the port.
    """
    for _ in range(100):
        base = CHANCE.randrange(20000, 32000, 5)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + 5):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return ("--port", str(base), "--tls-port", str(base + 1), "--grpc-port", str(base + 2))
    raise RuntimeError("no free ports")
