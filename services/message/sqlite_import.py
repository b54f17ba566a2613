"""One call of an import, on SQLite, inside its transaction."""

import sqlite3
from collections.abc import Set
from dataclasses import dataclass, field

from services.common.errors import RoomlineError
from services.message.sqlite_rooms import RoomRow, find


@dataclass(slots=True, eq=False)
class Import:
    """What the records of a call have in common."""

    connection: sqlite3.Connection
    instance_id: str
    users: Set[str]
    """The users who exist, of those who must."""
    now: int
    counts: dict[int, int] = field(default_factory=dict)
    """How many messages were taken up, by the keys of the rooms that those are told of who count what is unread."""

    def room(self, room_id: str, room_uid: str) -> RoomRow | str:
        """The row of a room, or why it is not to be had. An empty `uid` fits any room."""
        try:
            row = find(self.connection, self.instance_id, room_id)
        except RoomlineError:
            return f"there is no room {room_id!r}"
        if room_uid and row.uid != room_uid:
            return f"the room {room_id!r} is another one: its uid is {row.uid}"
        return row
