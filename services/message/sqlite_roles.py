"""Roles that were created, on SQLite."""

import sqlite3
from typing import TypeVar

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.access_service_pb2 import (
    CreateRoleRequest,
    CreateRoleResponse,
    DeleteRoleRequest,
    DeleteRoleResponse,
    UpdateRolePermissionsRequest,
    UpdateRolePermissionsResponse,
)
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.role_pb2 import Role, RoleScope

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import Clock
from services.common.sqlite import Database, Work
from services.message import sqlite_log

M = TypeVar("M", bound=ProtoMessage)


def find_role(connection: sqlite3.Connection, instance_id: str, scope: RoleScope.ValueType, name: str) -> Role | None:
    """The role of this name that was created in the scope, if there is one."""
    found = connection.execute(
        "SELECT 1 FROM roles WHERE instance_id = ? AND scope = ? AND name = ?", (instance_id, scope, name)
    ).fetchone()
    if found is None:
        return None
    rows = connection.execute(
        "SELECT permission FROM role_permissions WHERE instance_id = ? AND scope = ? AND role_name = ?"
        " ORDER BY ordinal",
        (instance_id, scope, name),
    )
    return Role(name=name, scope=scope, permissions=[permission for (permission,) in rows])


class SqliteRoles:
    """Keeps the promises of `RoleStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, caller: Caller, request: CreateRoleRequest) -> CreateRoleResponse:
        """See `RoleStore`."""
        instance_id, name, scope = caller.instance_id, request.role.name, request.role.scope

        def work(connection: sqlite3.Connection) -> CreateRoleResponse:
            if find_role(connection, instance_id, scope, name) is not None:
                raise RoomlineError(ErrorReason.ERROR_REASON_ROLE_ALREADY_EXISTS, name=name)
            connection.execute("INSERT INTO roles VALUES (?, ?, ?, ?)", (instance_id, scope, name, self._clock()))
            role = Role(name=name, scope=scope, permissions=dict.fromkeys(request.role.permissions))
            put_permissions(connection, instance_id, role)
            return CreateRoleResponse(role=role)

        return await self._write(caller, request, CreateRoleResponse, work)

    async def all(self, instance_id: str) -> list[Role]:
        """See `RoleStore`."""

        def work(connection: sqlite3.Connection) -> list[Role]:
            rows = connection.execute(
                "SELECT scope, name FROM roles WHERE instance_id = ? ORDER BY created_at, scope, name", (instance_id,)
            ).fetchall()
            return [_existing(connection, instance_id, scope, name) for scope, name in rows]

        return await self._database.read(work)

    async def get(self, instance_id: str, name: str, scope: RoleScope.ValueType) -> Role:
        """See `RoleStore`."""
        return await self._database.read(lambda connection: _existing(connection, instance_id, scope, name))

    async def update(self, caller: Caller, request: UpdateRolePermissionsRequest) -> UpdateRolePermissionsResponse:
        """See `RoleStore`."""

        def work(connection: sqlite3.Connection) -> UpdateRolePermissionsResponse:
            role = _existing(connection, caller.instance_id, request.scope, request.name)
            removed = set(request.remove_permissions)
            kept = [permission for permission in role.permissions if permission not in removed]
            permissions = dict.fromkeys((*kept, *request.add_permissions))
            role = Role(name=role.name, scope=role.scope, permissions=permissions)
            _remove_permissions(connection, caller.instance_id, request.scope, request.name)
            put_permissions(connection, caller.instance_id, role)
            return UpdateRolePermissionsResponse(role=role)

        return await self._write(caller, request, UpdateRolePermissionsResponse, work)

    async def delete(self, caller: Caller, request: DeleteRoleRequest) -> DeleteRoleResponse:
        """See `RoleStore`."""
        instance_id, scope, name = caller.instance_id, request.scope, request.name

        def work(connection: sqlite3.Connection) -> DeleteRoleResponse:
            connection.execute(
                "DELETE FROM roles WHERE instance_id = ? AND scope = ? AND name = ?", (instance_id, scope, name)
            )
            _remove_permissions(connection, instance_id, scope, name)
            is_global = scope == RoleScope.ROLE_SCOPE_GLOBAL
            connection.execute(
                "DELETE FROM role_assignments WHERE instance_id = ? AND role_name = ? AND (room_id = '') = ?",
                (instance_id, name, is_global),
            )
            return DeleteRoleResponse()

        return await self._write(caller, request, DeleteRoleResponse, work)

    async def _write(self, caller: Caller, request: ProtoMessage, response_class: type[M], work: Work[M]) -> M:
        def change(connection: sqlite3.Connection) -> M:
            response = work(connection)
            sqlite_log.roles_changed(connection, caller.instance_id)
            return response

        return await self._database.write(remembered(request_key(caller, request), response_class, self._clock, change))


def _existing(connection: sqlite3.Connection, instance_id: str, scope: RoleScope.ValueType, name: str) -> Role:
    role = find_role(connection, instance_id, scope, name)
    if role is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_ROLE_NOT_FOUND)
    return role


def put_permissions(connection: sqlite3.Connection, instance_id: str, role: Role) -> None:
    """Writes the permissions of a role that has none yet."""
    connection.executemany(
        "INSERT INTO role_permissions VALUES (?, ?, ?, ?, ?)",
        [
            (instance_id, role.scope, role.name, permission, ordinal)
            for ordinal, permission in enumerate(role.permissions)
        ],
    )


def _remove_permissions(
    connection: sqlite3.Connection, instance_id: str, scope: RoleScope.ValueType, name: str
) -> None:
    connection.execute(
        "DELETE FROM role_permissions WHERE instance_id = ? AND scope = ? AND role_name = ?", (instance_id, scope, name)
    )
