"""All instances whose events somebody here follows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.live.instance_watch import InstanceWatch
from gateway.live.workers import LINGER_SECONDS, Workers
from services.common.backoff import Backoff
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub

    from services.common.tokens import ServiceTokens

BACKOFF = Backoff(first=0.1, longest=2.0)


class Hub:
    """One `InstanceWatch` for each instance in use. Close it in the end."""

    def __init__(
        self,
        events: EventServiceAsyncStub,
        tokens: ServiceTokens,
        linger_seconds: float = LINGER_SECONDS,
        backoff: Backoff = BACKOFF,
    ) -> None:
        def new(instance_id: str) -> InstanceWatch:
            return InstanceWatch(instance_id, events, tokens, functools.partial(self._end, instance_id), backoff)

        self._watches = Workers(new, linger_seconds)
        self._ends: dict[str, dict[Callable[[RoomlineError], None], None]] = {}
        """By instance, whom to tell that all is over. As many keep it watched."""

    @property
    def instance_ids(self) -> set[str]:
        """The instances that are watched."""
        return self._watches.instance_ids

    def enter(self, instance_id: str, end: Callable[[RoomlineError], None]) -> InstanceWatch:
        """Keeps the instance watched until `leave`. `end` is called, with the reason, when all that is over."""
        self._ends.setdefault(instance_id, {})[end] = None
        return self._watches.need(instance_id)

    def leave(self, instance_id: str, end: Callable[[RoomlineError], None]) -> None:
        """Undoes `enter`; fine if that is undone already."""
        ends = self._ends.get(instance_id, {})
        if end not in ends:
            return
        del ends[end]
        if not ends:
            del self._ends[instance_id]
            self._watches.spare(instance_id)

    async def close(self) -> None:
        """Watches nothing more."""
        await self._watches.close()

    def _end(self, instance_id: str, error: RoomlineError) -> None:
        for end in tuple(self._ends.get(instance_id, ())):
            end(error)
