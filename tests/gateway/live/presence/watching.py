"""What gateways do with presence, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from roomline.v1.presence_pb2 import PresenceState
from roomline.v1.presence_service_pb2 import BatchGetPresenceRequest
from roomline.v1.presence_service_pb2_grpc import PresenceServiceStub

from gateway.live.presence import Presence
from gateway.live.presence_handle import Handle
from services.common.errors import RoomlineError
from services.user.server import build_server
from tests.support.account_parts import CHEAP_HASHER, pooled_key
from tests.support.clock import ManualTimers
from tests.support.cluster import Cluster

GRACE = 2.5
"""The default of the setting."""
SECONDS = 30.0
"""How long anything may take."""

OpenGateway = Callable[..., AbstractAsyncContextManager[Presence]]
"""Makes one gateway's presence, on a connection of its own."""


class Watcher:
    """What a subscriber to a user's presence is told."""

    def __init__(self, presence: Presence, user_id: str) -> None:
        self._presence = presence
        self._user_id = user_id
        self.states: asyncio.Queue[str] = asyncio.Queue()
        self.errors: asyncio.Queue[RoomlineError] = asyncio.Queue()
        self.handle: Handle | None = None

    async def open(self) -> None:
        """Begins to watch; the first state is there when it returns."""
        self.handle = await self._presence.watch("one", self._user_id, self._tell, self.errors.put_nowait)
        assert not self.states.empty()

    async def next(self) -> str:
        """Waits for the next state."""
        async with asyncio.timeout(SECONDS):
            return await self.states.get()

    def told(self) -> list[str]:
        """The states since the last look."""
        return [self.states.get_nowait() for _ in range(self.states.qsize())]

    def close(self) -> None:
        """The subscriber leaves."""
        assert self.handle is not None
        self.handle.close()

    def _tell(self, state: PresenceState.ValueType) -> None:
        self.states.put_nowait(PresenceState.Name(state).removeprefix("PRESENCE_STATE_"))


async def watching(presence: Presence, user_id: str) -> Watcher:
    watcher = Watcher(presence, user_id)
    await watcher.open()
    return watcher


async def register(presence: Presence, user_id: str = "ann") -> Handle:
    return await presence.register("one", user_id, nothing)


async def is_online(cluster: Cluster, user_id: str) -> bool:
    """Whether the user service has the user online."""
    stub = PresenceServiceStub(cluster.user_channel)
    answer = await stub.BatchGetPresence(BatchGetPresenceRequest(user_ids=[user_id]), metadata=cluster.as_server())
    return answer.presences[0].state == PresenceState.PRESENCE_STATE_ONLINE


async def start_anew(cluster: Cluster, timers: ManualTimers) -> None:
    """Has another user service take the place of the one that was stopped; it knows of nobody."""
    cluster.user_server = build_server(cluster.settings, hasher=CHEAP_HASHER, new_key=pooled_key, later=timers)
    await cluster.user_server.start(cluster.settings.user_address)


def nothing(*_: object) -> None:
    """Takes what is of no interest."""
