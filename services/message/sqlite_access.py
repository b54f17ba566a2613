"""Who may do what, on SQLite: the one decision, used by `AccessService.Check` and inside writing transactions alike."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.role_pb2 import Role, RoleAssignment, RoleScope

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.sqlite import Database
from services.message.roles import BUILT_IN, DEFAULT_ROLE


def permits(connection: sqlite3.Connection, instance_id: str, user_id: str, permission: str, room_id: str) -> bool:
    """Whether the user's global role, or its role in the room, has the permission (spec §7.2)."""
    rows = connection.execute(
        "SELECT room_id, role_name FROM role_assignments WHERE instance_id = ? AND user_id = ? AND room_id IN ('', ?)",
        (instance_id, user_id, room_id),
    ).fetchall()
    roles = dict(rows)
    roles.setdefault("", DEFAULT_ROLE)
    return any(permission in BUILT_IN[name] for name in roles.values())


def require(connection: sqlite3.Connection, caller: Caller, permission: str, room_id: str) -> None:
    """Raises PERMISSION_MISSING if the caller is a user without the permission."""
    if caller.is_user and not permits(connection, caller.instance_id, caller.user_id, permission, room_id):
        raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=permission)


class SqliteAccess:
    """Keeps the promises of `AccessStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def permits(self, instance_id: str, user_id: str, permission: str, room_id: str) -> bool:
        """See `AccessStore`."""
        return await self._database.read(
            lambda connection: permits(connection, instance_id, user_id, permission, room_id)
        )

    async def assign(self, instance_id: str, user_id: str, role_name: str, room_id: str) -> None:
        """See `AccessStore`."""
        if role_name not in BUILT_IN:
            raise RoomlineError(ErrorReason.ERROR_REASON_ROLE_NOT_FOUND)

        def work(connection: sqlite3.Connection) -> None:
            if room_id and not _room_exists(connection, instance_id, room_id):
                raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
            connection.execute(
                "INSERT OR REPLACE INTO role_assignments VALUES (?, ?, ?, ?)",
                (instance_id, user_id, room_id, role_name),
            )

        await self._database.write(work)

    async def unassign(self, instance_id: str, user_id: str, room_id: str) -> None:
        """See `AccessStore`."""
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM role_assignments WHERE instance_id = ? AND user_id = ? AND room_id = ?",
                (instance_id, user_id, room_id),
            )
        )

    async def assignments(self, instance_id: str, user_id: str) -> list[RoleAssignment]:
        """See `AccessStore`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT room_id, role_name FROM role_assignments"
                " WHERE instance_id = ? AND user_id = ? ORDER BY room_id",
                (instance_id, user_id),
            ).fetchall()
        )
        return [_assignment(user_id, room_id, role_name) for room_id, role_name in rows]


def _room_exists(connection: sqlite3.Connection, instance_id: str, room_id: str) -> bool:
    return (
        connection.execute("SELECT 1 FROM rooms WHERE instance_id = ? AND id = ?", (instance_id, room_id)).fetchone()
        is not None
    )


def _assignment(user_id: str, room_id: str, role_name: str) -> RoleAssignment:
    scope = RoleScope.ROLE_SCOPE_ROOM if room_id else RoleScope.ROLE_SCOPE_GLOBAL
    return RoleAssignment(
        user_id=user_id,
        role=Role(name=role_name, scope=scope, permissions=BUILT_IN[role_name]),
        room_id=room_id or None,
    )
