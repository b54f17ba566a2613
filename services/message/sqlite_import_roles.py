"""Roles and assignments from archives, on SQLite."""

from roomline.v1.archive_pb2 import AssignmentRecord
from roomline.v1.archive_service_pb2 import ImportResult
from roomline.v1.role_pb2 import Role, RoleScope

from services.common.archive import conflict, imported, refused, unchanged
from services.message import sqlite_log
from services.message.roles import BUILT_IN
from services.message.sqlite_import import Import
from services.message.sqlite_roles import find_role, put_permissions


def take_role(call: Import, role: Role) -> ImportResult:
    """Adds a role. It has no `uid`: the same permissions make it the same."""
    permissions = list(dict.fromkeys(role.permissions))
    found = find_role(call.connection, call.instance_id, role.scope, role.name)
    if found is not None:
        return unchanged() if list(found.permissions) == permissions else conflict("there it has other permissions")
    (newest,) = call.connection.execute(
        "SELECT coalesce(max(created_at), 0) FROM roles WHERE instance_id = ?", (call.instance_id,)
    ).fetchone()
    # Roles are listed by age: that keeps them in the order of the archive, also those of one moment.
    call.connection.execute(
        "INSERT INTO roles VALUES (?, ?, ?, ?)",
        (call.instance_id, role.scope, role.name, max(call.now, newest + 1)),
    )
    put_permissions(call.connection, call.instance_id, Role(name=role.name, scope=role.scope, permissions=permissions))
    sqlite_log.roles_changed(call.connection, call.instance_id)
    return imported()


def take_assignment(call: Import, assignment: AssignmentRecord) -> ImportResult:
    """Gives a user a role, which has to be there, like the user and the room."""
    room_id, name = assignment.room_id, assignment.role_name
    if assignment.HasField("room_id"):
        room = call.room(room_id, assignment.room_uid)
        if isinstance(room, str):
            return refused(room)
    scope = RoleScope.ROLE_SCOPE_ROOM if room_id else RoleScope.ROLE_SCOPE_GLOBAL
    if name not in BUILT_IN and find_role(call.connection, call.instance_id, scope, name) is None:
        return refused(f"there is no role {name!r}")
    if assignment.user_id not in call.users:
        return refused(f"there is no user {assignment.user_id!r}")
    held = call.connection.execute(
        "SELECT role_name FROM role_assignments WHERE instance_id = ? AND user_id = ? AND room_id = ?",
        (call.instance_id, assignment.user_id, room_id),
    ).fetchone()
    if held is not None:
        return unchanged() if held[0] == name else conflict(f"the user has the role {held[0]!r} there")
    call.connection.execute(
        "INSERT INTO role_assignments VALUES (?, ?, ?, ?)", (call.instance_id, assignment.user_id, room_id, name)
    )
    sqlite_log.roles_changed(call.connection, call.instance_id)
    return imported()
