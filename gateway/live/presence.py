"""Presence in all instances that somebody here is in, or looks at (spec §9.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.live.presence_handle import Handle
from gateway.live.presence_track import PresenceTrack
from gateway.live.workers import LINGER_SECONDS, Workers
from services.common.backoff import Backoff

if TYPE_CHECKING:
    from roomline.v1.presence_pb2 import PresenceState
    from roomline.v1.presence_service_pb2_grpc import PresenceServiceAsyncStub

    from services.common.errors import RoomlineError
    from services.common.tokens import ServiceTokens

BACKOFF = Backoff(first=0.1, longest=1.0)
"""Short: a stream that is back within the grace period is one that was never gone."""


class Presence:
    """One `PresenceTrack` for each instance in use. Close it in the end.

    `grace_seconds` is that of the user service, `open_seconds` how long that may take to answer.
    """

    def __init__(
        self,
        stub: PresenceServiceAsyncStub,
        tokens: ServiceTokens,
        *,
        grace_seconds: float,
        open_seconds: float,
        linger_seconds: float = LINGER_SECONDS,
        backoff: Backoff = BACKOFF,
    ) -> None:
        def new(instance_id: str) -> PresenceTrack:
            return PresenceTrack(
                instance_id,
                stub,
                tokens,
                grace_seconds=grace_seconds,
                backoff=backoff,
                emptied=lambda: self._tracks.spare(instance_id),
            )

        self._tracks = Workers(new, linger_seconds)
        self._open_seconds = open_seconds

    @property
    def instance_ids(self) -> set[str]:
        """The instances that have a stream."""
        return self._tracks.instance_ids

    async def register(self, instance_id: str, user_id: str, ended: Callable[[RoomlineError], None]) -> Handle:
        """Has a user online until the handle is closed; returns when it is, and those know who watch the user here.

        `ended` is called later on if the instance was reset. Raises SERVICE_UNAVAILABLE, OVERLOADED, or USER_NOT_FOUND
        after a reset.
        """
        handle = self._tracks.need(instance_id).register(user_id, ended)
        await handle.opened(self._open_seconds)
        return handle

    async def watch(
        self,
        instance_id: str,
        user_id: str,
        callback: Callable[[PresenceState.ValueType], None],
        ended: Callable[[RoomlineError], None],
    ) -> Handle:
        """Calls back with a user's state, first before it returns and then whenever it has changed.

        Until the handle is closed. `ended` and what is raised are as with `register`.
        """
        handle = self._tracks.need(instance_id).watch(user_id, callback, ended)
        await handle.opened(self._open_seconds)
        return handle

    async def close(self) -> None:
        """Ends all streams: whoever is online by this process leaves."""
        await self._tracks.close()
