"""Who is in a room, on SQLite: what every other noun asks inside its own transaction."""

import json
import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError


def is_member(connection: sqlite3.Connection, instance_id: str, room_key: int, user_id: str) -> bool:
    """Whether the user is a member of the room."""
    return (
        connection.execute(
            "SELECT 1 FROM members WHERE instance_id = ? AND room_key = ? AND user_id = ?",
            (instance_id, room_key, user_id),
        ).fetchone()
        is not None
    )


def require_member(connection: sqlite3.Connection, instance_id: str, room_key: int, user_id: str) -> None:
    """Raises NOT_A_MEMBER if the user is none."""
    if not is_member(connection, instance_id, room_key, user_id):
        raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)


def member_ids(connection: sqlite3.Connection, instance_id: str, room_key: int) -> list[str]:
    """The members in the order of joining."""
    rows = connection.execute(
        "SELECT user_id FROM members WHERE instance_id = ? AND room_key = ? ORDER BY joined_position, ordinal",
        (instance_id, room_key),
    )
    return [user_id for (user_id,) in rows]


def members_by_room(connection: sqlite3.Connection, instance_id: str, keys: list[int]) -> dict[int, list[str]]:
    """The members of rooms, by the rooms' keys, in the order of joining."""
    members: dict[int, list[str]] = {}
    rows = connection.execute(
        "SELECT room_key, user_id FROM members"
        " WHERE instance_id = ? AND room_key IN (SELECT value FROM json_each(?))"  # one variable, however many
        " ORDER BY room_key, joined_position, ordinal",
        (instance_id, json.dumps(keys)),
    )
    for key, user_id in rows:
        members.setdefault(key, []).append(user_id)
    return members


def add_members(
    connection: sqlite3.Connection, instance_id: str, room_key: int, user_ids: list[str], position: int, now: int
) -> None:
    """Writes memberships of users who are no members yet."""
    connection.executemany(
        "INSERT INTO members (instance_id, room_key, user_id, joined_position, ordinal, joined_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [(instance_id, room_key, user_id, position, index, now) for index, user_id in enumerate(user_ids)],
    )
    connection.execute(
        "UPDATE rooms SET member_count = member_count + ? WHERE instance_id = ? AND key = ?",
        (len(user_ids), instance_id, room_key),
    )
