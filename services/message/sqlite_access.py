"""Who may do what, on SQLite: the one decision, used by `AccessService.Check` and inside writing transactions alike."""

import sqlite3

from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    AssignRoleResponse,
    CheckRequest,
    CheckResponse,
    UnassignRoleRequest,
    UnassignRoleResponse,
)
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.role_pb2 import Role, RoleAssignment, RoleScope

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_log, sqlite_purges
from services.message.roles import BUILT_IN, DEFAULT_ROLE
from services.message.sqlite_roles import find_role
from services.message.sqlite_rooms import COLUMNS, RoomRow, find

_ROOM_OF = (
    "SELECT r.uid, r.private, EXISTS (SELECT 1 FROM members m WHERE m.instance_id = r.instance_id"
    " AND m.room_key = r.key AND m.user_id = ?) FROM rooms r WHERE r.instance_id = ? AND r.id = ?"
)
_ROOM_TO_SEND_TO = (
    "SELECT EXISTS (SELECT 1 FROM members m WHERE m.instance_id = r.instance_id AND m.room_key = r.key"
    " AND m.user_id = ?),"
    " (SELECT a.role_name FROM role_assignments a WHERE a.instance_id = r.instance_id AND a.user_id = ?"
    " AND a.room_id = ''),"
    " (SELECT a.role_name FROM role_assignments a WHERE a.instance_id = r.instance_id AND a.user_id = ?"
    " AND a.room_id = r.id),"
    " EXISTS (SELECT 1 FROM roles o WHERE o.instance_id = r.instance_id),"
    f" {COLUMNS} FROM rooms r WHERE r.instance_id = ? AND r.id = ?"
)
_HELD = (
    "SELECT h.role_name,"
    " EXISTS (SELECT 1 FROM roles r WHERE r.instance_id = :instance_id AND r.scope = h.scope AND r.name = h.role_name),"
    " EXISTS (SELECT 1 FROM role_permissions p WHERE p.instance_id = :instance_id AND p.scope = h.scope"
    " AND p.role_name = h.role_name AND p.permission = :permission)"
    f" FROM (SELECT {RoleScope.ROLE_SCOPE_GLOBAL} AS scope, coalesce((SELECT role_name FROM role_assignments"
    f" WHERE instance_id = :instance_id AND user_id = :user_id AND room_id = ''), '{DEFAULT_ROLE}') AS role_name"
    f" UNION ALL SELECT {RoleScope.ROLE_SCOPE_ROOM}, role_name FROM role_assignments"
    " WHERE instance_id = :instance_id AND user_id = :user_id AND room_id = :room_id AND room_id != '') h"
)
"""The roles that count for a user in a room, whether each was created, and whether it then has the permission."""


def permits(connection: sqlite3.Connection, instance_id: str, user_id: str, permission: str, room_id: str) -> bool:
    """Whether the user's global role, or its role in the room, has the permission (spec §7.2)."""
    values = {"instance_id": instance_id, "user_id": user_id, "permission": permission, "room_id": room_id}
    return any(
        has_permission if created else permission in BUILT_IN.get(role_name, ())
        for role_name, created, has_permission in connection.execute(_HELD, values).fetchall()
    )


def require(connection: sqlite3.Connection, caller: Caller, permission: str, room_id: str) -> None:
    """Raises PERMISSION_MISSING if the caller is a user without the permission."""
    if caller.is_user and not permits(connection, caller.instance_id, caller.user_id, permission, room_id):
        raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=permission)


def find_as_sender(connection: sqlite3.Connection, caller: Caller, room_id: str, sender: str) -> RoomRow:
    """The row of a room that the caller may send messages of this user to. One query: every message comes this way.

    Raises PERMISSION_MISSING, ROOM_NOT_FOUND, NOT_A_MEMBER.
    """
    row = connection.execute(
        _ROOM_TO_SEND_TO, (sender, caller.user_id, caller.user_id, caller.instance_id, room_id)
    ).fetchone()
    if row is None:
        require(connection, caller, "message:create", room_id)
        raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
    is_member, global_role, room_role, roles_created = row[:4]
    # Where there are only the built-in roles, their names say it all.
    names = (global_role or DEFAULT_ROLE, room_role or "")
    if roles_created or not any("message:create" in BUILT_IN.get(name, ()) for name in names):
        require(connection, caller, "message:create", room_id)
    if not is_member:
        raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
    return RoomRow(*row[4:])


