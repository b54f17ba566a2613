"""What only SQLite can run into."""

import sqlite3
from pathlib import Path

from services.message.server import MIGRATIONS
from services.message.sqlite_membership import members_by_room
from services.message.sqlite_user_rooms import user_rooms
from tests.stores.conftest import Stores
from tests.support.databases import migrate


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


async def test_the_rooms_of_a_user_take_as_many_queries_as_one_room(stores: Stores) -> None:
    def queries(connection: sqlite3.Connection) -> tuple[int, int]:
        """How many rooms there are, and how many queries they took."""
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        try:
            rooms = user_rooms(connection, "one", "bob", stores.clock(), with_last_messages=True)
        finally:
            connection.set_trace_callback(None)
        assert all(room.unread_count and room.HasField("last_message") for room in rooms)
        return len(rooms), sum(statement.lstrip().startswith("SELECT") for statement in asked)

    for number in range(20):
        await stores.room("bob", "ann", room_id=f"room-{number}")
        await stores.send(f"room-{number}", "ann")
        assert await stores.database.read(queries) == (number + 1, 2)
