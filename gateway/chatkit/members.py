"""The members of rooms (spec §4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.room_service_pb2 import AddMembersRequest, JoinRoomRequest, LeaveRoomRequest, RemoveMembersRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from gateway.chatkit import parse
from gateway.response import NO_CONTENT, Response, json_response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

    from gateway.chatkit.room_dialect import RoomDialect
    from gateway.chatkit.routes import Routes
    from gateway.request import Request


class Members:
    """R6 to R9."""

    def __init__(self, channel: grpc.aio.Channel, dialect: RoomDialect) -> None:
        self._stub: RoomServiceAsyncStub = RoomServiceStub(channel)
        self._dialect = dialect

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("POST", "/users/{user_id}/rooms/{room_id}/join", self.join),
            ("POST", "/users/{user_id}/rooms/{room_id}/leave", self.leave),
            ("PUT", "/rooms/{room_id}/users/add", self.add),
            ("PUT", "/rooms/{room_id}/users/remove", self.remove),
        ]

    async def join(self, request: Request) -> Response:
        """R6: a member just gets the room."""
        message = JoinRoomRequest(
            room_id=request.parameters["room_id"],
            user_id=request.parameters["user_id"],
            request_id=request.new_id(),
        )
        answer = await request.call(self._stub.JoinRoom, message)
        return json_response(self._dialect.entered(answer.room), 201)

    async def leave(self, request: Request) -> Response:
        """R7."""
        message = LeaveRoomRequest(
            room_id=request.parameters["room_id"],
            user_id=request.parameters["user_id"],
            request_id=request.new_id(),
        )
        await request.call(self._stub.LeaveRoom, message)
        return NO_CONTENT

    async def add(self, request: Request) -> Response:
        """R8."""
        message = AddMembersRequest(
            room_id=request.parameters["room_id"],
            user_ids=parse.user_ids(await request.json()),
            request_id=request.new_id(),
        )
        await request.call(self._stub.AddMembers, message)
        return NO_CONTENT

    async def remove(self, request: Request) -> Response:
        """R9."""
        message = RemoveMembersRequest(
            room_id=request.parameters["room_id"],
            user_ids=parse.user_ids(await request.json()),
            request_id=request.new_id(),
        )
        await request.call(self._stub.RemoveMembers, message)
        return NO_CONTENT