class SqliteAccess:
    """Keeps the promises of `AccessStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def permits(self, instance_id: str, user_id: str, permission: str, room_id: str) -> bool:
        """See `AccessStore`."""
        return await self._database.read(
            lambda connection: permits(connection, instance_id, user_id, permission, room_id)
        )

    async def check(self, instance_id: str, request: CheckRequest) -> CheckResponse:
        """See `AccessStore`."""
        user_id, room_id = request.user_id, request.room_id

        def work(connection: sqlite3.Connection) -> CheckResponse:
            allowed = not user_id or permits(connection, instance_id, user_id, request.permission, room_id)
            room = connection.execute(_ROOM_OF, (user_id, instance_id, room_id)).fetchone() if room_id else None
            if room is None:
                return CheckResponse(allowed=allowed)
            room_uid, private, member = room
            readable = not user_id or not private or member
            return CheckResponse(allowed=allowed, room_uid=room_uid, member=member, readable=readable, room_id=room_id)

        return await self._database.read(work)

    async def assign(self, caller: Caller, request: AssignRoleRequest, asked_at: int) -> AssignRoleResponse:
        """See `AccessStore`."""
        instance_id, user_id, room_id = caller.instance_id, request.user_id, request.room_id

        def work(connection: sqlite3.Connection) -> AssignRoleResponse:
            _role(connection, instance_id, room_id, request.role_name)
            sqlite_purges.refuse_purged(connection, instance_id, [user_id], asked_at)
            if room_id:
                find(connection, instance_id, room_id)
            connection.execute(
                "INSERT OR REPLACE INTO role_assignments VALUES (?, ?, ?, ?)",
                (instance_id, user_id, room_id, request.role_name),
            )
            sqlite_log.roles_changed(connection, instance_id)
            return AssignRoleResponse()

        return await self._database.write(
            remembered(request_key(caller, request), AssignRoleResponse, self._clock, work)
        )

    async def unassign(self, caller: Caller, request: UnassignRoleRequest) -> UnassignRoleResponse:
        """See `AccessStore`."""

        def work(connection: sqlite3.Connection) -> UnassignRoleResponse:
            connection.execute(
                "DELETE FROM role_assignments WHERE instance_id = ? AND user_id = ? AND room_id = ?",
                (caller.instance_id, request.user_id, request.room_id),
            )
            sqlite_log.roles_changed(connection, caller.instance_id)
            return UnassignRoleResponse()

        return await self._database.write(
            remembered(request_key(caller, request), UnassignRoleResponse, self._clock, work)
        )

    async def assignments(self, instance_id: str, user_id: str) -> list[RoleAssignment]:
        """See `AccessStore`."""

        def work(connection: sqlite3.Connection) -> list[RoleAssignment]:
            rows = connection.execute(
                "SELECT room_id, role_name FROM role_assignments"
                " WHERE instance_id = ? AND user_id = ? ORDER BY room_id",
                (instance_id, user_id),
            ).fetchall()
            return [
                RoleAssignment(
                    user_id=user_id, role=_role(connection, instance_id, room_id, name), room_id=room_id or None
                )
                for room_id, name in rows
            ]

        return await self._database.read(work)


def _role(connection: sqlite3.Connection, instance_id: str, room_id: str, name: str) -> Role:
    """The role of this name that counts in a room, or for an empty id everywhere. Raises ROLE_NOT_FOUND."""
    scope = RoleScope.ROLE_SCOPE_ROOM if room_id else RoleScope.ROLE_SCOPE_GLOBAL
    role = find_role(connection, instance_id, scope, name)
    if role is None and name in BUILT_IN:
        role = Role(name=name, scope=scope, permissions=BUILT_IN[name])
    if role is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_ROLE_NOT_FOUND)
    return role
