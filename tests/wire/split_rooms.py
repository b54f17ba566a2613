"""What rooms of v7 look like, in answers and in events (spec §4.8)."""

from typing import Any

ROOM_KEYS = {
    *("id", "name", "created_by_id", "private", "custom_data", "push_notification_title_override"),
    *("last_message_at", "created_at", "updated_at", "deleted_at"),
}

NULLABLE = ("custom_data", "push_notification_title_override", "last_message_at")
"""What can be unset."""


def split(whole: dict[str, Any], last_message_at: str | None = None) -> dict[str, Any]:
    """A room of v6 as v7 shows it."""
    own = {key: value for key, value in whole.items() if key not in {"member_user_ids", "unread_count"}}
    return {**dict.fromkeys(NULLABLE), **own, "last_message_at": last_message_at, "deleted_at": None}


def membership(room: str, *users: str) -> dict[str, Any]:
    """The members of a room."""
    return {"room_id": room, "user_ids": [*users]}
