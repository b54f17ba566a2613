"""Rooms by who is in them, on SQLite: rooms of a kind keep a digest of their members, whatever the order."""

import hashlib
import sqlite3
from collections.abc import Collection

from roomline.v1.room_pb2 import RoomKind

from services.message.sqlite_membership import member_ids

PAIR = 2
"""How many members a direct room has."""


def kind_of(members: Collection[str]) -> "RoomKind.ValueType":
    """What sort of room so many users, all different, make."""
    if len(members) > PAIR:
        return RoomKind.ROOM_KIND_GROUP
    return RoomKind.ROOM_KIND_DIRECT if len(members) == PAIR else RoomKind.ROOM_KIND_CHANNEL


def digest(members: Collection[str]) -> bytes:
    """The same for the same set of users, and for no other."""
    hashed = hashlib.sha256()
    for member in sorted(members):
        encoded = member.encode()
        hashed.update(len(encoded).to_bytes(4, "big"))
        hashed.update(encoded)
    return hashed.digest()


def find(connection: sqlite3.Connection, instance_id: str, members: Collection[str]) -> int | None:
    """The key of the oldest room of the kind that so many members make, with exactly these ones."""
    row = connection.execute(
        "SELECT key FROM rooms WHERE instance_id = ? AND member_set = ? AND kind = ? ORDER BY key LIMIT 1",
        (instance_id, digest(members), kind_of(members)),
    ).fetchone()
    return None if row is None else row[0]


def refresh(connection: sqlite3.Connection, instance_id: str, kind: int, room_key: int) -> None:
    """Brings the digest of a room up to date, after its members have changed; rooms without a kind have none.

    No pair leads any more to a direct room that has lost a member with its account.
    """
    if kind == RoomKind.ROOM_KIND_UNSPECIFIED:
        return
    members = member_ids(connection, instance_id, room_key)
    complete = kind != RoomKind.ROOM_KIND_DIRECT or len(members) == PAIR
    connection.execute(
        "UPDATE rooms SET member_set = ? WHERE instance_id = ? AND key = ?",
        (digest(members) if complete else None, instance_id, room_key),
    )
