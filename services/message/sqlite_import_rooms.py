"""Rooms from archives, on SQLite, with their members and cursors."""

from collections.abc import Iterable, Sequence

from roomline.v1.archive_pb2 import MemberRecord, RoomMembersRecord, RoomReadRecord, RoomRecord
from roomline.v1.archive_service_pb2 import ImportResult
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.event_pb2 import Event, MembersAdded, RoomCreated
from roomline.v1.room_pb2 import Room, RoomKind

from services.common import timestamps
from services.common.archive import conflict, imported, listed, refused, time_fault, uid_fault, unchanged
from services.common.call import MAX_USER_ID
from services.message import sqlite_log, sqlite_member_sets, sqlite_releases, sqlite_rooms
from services.message.sqlite_import import Import
from services.message.sqlite_membership import member_ids
from services.message.sqlite_rooms import RoomRow
from services.message.store import Owner

# With OR it would look at all rooms of the instance.
_THERE = (
    "SELECT id, uid FROM rooms WHERE instance_id = :instance_id AND id = :id"
    " UNION SELECT id, uid FROM rooms WHERE instance_id = :instance_id AND uid = :uid"
)


def take_room(call: Import, record: RoomRecord) -> ImportResult:
    """Makes a room with its members and cursors."""
    room = record.room
    fault = _fault(room) or _other_fault(call, room)
    if fault:
        return refused(fault)
    there = call.connection.execute(
        _THERE, {"instance_id": call.instance_id, "id": room.id, "uid": room.uid}
    ).fetchall()
    if there:
        return unchanged() if (room.id, room.uid) in there else conflict("there is another room of this id or uid")
    members = _first_of_each(record.members)
    if room.kind == RoomKind.ROOM_KIND_DIRECT:
        pair = [member.user_id for member in members]
        if len(pair) > sqlite_member_sets.PAIR:
            return refused("a direct room has two members")
        key = sqlite_member_sets.find(call.connection, call.instance_id, pair) if len(pair) > 1 else None
        if key is not None:
            return conflict("these two have another direct room")
    known, left_out = _known(call, members)
    numbers = sqlite_log.draw(call.connection, call.instance_id, rooms=1)
    row = _row(room, numbers.room_key)
    sqlite_rooms.insert_room(call.connection, call.instance_id, row)
    _add_members(call, row, known, numbers.position)
    left_out += _add_cursors(call, row, record.cursors)
    shown = sqlite_rooms.to_room(row, [member.user_id for member in known])
    event = Event(room_created=RoomCreated(room=shown, imported=True))
    sqlite_log.append(call.connection, call.instance_id, numbers.position, event, call.now)
    return imported(left_out)


def take_members(call: Import, record: RoomMembersRecord) -> ImportResult:
    """Adds further members to a room, once."""
    room = call.room(record.room_id, record.room_uid)
    if isinstance(room, str):
        return refused(room)
    if room.kind == RoomKind.ROOM_KIND_DIRECT:
        return refused("the members of a direct room do not change")
    user_ids = [member.user_id for member in record.members]
    if _were_members(call, room, user_ids):
        return unchanged()
    known, left_out = _known(call, _first_of_each(record.members))
    if known:
        position = sqlite_log.draw(call.connection, call.instance_id).position
        _add_members(call, room, known, position)
        added = MembersAdded(room_id=room.id, room_uid=room.uid, user_ids=[member.user_id for member in known])
        sqlite_log.append(call.connection, call.instance_id, position, Event(members_added=added), call.now)
    left_out += _add_cursors(call, room, record.cursors)
    return imported(left_out)


def take_read(call: Import, record: RoomReadRecord) -> ImportResult:
    """Sets the cursors of those who have none."""
    room = call.room(record.room_id, record.room_uid)
    if isinstance(room, str):
        return refused(room)
    until = timestamps.from_proto(record.read_until)
    newest = call.connection.execute(
        "SELECT id FROM messages WHERE instance_id = ? AND room_key = ? AND created_at <= ? ORDER BY id DESC LIMIT 1",
        (call.instance_id, room.key, until),
    ).fetchone()
    if newest is None:
        return unchanged()
    added = call.connection.execute(
        "INSERT OR IGNORE INTO cursors SELECT m.instance_id, m.room_key, m.user_id, :newest, :until FROM members m"
        " WHERE m.instance_id = :instance_id AND m.room_key = :room_key AND m.joined_at <= :until",
        {"newest": newest[0], "until": until, "instance_id": call.instance_id, "room_key": room.key},
    ).rowcount
    if not added:
        return unchanged()
    call.counts.setdefault(room.key, 0)
    return imported()


