"""What only SQLite can run into."""

import sqlite3
from pathlib import Path

from services.common.sqlite import migrate
from services.message.server import MIGRATIONS
from services.message.sqlite_membership import members_by_room


def test_members_of_any_number_of_rooms(tmp_path: Path) -> None:
    migrate(tmp_path / "message.db", MIGRATIONS)
    connection = sqlite3.connect(tmp_path / "message.db")
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 6)
    connection.executemany(
        "INSERT INTO members (instance_id, room_key, user_id, joined_position, ordinal, joined_at)"
        " VALUES ('one', ?, ?, ?, 0, 0)",
        [(room, f"user {number}", 9 - number) for room in range(50) for number in range(3)],
    )
    expected = ["user 2", "user 1", "user 0"]
    assert members_by_room(connection, "one", list(range(50))) == dict.fromkeys(range(50), expected)
    assert members_by_room(connection, "one", [7, 99]) == {7: expected}
    assert members_by_room(connection, "two", [7]) == {}
    connection.close()
