"""Chatkit's JSON about roles as protobuf messages (spec §7). The same rules hold as in `parse.py`."""

from typing import Any

from roomline.v1.access_service_pb2 import AssignRoleRequest, UpdateRolePermissionsRequest
from roomline.v1.role_pb2 import Role, RoleScope

from gateway.chatkit.parse import Json, identifier, json_object
from gateway.edge import EdgeError, EdgeReason
from services.common.rules import check_count, invalid

SCOPES = {"global": RoleScope.ROLE_SCOPE_GLOBAL, "room": RoleScope.ROLE_SCOPE_ROOM}


def new_role(value: Any) -> Role:
    """A role to create (A1). What is missing is refused by the service, once it knows who asks."""
    body = json_object(value)
    scope = identifier(body, "scope")
    if scope and scope not in SCOPES:
        raise invalid("scope", "global or room")
    return Role(
        name=identifier(body, "name"),
        scope=SCOPES[scope] if scope else RoleScope.ROLE_SCOPE_UNSPECIFIED,
        permissions=_permissions(body, "permissions"),
    )


def path_scope(segment: str) -> RoleScope.ValueType:
    """The scope in a path."""
    if segment not in SCOPES:
        raise EdgeError(EdgeReason.PATH_INVALID)
    return SCOPES[segment]


def permission_change(value: Any) -> UpdateRolePermissionsRequest:
    """What to add and to remove (A8), by the names of either generation of SDKs."""
    body = json_object(value)
    return UpdateRolePermissionsRequest(
        add_permissions=_permissions(body, "add_permissions") or _permissions(body, "permissions_to_add"),
        remove_permissions=_permissions(body, "remove_permissions") or _permissions(body, "permissions_to_remove"),
    )


def assignment(user_id: str, value: Any) -> AssignRoleRequest:
    """A role to give to a user (A4)."""
    body = json_object(value)
    return AssignRoleRequest(user_id=user_id, role_name=identifier(body, "name"), room_id=room_of(body))


def room_of(value: Any) -> str | None:
    """The room of an assignment; None for a global one. An empty one is no room, and not refused here."""
    body = json_object(value)
    return None if body.get("room_id") is None else identifier(body, "room_id")


def _permissions(body: Json, name: str) -> list[str]:
    values = body.get(name)
    if values is None:
        return []
    if type(values) is not list:
        raise invalid(name, "a list of strings")
    check_count(Role, "permissions", values)
    for index, value in enumerate(values):
        if type(value) is not str:
            raise invalid(f"{name}[{index}]", "a string")
    return values
