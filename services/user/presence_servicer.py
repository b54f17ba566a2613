"""Serves `PresenceService`: who is online (spec §9.1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from roomline.v1 import presence_service_pb2_grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.presence_service_pb2 import (
    BatchGetPresenceRequest,
    BatchGetPresenceResponse,
    CheckRegistrationRequest,
    CheckRegistrationResponse,
    TrackRequest,
    TrackResponse,
)

from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.interceptors import Context
from services.user.presence import InstancePresence, PresenceBoard, PresenceStream
from services.user.store import UserStore

BATCH = 1000
"""How many states an answer of `Track` has at most."""


class PresenceServicer(presence_service_pb2_grpc.PresenceServiceServicer):
    """Serves `PresenceService`."""

    def __init__(self, board: PresenceBoard, users: UserStore) -> None:
        self._board = board
        self._users = users

    async def Track(self, requests: AsyncIterator[TrackRequest], context: Context) -> AsyncIterator[TrackResponse]:
        presence = self._board.of(current_caller().instance_id)
        stream = presence.open()
        taking = asyncio.create_task(_take(requests, presence, stream))
        taking.add_done_callback(lambda _: stream.wake.set())
        try:
            while not stream.was_reset:
                await stream.wake.wait()
                stream.wake.clear()
                if self._board.ended:
                    raise RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
                for news in _news(presence, stream):
                    yield news
                if taking.done():
                    taking.result()  # raises what was wrong with the requests
                    return
            yield TrackResponse(reset=True)
        finally:
            taking.cancel()
            await asyncio.wait((taking,))
            presence.close(stream)

    async def CheckRegistration(self, request: CheckRegistrationRequest, context: Context) -> CheckRegistrationResponse:
        if not await self._users.get(current_caller().instance_id, [request.user_id]):
            raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
        return CheckRegistrationResponse()

    async def BatchGetPresence(self, request: BatchGetPresenceRequest, context: Context) -> BatchGetPresenceResponse:
        presence = self._board.of(current_caller().instance_id)
        return BatchGetPresenceResponse(presences=[presence.state(user_id) for user_id in request.user_ids])


async def _take(requests: AsyncIterator[TrackRequest], presence: InstancePresence, stream: PresenceStream) -> None:
    async for request in requests:
        presence.register(stream, request.registered_user_ids)
        presence.unregister(stream, request.unregistered_user_ids)
        presence.watch(stream, request.watched_user_ids)
        presence.unwatch(stream, request.unwatched_user_ids)
        stream.done = max(stream.done, request.sequence)
        stream.wake.set()


def _news(presence: InstancePresence, stream: PresenceStream) -> Iterator[TrackResponse]:
    """What the stream has not been told yet, also what comes in between."""
    while not stream.was_reset and (stream.changed or stream.done > stream.acknowledged):
        presences = presence.news(stream, BATCH)
        acknowledged = stream.acknowledged
        if not stream.changed:  # else what it has done may be among the rest
            stream.acknowledged = stream.done
        if presences or stream.acknowledged > acknowledged:
            yield TrackResponse(presences=presences, done_sequence=stream.acknowledged)
