"""Calls that are repeated until a server answers, wherever it is by then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Self, TypedDict, TypeVar

import grpc
from roomline.v1.access_service_pb2_grpc import AccessServiceStub
from roomline.v1.cursor_service_pb2_grpc import CursorServiceStub
from roomline.v1.message_service_pb2_grpc import MessageServiceStub
from roomline.v1.room_service_pb2_grpc import RoomServiceStub
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from services.common.pipe.limits import RECONNECT_OPTIONS
from tests.faults.lobby import bearer
from tests.support.server import Running

if TYPE_CHECKING:
    from roomline.v1.access_service_pb2_grpc import AccessServiceAsyncStub
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

Where = Callable[[], Running]
"""Where the server is now."""

TRY_SECONDS = 1.0
TRY_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}

T = TypeVar("T")


class Stubs(NamedTuple):
    """The services that tests call."""

    users: UserServiceAsyncStub
    rooms: RoomServiceAsyncStub
    messages: MessageServiceAsyncStub
    cursors: CursorServiceAsyncStub
    access: AccessServiceAsyncStub


class Try(TypedDict):
    """The options of one try."""

    metadata: tuple[tuple[str, str], ...]
    timeout: float
    wait_for_ready: bool


class Reach:
    """Plain channels to a server that may be killed, and may move. `user_id` is who calls; a server if empty."""

    def __init__(self, where: Where, user_id: str = "") -> None:
        self._where = where
        self._user_id = user_id
        self._addresses: dict[str, str] = {}
        self._channels: list[grpc.aio.Channel] = []
        self._stubs: Stubs

    async def __call__(self, call: Callable[[Stubs, Try], Awaitable[T]]) -> T:
        """Makes the call until it is answered or refused for good; without a `request_id` it may be done twice."""
        while True:
            running = self._where()
            if self._addresses != running.grpc:
                await self._connect(running.grpc)
            authorization = bearer(running, self._user_id, su=not self._user_id)
            options = Try(metadata=(("authorization", authorization),), timeout=TRY_SECONDS, wait_for_ready=True)
            try:
                return await call(self._stubs, options)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRY_AGAIN:
                    raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    async def _connect(self, addresses: dict[str, str]) -> None:
        await self.__aexit__()
        user, message = self._channels = [
            grpc.aio.insecure_channel(addresses[name], options=RECONNECT_OPTIONS) for name in ("user", "message")
        ]
        self._addresses = addresses
        self._stubs = Stubs(
            UserServiceStub(user),
            RoomServiceStub(message),
            MessageServiceStub(message),
            CursorServiceStub(message),
            AccessServiceStub(message),
        )
