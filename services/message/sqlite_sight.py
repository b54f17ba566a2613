"""What somebody sees of a room's messages, on SQLite: conditions for queries that bind `:now`, and a user as `:viewer`.

What has expired is gone for everybody at that moment, whether or not it has been wiped yet. A message that was deleted
for everybody is a tombstone. A user who has hidden a message, or the history of a direct room, does not see it; servers
see what users have hidden.
"""

import sqlite3

from services.common.call import Caller


def unexpired(x: str) -> str:
    """The condition that a message, a row of the table called `x`, has not expired."""
    return f"({x}.expires_at IS NULL OR {x}.expires_at > :now)"


def live(x: str) -> str:
    """The condition that a message is there, with its content."""
    return f"{x}.unsent_at IS NULL AND {unexpired(x)}"


def unhidden(x: str) -> str:
    """The condition that the viewer has not hidden the message by itself."""
    return (
        f"NOT EXISTS (SELECT 1 FROM hidden h WHERE h.instance_id = {x}.instance_id AND h.room_key = {x}.room_key"
        f" AND h.user_id = :viewer AND h.message_id = {x}.id)"
    )


_AFTER_HISTORY = (
    "x.id > coalesce((SELECT m.hidden_before FROM members m WHERE m.instance_id = :instance_id"
    " AND m.room_key = :room_key AND m.user_id = :viewer), 0)"
)


def viewer_of(caller: Caller) -> str:
    """The user whose sight counts; empty for a server."""
    return caller.user_id if caller.is_user else ""


def seen(viewer: str, *, with_unsent: bool = False) -> str:
    """The condition that the viewer sees the message `x` of the room `:room_key` of `:instance_id`."""
    condition = unexpired("x") if with_unsent else live("x")
    return f"{condition} AND {_AFTER_HISTORY} AND {unhidden('x')}" if viewer else condition


def is_hidden(connection: sqlite3.Connection, instance_id: str, room_key: int, user_id: str, message_id: int) -> bool:
    """Whether the user has hidden the message, by itself or with the history of its room."""
    return (
        connection.execute(
            "SELECT 1 FROM hidden WHERE instance_id = :instance_id AND room_key = :room_key AND user_id = :user_id"
            " AND message_id = :message_id UNION ALL SELECT 1 FROM members WHERE instance_id = :instance_id"
            " AND room_key = :room_key AND user_id = :user_id AND hidden_before >= :message_id",
            {"instance_id": instance_id, "room_key": room_key, "user_id": user_id, "message_id": message_id},
        ).fetchone()
        is not None
    )
