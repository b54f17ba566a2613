"""A generator process as its parent holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from bench import generator
from bench.generator import Outcome

END_SECONDS = 10.0


class Process:
    """Takes lines of JSON and answers with lines of JSON; see `started`."""

    def __init__(self, process: subprocess.Popen[str], into: IO[str], out_of: IO[str]) -> None:
        self.pid = process.pid
        self._process = process
        self._into = into
        self._out_of = out_of

    def tell(self, value: object) -> None:
        """Sends a line that has no answer."""
        self._into.write(json.dumps(value) + "\n")
        self._into.flush()

    def ask(self, value: object) -> Any:
        """Sends a line, and returns the answer. Raises RuntimeError if the process failed."""
        self.tell(value)
        line = self._out_of.readline()
        if not line:
            raise RuntimeError(f"the generator ended with exit code {self._process.wait(END_SECONDS)}")
        return json.loads(line)


class Load:
    """Drives one generator with its connections; see `connected`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def run(self, seconds: float) -> Outcome:
        """One round; the first one finds the connections open or opens them. Raises RuntimeError if it failed."""
        outcome: Outcome = self._process.ask(seconds)
        return outcome


@contextmanager
def started(module: str, plan: object) -> Iterator[Process]:
    """The module as a process for the time of the block; the plan is its first line."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        running = Process(process, process.stdin, process.stdout)
        try:
            running.tell(plan)
            yield running
        finally:
            process.terminate()


@contextmanager
def connected(plan: generator.Plan) -> Iterator[Load]:
    """A generator for the time of the block."""
    with started("bench.generator", plan) as process:
        yield Load(process)
