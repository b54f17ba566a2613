"""One process under supervision."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from services.common.waiting import is_set_within

log = structlog.get_logger()

FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""A child that ran this long is restarted without delay for its earlier failures."""
TAIL_LINES = 20
LOG_CHUNK_BYTES = 65536
LOG_END_SECONDS = 1.0


@dataclass(frozen=True)
class Program:
    """What to run, and how to call it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    """All of it: nothing is inherited. It holds secrets."""


class Child:
    """Runs a program and starts it again whenever it ends, until told to stop.

    It has its own session: the terminal's Ctrl-C reaches the supervisor alone. What it prints goes to the supervisor's
    standard error. `started` is called after every start.
    """

    def __init__(self, program: Program, inherited: Sequence[int], started: Callable[[str], None]) -> None:
        self.name = program.name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """The last lines that it printed."""
        self.failures = 0
        """How often in a row it ended too soon."""
        self._program = program
        self._inherited = inherited
        self._started = started
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int:
        """Its process id; 0 while it does not run."""
        return self._process.pid if self._process is not None else 0

    async def run(self) -> None:
        """Keeps the program running; returns when it has ended after `stop`."""
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                outcome = f"exit code {await self._run_once()}"
            except OSError as error:  # such as no process to spare: perhaps there is one later
                outcome = f"cannot be started: {error}"
                self.tail.append(outcome)
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - began >= STEADY_SECONDS:
                self.failures = 0
            delay = min(FIRST_DELAY_SECONDS * 2**self.failures, LAST_DELAY_SECONDS)
            self.failures += 1
            log.warning("child_ended", child=self.name, outcome=outcome, restart_in_seconds=delay)
            await is_set_within(self._stopping, delay)

    def stop(self) -> None:
        """Asks the program to end, once; it is not started again."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the program now, with whatever it has started; it is not started again."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    async def _run_once(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._program.command,
            env=dict(self._program.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=self._inherited,
        )
        if self._stopping.is_set():  # while it was being started
            self._signal(signal.SIGTERM)
        self._started(self.name)
        output = process.stdout
        if output is None:
            raise RuntimeError("the child has no output")
        copying = asyncio.create_task(self._copy_log(output))
        try:
            return await process.wait()
        finally:
            self._process = None
            # What it printed last is on its way; a process that it left behind may hold the pipe open for ever.
            await asyncio.wait({copying}, timeout=LOG_END_SECONDS)
            copying.cancel()

    async def _copy_log(self, output: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await output.read(LOG_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            self._print(lines)
            if len(rest) > LOG_CHUNK_BYTES:
                self._print([rest])
                rest = b""
        if rest:
            self._print([rest])

    def _print(self, lines: list[bytes]) -> None:
        self.tail.extend(line.decode(errors="replace") for line in lines)
        with contextlib.suppress(OSError):  # nobody reads our log any more: no reason to stop serving
            sys.stderr.buffer.write(b"".join(line + b"\n" for line in lines))
            sys.stderr.buffer.flush()
