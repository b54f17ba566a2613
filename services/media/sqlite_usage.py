"""What counts towards the quotas, on SQLite: bytes and files of a whole instance and of each of its users."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits

from services.common.errors import RoomlineError

WHOLE = ""
"""The instance itself, in the place of a user id. What a server uploads without naming a user counts there only."""


def charge(connection: sqlite3.Connection, instance_id: str, user_id: str, size: int, limits: InstanceLimits) -> None:
    """Counts one more file of this size. Raises QUOTA_EXCEEDED."""
    for owner, bytes_limit, files_limit, suffix in _accounts(user_id, limits):
        used_bytes, used_files = _used(connection, instance_id, owner)
        if used_files + 1 > files_limit:
            raise RoomlineError(ErrorReason.ERROR_REASON_QUOTA_EXCEEDED, quota="media files" + suffix)
        if size and used_bytes + size > bytes_limit:
            raise RoomlineError(ErrorReason.ERROR_REASON_QUOTA_EXCEEDED, quota="media bytes" + suffix)
    add(connection, instance_id, user_id, size, 1)


def take(
    connection: sqlite3.Connection, instance_id: str, user_id: str, need: int, wish: int, limits: InstanceLimits
) -> int:
    """Counts as many bytes as are wished for or left, and returns them. Raises QUOTA_EXCEEDED if `need` is more."""
    for owner, bytes_limit, _, suffix in _accounts(user_id, limits):
        left = bytes_limit - _used(connection, instance_id, owner)[0]
        if left < need:
            raise RoomlineError(ErrorReason.ERROR_REASON_QUOTA_EXCEEDED, quota="media bytes" + suffix)
        wish = min(wish, left)
    add(connection, instance_id, user_id, wish, 0)
    return wish


def add(connection: sqlite3.Connection, instance_id: str, user_id: str, size: int, files: int) -> None:
    """Counts bytes and files, or gives them back if they are below zero, whatever the quotas are."""
    for owner in {WHOLE, user_id} if size or files else ():
        connection.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " bytes = bytes + excluded.bytes, files = files + excluded.files",
            (instance_id, owner, size, files),
        )
        connection.execute(
            "DELETE FROM usage WHERE instance_id = ? AND user_id = ? AND bytes = 0 AND files = 0", (instance_id, owner)
        )


def _accounts(user_id: str, limits: InstanceLimits) -> list[tuple[str, int, int, str]]:
    """Whose quotas count: user id, bytes, files, and how they are called."""
    accounts = [(WHOLE, limits.media_bytes, limits.media_files, "")]
    if user_id:
        accounts.append((user_id, limits.user_media_bytes, limits.user_media_files, " of the user"))
    return accounts


def _used(connection: sqlite3.Connection, instance_id: str, owner: str) -> tuple[int, int]:
    row = connection.execute(
        "SELECT bytes, files FROM usage WHERE instance_id = ? AND user_id = ?", (instance_id, owner)
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)
