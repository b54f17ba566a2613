"""Rooms (spec §4); their members are in `members.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.room_service_pb2 import (
    DeleteRoomRequest,
    GetRoomRequest,
    ListJoinableRoomsRequest,
    ListRoomsRequest,
    ListUserRoomsRequest,
)
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from gateway.chatkit import parse
from gateway.chatkit.room_dialect import SPLIT, RoomDialect
from gateway.response import NO_CONTENT, Response, json_response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request

PAGE_SIZE = 100
"""Rooms in one page of a list (spec §4.7)."""


class Rooms:
    """R1 to R5, and the rooms of a user (U8, U9)."""

    def __init__(self, channel: grpc.aio.Channel, dialect: RoomDialect) -> None:
        self._stub: RoomServiceAsyncStub = RoomServiceStub(channel)
        self._dialect = dialect

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        routes: Routes = [
            ("POST", "/rooms", self.create),
            ("GET", "/rooms", self.page),
            ("GET", "/rooms/{room_id}", self.get),
            ("PUT", "/rooms/{room_id}", self.update),
            ("DELETE", "/rooms/{room_id}", self.delete),
            ("GET", "/users/{user_id}/rooms", self.of_user),
        ]
        if self._dialect is SPLIT:
            routes.append(("GET", "/users/{user_id}/joinable_rooms", self.joinable))
        return routes

    async def create(self, request: Request) -> Response:
        """R1: the creator is the token's user."""
        message = parse.new_room(await request.json())
        message.request_id = request.new_id()
        answer = await request.call(self._stub.CreateRoom, message)
        return json_response(self._dialect.entered(answer.room), 201)

    async def page(self, request: Request) -> Response:
        """R3: by the bytes of the ids, without members."""
        message = ListRoomsRequest(
            page_size=PAGE_SIZE,
            after_room_id=parse.query_text(request.query_value("from_id"), "from_id"),
            include_private=parse.flag(request.query_value("include_private")),
        )
        answer = await request.call(self._stub.ListRooms, message)
        return json_response([self._dialect.listed(room) for room in answer.rooms])

    async def get(self, request: Request) -> Response:
        """R2."""
        message = GetRoomRequest(room_id=request.parameters["room_id"])
        answer = await request.call(self._stub.GetRoom, message)
        return json_response(self._dialect.found(answer.room))

    async def update(self, request: Request) -> Response:
        """R4."""
        message = parse.room_update(request.parameters["room_id"], await request.json())
        message.request_id = request.new_id()
        await request.call(self._stub.UpdateRoom, message)
        return NO_CONTENT

    async def delete(self, request: Request) -> Response:
        """R5."""
        message = DeleteRoomRequest(room_id=request.parameters["room_id"], request_id=request.new_id())
        await request.call(self._stub.DeleteRoom, message)
        return NO_CONTENT

    async def of_user(self, request: Request) -> Response:
        """U8: the rooms that the user is in, or with `joinable` the public ones that it is not in (spec §3.5)."""
        if parse.flag(request.query_value("joinable")):
            return await self.joinable(request)
        message = ListUserRoomsRequest(user_id=request.parameters["user_id"])
        answer = await request.call(self._stub.ListUserRooms, message)
        return json_response(self._dialect.of_user(answer.rooms))

    async def joinable(self, request: Request) -> Response:
        """U9: the public rooms that the user is not in."""
        message = ListJoinableRoomsRequest(user_id=request.parameters["user_id"])
        answer = await request.call(self._stub.ListJoinableRooms, message)
        return json_response(self._dialect.joinable(answer.rooms))
