"""Whether the caller is a member of a conversation: what most calls here demand, and Chatkit's do not (spec §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.room_service_pb2 import GetUserRoomRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from gateway.chat_api.credentials import subject

if TYPE_CHECKING:
    import grpc
    from roomline.v1.room_pb2 import UserRoom
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

    from gateway.request import Request


class Membership:
    """Asks with the client's own token."""

    def __init__(self, message: grpc.aio.Channel) -> None:
        self._stub: RoomServiceAsyncStub = RoomServiceStub(message)

    async def require(self, request: Request, cid: str) -> UserRoom:
        """The conversation as the caller sees it. Raises what GetUserRoom does if he is no member."""
        message = GetUserRoomRequest(user_id=subject(request), room_uid=cid)
        answer = await request.call(self._stub.GetUserRoom, message)
        return answer.room
