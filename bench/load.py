"""The generator process as its parent holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from bench.generator import Outcome, Plan

END_SECONDS = 10.0


class Load:
    """Drives one generator with its connections; see `connected`."""

    def __init__(self, process: subprocess.Popen[str], into: IO[str], out_of: IO[str]) -> None:
        self._process = process
        self._into = into
        self._out_of = out_of

    def run(self, seconds: float) -> Outcome:
        """One round. Raises RuntimeError if the generator failed."""
        self._tell(str(seconds))
        line = self._out_of.readline()
        if not line:
            raise RuntimeError(f"the generator ended with exit code {self._process.wait(END_SECONDS)}")
        outcome: Outcome = json.loads(line)
        return outcome

    def begin(self, plan: Plan) -> None:
        """Says what to send; the first round finds the connections open or opens them."""
        self._tell(json.dumps(plan))

    def _tell(self, line: str) -> None:
        self._into.write(line + "\n")
        self._into.flush()


@contextmanager
def connected(plan: Plan) -> Iterator[Load]:
    """A generator for the time of the block."""
    command = [sys.executable, "-m", "bench.generator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        load = Load(process, process.stdin, process.stdout)
        try:
            load.begin(plan)
            yield load
        finally:
            process.terminate()
