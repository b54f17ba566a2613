"""Runs an SDK's script of cases and reads what it reports.

All scripts write one JSON object a line: `{"case": name, "error": text or null}`.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

RUN_SECONDS = 90.0
PROXY_VARIABLES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}


@dataclass(frozen=True)
class Outcomes:
    """The cases that one run of a script reported."""

    errors: Mapping[str, str | None]
    """Case → what went wrong, None if nothing did."""
    output: str
    """What the script printed; it explains a case that was never reported."""

    @classmethod
    def of(
        cls, command: Sequence[str], report: Path, *, cwd: Path, env: Mapping[str, str], seconds: float = RUN_SECONDS
    ) -> Self:
        """Run the command, which writes the report, and read that, also after a crash or a time-out.

        `env` comes on top of this process's environment, from which all proxy settings are taken out.
        """
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in PROXY_VARIABLES}
        log = report.with_suffix(".log")
        with log.open("wb") as stream:
            try:
                done = subprocess.run(
                    command,
                    cwd=cwd,
                    env={**inherited, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    timeout=seconds,
                    check=False,
                )
                ending = f"exit code {done.returncode}"
            except subprocess.TimeoutExpired:
                ending = f"stopped after {seconds:.0f} s"
        lines = report.read_text().splitlines() if report.exists() else []
        errors = {reported["case"]: reported["error"] for reported in map(json.loads, lines)}
        return cls(errors, f"{log.read_text(errors='replace')}\n({ending})")

    def check(self, case: str) -> None:
        """Fails the running test with the script's own account if the case failed or is missing."""
        if case not in self.errors:
            pytest.fail(f"the script did not report the case {case!r}:\n{self.output}", pytrace=False)
        error = self.errors[case]
        if error is not None:
            pytest.fail(error, pytrace=False)
