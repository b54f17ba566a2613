"""What must hold in the databases, whatever happened: rows agree with each other and with the log."""
# ruff: noqa: S608 - statements are composed of constants

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from roomline.v1.event_pb2 import Event
from roomline.v1.room_pb2 import RoomKind

from services.message.roles import BUILT_IN
from services.message.sqlite_member_sets import digest
from tests.faults.replay import Replay


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, for reading."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def rows(connection: sqlite3.Connection, query: str, *values: object) -> list[Any]:
    """What a query finds; the values themselves if it asks for one column."""
    found = connection.execute(query, values).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def is_settled(folder: Path) -> bool:
    """Whether every deletion has been carried out everywhere; a server that runs sees to it."""
    with opened(folder / "user.db") as users:
        return rows(users, "SELECT * FROM deletions") == []


def check_databases(folder: Path) -> None:
    """Checks both databases of a data folder, and that they agree on who exists. Everything must be settled."""
    assert is_settled(folder)
    with opened(folder / "user.db") as users, opened(folder / "message.db") as messages:
        for connection in (users, messages):
            assert rows(connection, "PRAGMA integrity_check") == ["ok"]
        check_messages(messages)
        existing = set(users.execute("SELECT instance_id, id FROM users"))
        for table in ("members", "cursors", "hidden", "role_assignments"):
            named = set(messages.execute(f"SELECT instance_id, user_id FROM {table}"))
            assert named <= existing, f"{table} of users that do not exist: {named - existing}"


def check_messages(connection: sqlite3.Connection) -> None:
    """Checks the message service's database."""
    _check_references(connection)
    _check_counters(connection)
    _check_kinds(connection)
    for instance_id in rows(connection, "SELECT instance_id FROM logs"):
        _check_log(connection, instance_id)


def events(connection: sqlite3.Connection, instance_id: str) -> list[Event]:
    """The log of an instance."""
    found = rows(connection, "SELECT event FROM events WHERE instance_id = ? ORDER BY position", instance_id)
    return [Event.FromString(event) for event in found]


def _check_references(connection: sqlite3.Connection) -> None:
    known = "SELECT instance_id, key FROM rooms"
    remains = "SELECT instance_id, room_key FROM room_remains"
    for table, rooms in (
        *(("members", known), ("cursors", known), ("messages", f"{known} UNION {remains}")),
        ("hidden", f"{known} UNION {remains}"),
    ):
        query = f"SELECT * FROM {table} WHERE (instance_id, room_key) NOT IN ({rooms})"
        assert rows(connection, query) == [], f"{table} without a room"
    roles = "SELECT * FROM role_assignments WHERE room_id != '' AND (instance_id, room_id) NOT IN"
    assert rows(connection, f"{roles} (SELECT instance_id, id FROM rooms)") == [], "roles in no room"
    built_in = ", ".join(f"'{name}'" for name in BUILT_IN)
    unknown = (
        "SELECT * FROM role_assignments a WHERE NOT EXISTS (SELECT 1 FROM roles r WHERE r.instance_id = a.instance_id"
        f" AND r.name = a.role_name AND (r.scope = 1) = (a.room_id = '')) AND a.role_name NOT IN ({built_in})"
    )
    assert rows(connection, unknown) == [], "roles that nobody created"
    assert not {*rows(connection, known)} & {*rows(connection, remains)}, "a room is deleted and there"


def _check_counters(connection: sqlite3.Connection) -> None:
    live = "x.instance_id = r.instance_id AND x.room_key = r.key AND x.unsent_at IS NULL"
    members = "m.instance_id = r.instance_id AND m.room_key = r.key"
    counted = connection.execute(
        "SELECT r.id, r.message_count, r.member_count, r.last_message_at,"
        f" (SELECT count(*) FROM messages x WHERE {live}), (SELECT count(*) FROM members m WHERE {members}),"
        f" (SELECT x.created_at FROM messages x WHERE {live} ORDER BY x.id DESC LIMIT 1) FROM rooms r"
    )
    for room_id, *stored_and_true in counted:
        assert stored_and_true[:3] == stored_and_true[3:], f"counters of {room_id}"


def _check_kinds(connection: sqlite3.Connection) -> None:
    """What leads from a set of users to a room is what is in the room."""
    found = rows(connection, "SELECT instance_id, key, kind, member_set FROM rooms")
    pairs: Counter[tuple[str, ...]] = Counter()
    for instance_id, key, kind, member_set in found:
        members = rows(
            connection, "SELECT user_id FROM members WHERE instance_id = ? AND room_key = ?", instance_id, key
        )
        direct = kind == RoomKind.ROOM_KIND_DIRECT
        complete = kind != RoomKind.ROOM_KIND_UNSPECIFIED and not (direct and len(members) != 2)
        assert member_set == (digest(members) if complete else None), f"the set of room {key}"
        pairs[instance_id, *sorted(members)] += direct and complete
    assert max(pairs.values(), default=0) <= 1, "a pair has two rooms"


def _check_log(connection: sqlite3.Connection, instance_id: str) -> None:
    last, last_id, last_key = connection.execute(
        "SELECT position, message_id, room_key FROM logs WHERE instance_id = ?", (instance_id,)
    ).fetchone()
    log = events(connection, instance_id)
    positions = rows(connection, "SELECT position FROM events WHERE instance_id = ? ORDER BY position", instance_id)
    assert positions == [event.position for event in log]
    # A wiped instance begins anew, where the numbers stand.
    assert positions == list(range(last - len(log) + 1, last + 1)), "positions have gaps"

    ids = rows(connection, "SELECT id FROM messages WHERE instance_id = ?", instance_id)
    assert max(ids, default=0) <= last_id
    assert max(rows(connection, "SELECT key FROM rooms WHERE instance_id = ?", instance_id), default=0) <= last_key
    sent = Counter(event.message_sent.message.id for event in log if event.HasField("message_sent"))
    assert all(count == 1 for count in sent.values()), "a message was logged twice"
    imported = sum(event.messages_imported.count for event in log)
    assert len({*ids} - sent.keys()) <= imported, "a message without its event"
    if any(event.HasField("messages_imported") or event.room_created.imported for event in log):
        return  # what was imported is not told one by one
    assert set(ids) <= sent.keys(), "a message without its event"
    assert list(sent) == sorted(sent), "ids do not rise with positions"

    replay = Replay()
    for event in log:
        replay.apply(event)
    assert replay.state() == _state(connection, instance_id), "the log does not lead to what is stored"


def _state(connection: sqlite3.Connection, instance_id: str) -> dict[str, Any]:
    """What `Replay.state` gives, from the tables."""
    state: dict[str, Any] = {}
    for room_id, key in connection.execute("SELECT id, key FROM rooms WHERE instance_id = ?", (instance_id,)):
        place = (instance_id, key)
        of_room = "WHERE instance_id = ? AND room_key = ?"
        state[room_id] = {
            "members": sorted(rows(connection, f"SELECT user_id FROM members {of_room}", *place)),
            "messages": sorted(rows(connection, f"SELECT id FROM messages {of_room} AND unsent_at IS NULL", *place)),
            "hidden": sorted(rows(connection, f"SELECT user_id, message_id FROM hidden {of_room}", *place)),
            "cursors": dict(connection.execute(f"SELECT user_id, position FROM cursors {of_room}", place)),
        }
    return state
