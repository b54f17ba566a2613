"""Notifications that cannot go on (spec §10.12)."""

from __future__ import annotations

import asyncio

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.room_pb2 import Room, UserRoom

from gateway.chatkit.live_notifications import _Names, _Notifier
from gateway.live.change import Change, ChangeKind
from gateway.live.happening import Happening
from gateway.live.own_calls import OwnCalls
from gateway.live.room_state import RoomState
from services.common.errors import RoomlineError
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from tests.gateway.backend import Backend
from tests.gateway.live.script import SECONDS, sent


class Ended:
    """An outlet that waits for the end."""

    def __init__(self) -> None:
        self.error: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def open(self) -> None:
        """See `Outlet`."""

    def event(self, tail: bytes) -> None:
        raise AssertionError(tail)

    async def in_turn(self) -> None:
        """See `Outlet`."""

    def end(self, error: BaseException | None = None) -> None:
        self.error.set_result(error)


async def test_an_error_that_nobody_expects_ends_the_subscription(backend: Backend) -> None:
    tokens = ServiceTokens(SERVICE_ISSUER, "a-secret-of-the-services", "gateway")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}")
    own = OwnCalls(channel, channel, tokens, SECONDS)
    await channel.close()  # calls on it fail, and not as calls do
    outlet = Ended()
    notifier = _Notifier(outlet, "alice", _Names(own, "one"))
    room = RoomState.of(UserRoom(room=Room(id="r", private=True)), 1)
    notifier.take(Change(ChangeKind.MESSAGE_SENT, Happening(sent(2)), "r", room))
    async with asyncio.timeout(SECONDS):
        error = await outlet.error
    assert isinstance(error, RoomlineError)
    assert error.reason == ErrorReason.ERROR_REASON_INTERNAL
