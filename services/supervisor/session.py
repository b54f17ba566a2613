"""The time between start and stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.supervisor.child import Program
from services.supervisor.supervisor import Supervisor

log = structlog.get_logger()

KILLED_EXIT_CODE = 130


class Session:
    """Runs programs until a signal comes, and `serve` beside them.

    The first SIGINT, SIGTERM or SIGHUP stops everything in an orderly way; a SIGINT after that kills.
    """

    def __init__(
        self, stages: Sequence[Sequence[Program]], *, grace_seconds: float, inherited: Sequence[int] = ()
    ) -> None:
        self._stages = stages
        self._grace_seconds = grace_seconds
        self._inherited = inherited
        self._stop = asyncio.Event()
        self._killed = False
        self._supervisor: Supervisor

    async def run(self, serve: Callable[[Supervisor], Awaitable[None]]) -> int:
        """Gives the exit code, once no child is left. What `serve` raises ends everything and is raised here."""
        self._supervisor = Supervisor(self._stages, grace_seconds=self._grace_seconds, inherited=self._inherited)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)
        self._supervisor.start()
        tasks: list[asyncio.Task[object]] = [
            asyncio.ensure_future(work)
            for work in (serve(self._supervisor), self._supervisor.wait(), self._stop.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._supervisor.stop()
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not self._stop.is_set():
                raise outcome
        return KILLED_EXIT_CODE if self._killed else 0

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._stop.is_set():
            log.info("stopping", signal=number.name)
            self._stop.set()
        elif number == signal.SIGINT:
            self._killed = True
            self._supervisor.kill()
