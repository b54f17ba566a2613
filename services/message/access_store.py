"""What the message service's stores promise about roles, as `store.py` does about the rest."""

from typing import Protocol

from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    AssignRoleResponse,
    CheckRequest,
    CheckResponse,
    CreateRoleRequest,
    CreateRoleResponse,
    DeleteRoleRequest,
    DeleteRoleResponse,
    UnassignRoleRequest,
    UnassignRoleResponse,
    UpdateRolePermissionsRequest,
    UpdateRolePermissionsResponse,
)
from roomline.v1.role_pb2 import Role, RoleAssignment, RoleScope

from services.common.call import Caller


class RoleStore(Protocol):
    """The roles that were created. The built-in ones are none of them."""

    async def create(self, caller: Caller, request: CreateRoleRequest) -> CreateRoleResponse:
        """Adds a role; a permission that stands twice counts once. Raises ROLE_ALREADY_EXISTS."""

    async def all(self, instance_id: str) -> list[Role]:
        """The roles, oldest first."""

    async def get(self, instance_id: str, name: str, scope: RoleScope.ValueType) -> Role:
        """The role. Raises ROLE_NOT_FOUND."""

    async def update(self, caller: Caller, request: UpdateRolePermissionsRequest) -> UpdateRolePermissionsResponse:
        """Removes permissions, then appends those that are not there. Raises ROLE_NOT_FOUND."""

    async def delete(self, caller: Caller, request: DeleteRoleRequest) -> DeleteRoleResponse:
        """Removes the role and takes it from everybody in that scope; fine if there is none."""


class AccessStore(Protocol):
    """Who has which role, and what they permit. A change counts from the next call on."""

    async def permits(self, instance_id: str, user_id: str, permission: str, room_id: str) -> bool:
        """Whether the user's global role, or its role in the room (empty: none), has the permission."""

    async def check(self, instance_id: str, request: CheckRequest) -> CheckResponse:
        """The same, with the room and what the user is in it, from one moment. An empty user id stands for a server."""

    async def assign(self, caller: Caller, request: AssignRoleRequest, asked_at: int) -> AssignRoleResponse:
        """Gives a role that was created in the scope, or a built-in one, in place of the earlier one.

        Raises ROLE_NOT_FOUND, ROOM_NOT_FOUND, USERS_NOT_FOUND (purged).
        """

    async def unassign(self, caller: Caller, request: UnassignRoleRequest) -> UnassignRoleResponse:
        """Takes the role; fine if there is none."""

    async def assignments(self, instance_id: str, user_id: str) -> list[RoleAssignment]:
        """The roles that were assigned, the global one first, then by room."""