def _fault(room: Room) -> str:
    """What is wrong with the room of a record, beside field rules; empty if nothing is."""
    if len(room.created_by_id) > MAX_USER_ID:
        return f"created_by_id: at most {MAX_USER_ID} characters"
    return uid_fault(room.uid) or time_fault(room, "created_at", "updated_at")


def _other_fault(call: Import, room: Room) -> str:
    if sqlite_releases.is_pending(call.connection, Owner(call.instance_id, room.uid), ""):
        return "the room was deleted a moment ago, and its files are still being removed: try again later"
    return ""


def _row(room: Room, key: int) -> RoomRow:
    title = room.push_notification_title_override
    return RoomRow(
        key=key,
        id=room.id,
        uid=room.uid,
        name=room.name,
        created_by_id=room.created_by_id,
        private=int(room.private),
        custom_data=room.custom_data.SerializeToString() if room.HasField("custom_data") else None,
        push_notification_title_override=title if room.HasField("push_notification_title_override") else None,
        created_at=timestamps.from_proto(room.created_at),
        updated_at=timestamps.from_proto(room.updated_at),
        last_message_at=None,
        kind=room.kind,
    )


def _first_of_each(members: Iterable[MemberRecord]) -> list[MemberRecord]:
    """The members, each user once."""
    first: dict[str, MemberRecord] = {}
    for member in members:
        first.setdefault(member.user_id, member)
    return list(first.values())


def _known(call: Import, members: Sequence[MemberRecord]) -> tuple[list[MemberRecord], list[str]]:
    """The members who exist, and what is to be said of the others."""
    known = [member for member in members if member.user_id in call.users]
    unknown = {member.user_id for member in members} - call.users
    return known, [f"without members who do not exist: {listed(unknown)}"] if unknown else []


def _were_members(call: Import, room: RoomRow, user_ids: Iterable[str]) -> bool:
    """Whether one of the users is a member, or was one lately."""
    members = set(member_ids(call.connection, call.instance_id, room.key))
    past = call.connection.execute(
        "SELECT user_id FROM past_members WHERE instance_id = ? AND room_key = ?", (call.instance_id, room.key)
    )
    members.update(user_id for (user_id,) in past)
    return not members.isdisjoint(user_ids)


def _add_members(call: Import, room: RoomRow, members: Sequence[MemberRecord], position: int) -> None:
    """Writes memberships of users who are no members yet."""
    rows = [
        (
            *(call.instance_id, room.key, member.user_id, position, ordinal),
            timestamps.from_proto(member.joined_at) if member.HasField("joined_at") else room.created_at,
            *(member.archived_until, member.hidden_before),
        )
        for ordinal, member in enumerate(members)
    ]
    call.connection.executemany(
        "INSERT INTO members (instance_id, room_key, user_id, joined_position, ordinal, joined_at, archived,"
        " hidden_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    call.connection.execute(
        "UPDATE rooms SET member_count = member_count + ? WHERE instance_id = ? AND key = ?",
        (len(rows), call.instance_id, room.key),
    )
    sqlite_member_sets.refresh(call.connection, call.instance_id, room.kind, room.key)


def _add_cursors(call: Import, room: RoomRow, cursors: Sequence[Cursor]) -> list[str]:
    """Writes cursors of users who have none there; returns what is to be said of the others."""
    for cursor in cursors:
        if cursor.user_id in call.users:
            updated_at = timestamps.from_proto(cursor.updated_at) if cursor.HasField("updated_at") else room.created_at
            call.connection.execute(
                "INSERT OR IGNORE INTO cursors VALUES (?, ?, ?, ?, ?)",
                (call.instance_id, room.key, cursor.user_id, max(cursor.position, 0), updated_at),
            )
    unknown = {cursor.user_id for cursor in cursors} - call.users
    return [f"without cursors of users who do not exist: {listed(unknown)}"] if unknown else []
