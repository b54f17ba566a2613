"""Roles, and who has them: `chatkit_authorizer` (spec §7). For server tokens only, as the services see to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.access_service_pb2 import (
    CreateRoleRequest,
    DeleteRoleRequest,
    GetRoleRequest,
    ListRolesRequest,
    ListUserRolesRequest,
    UnassignRoleRequest,
)
from roomline.v1.access_service_pb2_grpc import AccessServiceStub
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chatkit import parse, parse_roles, render
from gateway.chatkit.endpoint import TRUSTED_BYTES
from gateway.response import CREATED, NO_CONTENT, Response, json_response
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    import grpc
    from roomline.v1.access_service_pb2_grpc import AccessServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request


class Roles:
    """A1 to A8."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: AccessServiceAsyncStub = AccessServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("POST", "/roles", self.create),
            ("GET", "/roles", self.all),
            ("DELETE", "/roles/{role_name}/scope/{scope}", self.delete),
            ("PUT", "/users/{user_id}/roles", self.assign),
            ("GET", "/users/{user_id}/roles", self.of_user),
            ("DELETE", "/users/{user_id}/roles", self.unassign),
            ("GET", "/roles/{role_name}/scope/{scope}/permissions", self.permissions),
            ("PUT", "/roles/{role_name}/scope/{scope}/permissions", self.change_permissions),
        ]

    async def create(self, request: Request) -> Response:
        """A1: an empty body, unlike every other 201."""
        message = CreateRoleRequest(role=parse_roles.new_role(await request.json()), request_id=request.new_id())
        await request.call(self._stub.CreateRole, message)
        return CREATED

    async def all(self, request: Request) -> Response:
        """A2: without the built-in ones."""
        answer = await request.call(self._stub.ListRoles, ListRolesRequest())
        return json_response([render.role(role) for role in answer.roles])

    async def delete(self, request: Request) -> Response:
        """A3: fine if there is no such role."""
        message = DeleteRoleRequest(
            name=request.parameters["role_name"],
            scope=parse_roles.path_scope(request.parameters["scope"]),
            request_id=request.new_id(),
        )
        await request.call(self._stub.DeleteRole, message)
        return NO_CONTENT

    async def assign(self, request: Request) -> Response:
        """A4: in place of the role that the user had there."""
        request.field_names = {"role_name": "name"}
        message = parse_roles.assignment(request.parameters["user_id"], await request.json())
        message.request_id = request.new_id()
        await request.call(self._stub.AssignRole, message)
        return CREATED

    async def of_user(self, request: Request) -> Response:
        """A5: what was assigned, and nothing else."""
        message = ListUserRolesRequest(user_id=request.parameters["user_id"])
        answer = await request.call(self._stub.ListUserRoles, message)
        return json_response([render.role_assignment(assignment) for assignment in answer.assignments])

    async def unassign(self, request: Request) -> Response:
        """A6: the room is in the query, or in the body as the Python SDK sends it."""
        room_id = request.query_value("room_id")
        if room_id is None:
            # No service has seen the token yet, and no room's id needs more.
            if len(await request.body()) > TRUSTED_BYTES:
                raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=TRUSTED_BYTES)
            room_id = parse_roles.room_of(await request.json())
        message = UnassignRoleRequest(
            user_id=request.parameters["user_id"],
            room_id=None if room_id is None else parse.query_text(room_id, "room_id"),
            request_id=request.new_id(),
        )
        await request.call(self._stub.UnassignRole, message)
        return NO_CONTENT

    async def permissions(self, request: Request) -> Response:
        """A7."""
        message = GetRoleRequest(
            name=request.parameters["role_name"], scope=parse_roles.path_scope(request.parameters["scope"])
        )
        answer = await request.call(self._stub.GetRole, message)
        return json_response(list(answer.role.permissions))

    async def change_permissions(self, request: Request) -> Response:
        """A8: what is added comes last, the rest keeps its order."""
        message = parse_roles.permission_change(await request.json())
        message.name = request.parameters["role_name"]
        message.scope = parse_roles.path_scope(request.parameters["scope"])
        message.request_id = request.new_id()
        await request.call(self._stub.UpdateRolePermissions, message)
        return NO_CONTENT
