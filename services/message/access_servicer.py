"""AccessService: see proto/roomline/v1/access_service.proto. The built-in roles only; roles of one's own come later."""

from roomline.v1 import access_service_pb2 as pb
from roomline.v1.access_service_pb2_grpc import AccessServiceServicer

from services.common.call import Caller, current_caller
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.server import not_served
from services.message.store import AccessStore
from services.message.users import Users


class LocalAuthorizer:
    """The `Authorizer` of the message service: it asks its own store."""

    def __init__(self, store: AccessStore) -> None:
        self._store = store

    async def allowed(self, caller: Caller, permission: str, room_id: str) -> bool:
        """See `Authorizer`."""
        return await self._store.permits(caller.instance_id, caller.user_id, permission, room_id)


class AccessServicer(AccessServiceServicer):
    """Who may do what."""

    def __init__(self, store: AccessStore, users: Users, clock: Clock) -> None:
        self._store = store
        self._users = users
        self._clock = clock

    async def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        return await self._store.check(current_caller().instance_id, request)

    async def AssignRole(self, request: pb.AssignRoleRequest, context: Context) -> pb.AssignRoleResponse:
        caller = current_caller()
        asked_at = self._clock()
        await self._users.require(caller.instance_id, request.user_id)
        return await self._store.assign(caller, request, asked_at)

    async def UnassignRole(self, request: pb.UnassignRoleRequest, context: Context) -> pb.UnassignRoleResponse:
        return await self._store.unassign(current_caller(), request)

    async def ListUserRoles(self, request: pb.ListUserRolesRequest, context: Context) -> pb.ListUserRolesResponse:
        assignments = await self._store.assignments(current_caller().instance_id, request.user_id)
        return pb.ListUserRolesResponse(assignments=assignments)

    @not_served
    async def CreateRole(self, request: pb.CreateRoleRequest, context: Context) -> pb.CreateRoleResponse:
        raise NotImplementedError

    @not_served
    async def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        raise NotImplementedError

    @not_served
    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> pb.DeleteRoleResponse:
        raise NotImplementedError

    @not_served
    async def GetRole(self, request: pb.GetRoleRequest, context: Context) -> pb.GetRoleResponse:
        raise NotImplementedError

    @not_served
    async def UpdateRolePermissions(
        self, request: pb.UpdateRolePermissionsRequest, context: Context
    ) -> pb.UpdateRolePermissionsResponse:
        raise NotImplementedError
