"""Users (spec §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.user_service_pb2 import (
    BatchCreateUsersRequest,
    BatchGetUsersRequest,
    CreateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListUsersRequest,
)
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from gateway.chatkit import parse, render
from gateway.chatkit.python_list import python_list
from gateway.response import NO_CONTENT, Response, json_response
from services.common.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc
    from roomline.v1.user_pb2 import User
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request

MAX_ID = rule_of(GetUserRequest, "id").max_length


class Users:
    """U1 to U7; the rooms of a user are in `rooms.py`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: UserServiceAsyncStub = UserServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("POST", "/users", self.create),
            ("POST", "/batch_users", self.create_batch),
            ("GET", "/users", self.page),
            ("GET", "/users_by_ids", self.get_by_ids),
            ("GET", "/users/{user_id}", self.get),
            ("PUT", "/users/{user_id}", self.update),
            ("DELETE", "/users/{user_id}", self.delete),
        ]

    async def create(self, request: Request) -> Response:
        """U1."""
        user = parse.new_user(await request.json())
        message = CreateUserRequest(user=user, request_id=request.new_id())
        answer = await request.call(self._stub.CreateUser, message)
        return json_response(render.user(answer.user), 201)

    async def create_batch(self, request: Request) -> Response:
        """U2: all or none, answered in the order of the request."""
        users = parse.new_users(await request.json())
        message = BatchCreateUsersRequest(users=users, request_id=request.new_id())
        answer = await request.call(self._stub.BatchCreateUsers, message)
        return _users_response(answer.users, 201)

    async def get(self, request: Request) -> Response:
        """U3."""
        message = GetUserRequest(id=request.parameters["user_id"])
        answer = await request.call(self._stub.GetUser, message)
        return json_response(render.user(answer.user))

    async def page(self, request: Request) -> Response:
        """U4: oldest first, `from_ts` inclusive."""
        message = ListUsersRequest(page_size=parse.limit(request.query_value("limit")))
        from_ts = request.query_value("from_ts")
        if from_ts is not None:
            message.created_from.CopyFrom(parse.timestamp(from_ts, "from_ts"))
        answer = await request.call(self._stub.ListUsers, message)
        return _users_response(answer.users)

    async def get_by_ids(self, request: Request) -> Response:
        """U5: unknown ids are left out."""
        ids = parse.query_ids(request.query)
        listed = python_list(ids[0]) if len(ids) == 1 else []
        if listed and len(ids[0]) > MAX_ID:  # no user's id
            return _users_response(await self._look_up(request, listed))
        users = await self._look_up(request, ids)  # without ids too: nobody else looks at the token
        if listed and not users:
            users = await self._look_up(request, listed)
        return _users_response(users)

    async def _look_up(self, request: Request, ids: list[str]) -> Iterable[User]:
        answer = await request.call(self._stub.BatchGetUsers, BatchGetUsersRequest(ids=ids))
        return answer.users

    async def update(self, request: Request) -> Response:
        """U6."""
        message = parse.user_update(request.parameters["user_id"], await request.json())
        message.request_id = request.new_id()
        await request.call(self._stub.UpdateUser, message)
        return NO_CONTENT

    async def delete(self, request: Request) -> Response:
        """U7."""
        message = DeleteUserRequest(id=request.parameters["user_id"], request_id=request.new_id())
        await request.call(self._stub.DeleteUser, message)
        return NO_CONTENT


def _users_response(users: Iterable[User], status: int = 200) -> Response:
    return json_response([render.user(user) for user in users], status)
