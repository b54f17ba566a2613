"""Read cursors (spec §8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import (
    GetCursorRequest,
    ListRoomCursorsRequest,
    ListUserCursorsRequest,
    SetCursorRequest,
)
from roomline.v1.cursor_service_pb2_grpc import CursorServiceStub

from gateway.chatkit import parse, render
from gateway.response import Response, json_response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request


class Cursors:
    """C1 to C4. The only type of cursor is 0, the read cursor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: CursorServiceAsyncStub = CursorServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("PUT", "/cursors/0/rooms/{room_id}/users/{user_id}", self.put),
            ("GET", "/cursors/0/rooms/{room_id}/users/{user_id}", self.get),
            ("GET", "/cursors/0/users/{user_id}", self.of_user),
            ("GET", "/cursors/0/rooms/{room_id}", self.of_room),
        ]

    async def put(self, request: Request) -> Response:
        """C1: answers with an empty object."""
        message = SetCursorRequest(
            user_id=request.parameters["user_id"],
            room_id=request.parameters["room_id"],
            position=parse.position(await request.json()),
        )
        await request.call(self._stub.SetCursor, message)
        return json_response({}, 201)

    async def get(self, request: Request) -> Response:
        """C2: `null` if there is none."""
        message = GetCursorRequest(user_id=request.parameters["user_id"], room_id=request.parameters["room_id"])
        answer = await request.call(self._stub.GetCursor, message)
        return json_response(render.cursor(answer.cursor) if answer.HasField("cursor") else None)

    async def of_user(self, request: Request) -> Response:
        """C3."""
        message = ListUserCursorsRequest(user_id=request.parameters["user_id"])
        answer = await request.call(self._stub.ListUserCursors, message)
        return _cursors_response(answer.cursors)

    async def of_room(self, request: Request) -> Response:
        """C4."""
        message = ListRoomCursorsRequest(room_id=request.parameters["room_id"])
        answer = await request.call(self._stub.ListRoomCursors, message)
        return _cursors_response(answer.cursors)


def _cursors_response(cursors: Iterable[Cursor]) -> Response:
    return json_response([render.cursor(cursor) for cursor in cursors])
