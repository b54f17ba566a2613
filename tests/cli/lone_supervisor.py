"""A supervisor of two dummies in a process of its own, to be killed: `python -m tests.cli.lone_supervisor FOLDER`."""

import asyncio
import os
import sys
from pathlib import Path

from services.supervisor.child import Program
from services.supervisor.session import Session
from services.supervisor.supervisor import Supervisor


def dummy(name: str, file: Path, mode: str = "serve") -> Program:
    """A dummy program that writes its pids to the file."""
    return Program(name, (sys.executable, "-m", "tests.cli.dummy", str(file), mode), dict(os.environ))


async def _serve(supervisor: Supervisor) -> None:
    await asyncio.Event().wait()


def main() -> None:
    """Runs until a signal comes."""
    folder, mode = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "serve"

    async def run() -> int:
        stages = [[dummy("one", folder / "one", mode)], [dummy("two", folder / "two", mode)]]
        return await Session(stages, grace_seconds=30).run(_serve)

    sys.exit(asyncio.run(run()))


if __name__ == "__main__":
    main()
