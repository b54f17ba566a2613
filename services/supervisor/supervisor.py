"""Keeps several processes running, and ends them together."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Sequence

from services.common.parent import GRACE_MARGIN_SECONDS, PARENT_PIPE_VARIABLE
from services.supervisor.child import Child, Program


class Supervisor:
    """Runs programs, in stages: all start at once, the last stage stops first.

    Every child inherits the read end of a pipe whose write end only this process has: it reaches its end when this
    process dies, however it dies. It also inherits the descriptors in `inherited`. Create it inside a running loop.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Program]],
        *,
        grace_seconds: float,
        inherited: Sequence[int] = (),
    ) -> None:
        self._grace_seconds = grace_seconds
        self.started: asyncio.Queue[str] = asyncio.Queue()
        """The name of every child that was started, each time."""
        self._read_end, self._write_end = os.pipe()
        parent = {PARENT_PIPE_VARIABLE: str(self._read_end)}
        self._stages = [
            [
                Child(
                    dataclasses.replace(program, environment={**program.environment, **parent}),
                    (self._read_end, *inherited),
                    self.started.put_nowait,
                )
                for program in stage
            ]
            for stage in stages
        ]
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def children(self) -> dict[str, Child]:
        """The children by name."""
        return {child.name: child for stage in self._stages for child in stage}

    def start(self) -> None:
        """Starts them all."""
        self._tasks = {name: asyncio.create_task(child.run()) for name, child in self.children.items()}

    async def stop(self) -> None:
        """Ends them all, each stage within the grace time; returns when none is left."""
        for stage in reversed(self._stages):
            await self._stop_stage(stage)
        os.close(self._read_end)
        os.close(self._write_end)

    def kill(self) -> None:
        """Ends them all now. Call `stop` as well, to wait for the end."""
        for child in self.children.values():
            child.kill()

    async def wait(self) -> None:
        """Runs until the supervision itself fails, which is a bug, and raises that."""
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def _stop_stage(self, stage: Sequence[Child]) -> None:
        tasks = {self._tasks[child.name] for child in stage if child.name in self._tasks}
        if not tasks:
            return
        for child in stage:
            child.stop()
        _, late = await asyncio.wait(tasks, timeout=self._grace_seconds + GRACE_MARGIN_SECONDS)
        if late:
            for child in stage:
                child.kill()
        await asyncio.wait(tasks)
