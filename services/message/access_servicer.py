"""AccessService: see proto/roomline/v1/access_service.proto."""

from roomline.v1 import access_service_pb2 as pb
from roomline.v1.access_service_pb2_grpc import AccessServiceServicer

from services.common.call import Caller, current_caller
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.rules import required
from services.common.users import Users
from services.message.access_store import AccessStore, RoleStore
from services.message.store import RequestStore


class LocalAuthorizer:
    """The `Authorizer` of the message service: it asks its own store."""

    def __init__(self, store: AccessStore) -> None:
        self._store = store

    async def allowed(self, caller: Caller, permission: str, room_id: str) -> bool:
        """See `Authorizer`."""
        return await self._store.permits(caller.instance_id, caller.user_id, permission, room_id)


class AccessServicer(AccessServiceServicer):
    """Who may do what."""

    def __init__(
        self, store: AccessStore, roles: RoleStore, requests: RequestStore, users: Users, clock: Clock
    ) -> None:
        self._store = store
        self._roles = roles
        self._requests = requests
        self._users = users
        self._clock = clock

    async def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        return await self._store.check(current_caller().instance_id, request)

    async def CreateRole(self, request: pb.CreateRoleRequest, context: Context) -> pb.CreateRoleResponse:
        return await self._roles.create(current_caller(), request)

    async def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        return pb.ListRolesResponse(roles=await self._roles.all(current_caller().instance_id))

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> pb.DeleteRoleResponse:
        return await self._roles.delete(current_caller(), request)

    async def GetRole(self, request: pb.GetRoleRequest, context: Context) -> pb.GetRoleResponse:
        role = await self._roles.get(current_caller().instance_id, request.name, request.scope)
        return pb.GetRoleResponse(role=role)

    async def UpdateRolePermissions(
        self, request: pb.UpdateRolePermissionsRequest, context: Context
    ) -> pb.UpdateRolePermissionsResponse:
        return await self._roles.update(current_caller(), request)

    async def AssignRole(self, request: pb.AssignRoleRequest, context: Context) -> pb.AssignRoleResponse:
        caller = current_caller()
        _check_room(request)
        first = await self._requests.recall(caller, request, pb.AssignRoleResponse)
        if first is not None:
            return first
        asked_at = self._clock()
        await self._users.require(caller.instance_id, request.user_id)
        return await self._store.assign(caller, request, asked_at)

    async def UnassignRole(self, request: pb.UnassignRoleRequest, context: Context) -> pb.UnassignRoleResponse:
        _check_room(request)
        return await self._store.unassign(current_caller(), request)

    async def ListUserRoles(self, request: pb.ListUserRolesRequest, context: Context) -> pb.ListUserRolesResponse:
        assignments = await self._store.assignments(current_caller().instance_id, request.user_id)
        return pb.ListUserRolesResponse(assignments=assignments)


def _check_room(request: pb.AssignRoleRequest | pb.UnassignRoleRequest) -> None:
    """Raises FIELD_REQUIRED for a room that is named without a name: it must not turn into a role for all rooms."""
    if request.HasField("room_id") and not request.room_id:
        raise required("room_id")
