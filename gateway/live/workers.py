"""What works for an instance as long as somebody needs it, and a while longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

LINGER_SECONDS = 30.0
"""How long a worker goes on though nobody needs it: clients that lost their sockets come back."""


class Worker(Protocol):
    """Something that works for an instance."""

    async def run(self) -> None:
        """Works until cancelled."""


W = TypeVar("W", bound=Worker)


@dataclass
class _Running(Generic[W]):
    worker: W
    work: asyncio.Task[None]
    lingering: asyncio.TimerHandle | None = None

    def stay(self) -> None:
        if self.lingering is not None:
            self.lingering.cancel()
            self.lingering = None


class Workers(Generic[W]):
    """One worker for each instance in use, which `new` makes. Close it in the end."""

    def __init__(self, new: Callable[[str], W], linger_seconds: float) -> None:
        self._new = new
        self._linger_seconds = linger_seconds
        self._running: dict[str, _Running[W]] = {}

    @property
    def instance_ids(self) -> set[str]:
        """The instances that have a worker."""
        return set(self._running)

    def need(self, instance_id: str) -> W:
        """The instance's worker, which works on until it is spared."""
        running = self._running.get(instance_id)
        if running is None:
            worker = self._new(instance_id)
            running = self._running[instance_id] = _Running(worker, asyncio.create_task(worker.run()))
        running.stay()
        return running.worker

    def spare(self, instance_id: str) -> None:
        """Nobody needs the instance's worker any more, if there is one: in a while it ends."""
        running = self._running.get(instance_id)
        if running is not None:
            running.stay()
            loop = asyncio.get_running_loop()
            running.lingering = loop.call_later(self._linger_seconds, self._drop, instance_id)

    async def close(self) -> None:
        """Ends all work."""
        works = [running.work for running in self._running.values()]
        for instance_id in self.instance_ids:
            self._drop(instance_id)
        await asyncio.gather(*works, return_exceptions=True)

    def _drop(self, instance_id: str) -> None:
        running = self._running.pop(instance_id)
        running.stay()
        running.work.cancel()
