"""What becomes of records that do not fit, and of messages that draw their ids, over real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.archive_pb2 import ArchiveRecord, AssignmentRecord, MemberRecord, MessageRecord, RoomRecord
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.role_pb2 import Role, RoleScope
from roomline.v1.room_pb2 import Room, RoomKind
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.ids import MICROSECONDS
from services.message.sqlite_log import FIRST_MESSAGE_ID
from tests.services.message.desk import Desk, until
from tests.services.message.stream import watching
from tests.support.archives import CONFLICT, REDUCED, REFUSED, TAKEN, THERE, Archive
from tests.support.cluster import Cluster, running_cluster
from tests.support.talker import Talker

DAY = 1_500_000_000
"""When everything in the records happens."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, watch_heartbeat_seconds=0.2) as running:
        await running.add_users("bob", "ann", "eve")
        yield running


@pytest.fixture
def target(cluster: Cluster) -> Archive:
    return Archive(cluster.message_channel, cluster.service.metadata("one"))


def uid(number: int) -> str:
    return f"01890000-0000-7000-8000-{number:012d}"


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=DAY + seconds)


def room(
    number: int, *members: str, room_id: str = "", kind: RoomKind.ValueType = RoomKind.ROOM_KIND_UNSPECIFIED
) -> ArchiveRecord:
    made = Room(id=room_id or f"r{number}", uid=uid(number), name="a room", kind=kind, created_by_id="bob")
    made.created_at.CopyFrom(at(0))
    made.updated_at.CopyFrom(at(0))
    return ArchiveRecord(room=RoomRecord(room=made, members=[MemberRecord(user_id=one) for one in members]))


def message(number: int, seconds: int, *, message_id: int = 0, in_room: int = 1, user_id: str = "bob") -> ArchiveRecord:
    sent = Message(id=message_id, uid=uid(1000 + number), user_id=user_id, room_id=f"r{in_room}", room_uid=uid(in_room))
    sent.parts.add(type="text/plain", content=f"message {number}")
    sent.created_at.CopyFrom(at(seconds))
    sent.updated_at.CopyFrom(at(seconds))
    return ArchiveRecord(message=MessageRecord(message=sent))


def changed(record: ArchiveRecord, change: Callable[[Message], object]) -> ArchiveRecord:
    change(record.message.message)
    return record


async def test_unknown_users_are_left_out_and_named(target: Archive) -> None:
    record = room(1, "bob", "ghost", "ann", "wraith")
    record.room.cursors.extend([Cursor(user_id="bob", position=3), Cursor(user_id="shade", position=4)])
    hidden = message(1, 1, user_id="long gone")
    hidden.message.hidden_by.extend(["ann", "ghost"])
    first, second = await target.take(record, hidden)
    assert (first.outcome, second.outcome) == (REDUCED, REDUCED)
    assert "ghost, wraith" in first.detail
    assert "shade" in first.detail
    assert "ghost" in second.detail
    made, sent = await target.export()
    assert [member.user_id for member in made.room.members] == ["bob", "ann"]
    assert [cursor.user_id for cursor in made.room.cursors] == ["bob"]
    assert (list(sent.message.hidden_by), sent.message.message.user_id) == (["ann"], "long gone")


async def test_rooms_that_are_there_in_another_way(target: Archive) -> None:
    await target.take_all([room(1, "bob")])
    same_id, same_uid = room(2, room_id="r1"), room(1, room_id="another")
    assert await target.outcomes(same_id, same_uid, room(1, "ann")) == [CONFLICT, CONFLICT, THERE]
    elsewhere = message(1, 1)
    elsewhere.message.message.room_uid = uid(2)
    (result,) = await target.take(elsewhere)
    assert (result.outcome, "another one" in result.detail) == (REFUSED, True)


async def test_a_pair_has_one_direct_room(cluster: Cluster, target: Archive) -> None:
    direct = RoomKind.ROOM_KIND_DIRECT
    bob = Talker.user(cluster, "bob")
    opened = await bob.opened("ann")
    records = [
        room(1, "ann", "bob", kind=direct),
        room(2, "ann", "eve", kind=direct),
        room(3, "eve", "ann", kind=direct),
        room(4, "eve", "ann", "bob", kind=direct),
        room(5, "ghost", "bob", kind=direct),
        room(6, "bob", "phantom", kind=direct),
    ]
    assert await target.outcomes(*records) == [CONFLICT, TAKEN, CONFLICT, REFUSED, REDUCED, REDUCED]
    assert await Talker.user(cluster, "eve").opened("ann") == uid(2)
    assert await bob.opened("ann") == opened


async def test_roles_and_assignments_that_do_not_fit(target: Archive) -> None:
    local, everywhere = RoleScope.ROLE_SCOPE_ROOM, RoleScope.ROLE_SCOPE_GLOBAL

    def role(name: str, *permissions: str, scope: RoleScope.ValueType = everywhere) -> ArchiveRecord:
        return ArchiveRecord(role=Role(name=name, scope=scope, permissions=permissions))

    def assigned(user_id: str, name: str, **fields: str) -> ArchiveRecord:
        return ArchiveRecord(assignment=AssignmentRecord(user_id=user_id, role_name=name, **fields))

    assert await target.outcomes(
        role("zed", "room:get", "room:get"),
        role("amy", "room:get"),
        role("zed", "room:get"),
        role("zed", "room:join"),
        role("zed", "room:join", scope=local),
        role("odd", "NO PERMISSION"),
        room(1, "bob"),
    ) == [TAKEN, TAKEN, THERE, CONFLICT, TAKEN, REFUSED, TAKEN]
    assert [record.role.name for record in (await target.export())[:3]] == ["zed", "amy", "zed"]
    assert await target.outcomes(
        assigned("bob", "zed"),
        assigned("bob", "zed"),
        assigned("bob", "admin"),
        assigned("ann", "admin"),
        assigned("ann", "unheard of"),
        assigned("ghost", "admin"),
        assigned("ann", "zed", room_id="r1", room_uid=uid(1)),
        assigned("eve", "zed", room_id="r1", room_uid=uid(2)),
        assigned("eve", "zed", room_id="r2"),
        assigned("eve", "zed", room_id=""),
    ) == [TAKEN, THERE, CONFLICT, TAKEN, REFUSED, REFUSED, TAKEN, REFUSED, REFUSED, REFUSED]


async def test_messages_that_do_not_fit(cluster: Cluster, target: Archive) -> None:
    await target.take_all([room(1, "bob"), room(2, "bob"), message(1, 10, message_id=FIRST_MESSAGE_ID + 10)])
    first = FIRST_MESSAGE_ID
    ahead = Timestamp(seconds=cluster.clock() // MICROSECONDS + 2 * 3600)
    bad = {
        "no room": message(2, 20, in_room=9),
        "another message of this id": message(3, 20, message_id=first + 10, in_room=2),
        "in the room": changed(message(1, 20, in_room=2), lambda one: one),
        "newer messages with smaller ids": message(4, 5, message_id=first + 11),
        "older messages with greater ids": message(5, 15, message_id=first + 9),
        "has newer messages": message(6, 5),
        "not between": message(7, 20, message_id=first - 1),
        "not between 1000000 and": message(8, 20, message_id=2**60),
        "created_at": changed(message(9, 20), lambda one: one.ClearField("created_at")),
        "uid": changed(message(10, 20), lambda one: setattr(one, "uid", "no uid")),
        "reply_to": changed(message(11, 20), lambda one: setattr(one, "reply_to", "no uid")),
        "user_id": message(12, 20, user_id=""),
        "no parts": changed(message(13, 20), lambda one: one.ClearField("parts")),
        "future": changed(message(14, 20), lambda one: one.created_at.CopyFrom(ahead)),
        "expired": changed(message(15, 20), lambda one: one.expires_at.CopyFrom(at(30))),
        "parts[0].type": changed(message(16, 20), lambda one: setattr(one.parts[0], "type", "none")),
        "one of content": changed(message(17, 20), lambda one: one.parts.extend([Part(type="a/b")])),
        "elsewhere": changed(message(18, 20), lambda one: one.parts.add(type="a/b", url="javascript:alert(1)")),
        "65536": changed(message(19, 20), lambda one: one.parts.add(type="a/b", content="x" * 65536)),
        "16 items": changed(message(20, 20), lambda one: one.parts.extend([one.parts[0]] * 16)),
    }
    results = await target.take(*bad.values(), message(99, 20))
    expected = [CONFLICT if "another" in why or "in the room" in why else REFUSED for why in bad]
    assert [result.outcome for result in results] == [*expected, TAKEN]
    for why, result in zip(bad, results, strict=False):
        assert why in result.detail
    messages = [record.message.message.uid for record in await target.export() if record.HasField("message")]
    assert messages == [uid(1001), uid(1099)]


async def test_kept_and_drawn_ids(cluster: Cluster, target: Archive) -> None:
    first = FIRST_MESSAGE_ID
    await target.take_all([room(1, "bob", "ann"), room(2, "bob")])
    await target.take_all([message(1, 10), message(2, 5, message_id=first + 100, in_room=2), message(3, 10)])
    assert await target.outcomes(message(1, 10), message(3, 10)) == [THERE, THERE]
    await target.take_all([message(5, 11)])
    ids = {record.message.message.uid: record.message.message.id for record in (await target.export())[2:]}
    assert ids == {uid(1001): first, uid(1002): first + 100, uid(1003): first + 101, uid(1005): first + 102}
    sent = await Talker.user(cluster, "ann").send(uid(1))
    assert sent.id == first + 103
    (late,) = await target.take(message(6, 12))
    assert (late.outcome, late.detail) == (REFUSED, "the room has newer messages")


async def test_members_may_have_read_what_was_imported(cluster: Cluster, target: Archive) -> None:
    record = room(1, "bob", "ann")
    record.room.cursors.add(user_id="ann", position=FIRST_MESSAGE_ID)
    await target.take_all([record, *(message(number, number) for number in range(5))])
    seen = ArchiveRecord()
    seen.room_read.room_id, seen.room_read.room_uid = "r1", uid(1)
    seen.room_read.read_until.CopyFrom(at(3))
    async with watching(cluster, cluster.as_server(), WatchTopic(id=1, instance=True)) as stream:
        assert await target.outcomes(seen, seen) == [TAKEN, THERE]
        (event,) = await stream.next()
    told = event.messages_imported
    assert (told.room_uid, told.count) == (uid(1), 0), "one event for all members: nobody is told of it"
    cursors = {cursor.user_id: cursor.position for record in await target.export() for cursor in record.room.cursors}
    assert cursors == {"bob": FIRST_MESSAGE_ID + 3, "ann": FIRST_MESSAGE_ID}
    unread = [(await Talker.user(cluster, one).view(uid(1))).unread_count for one in ("bob", "ann")]
    assert unread == [1, 4]
    await Talker.user(cluster, "bob").invite(uid(1), "eve")
    assert await target.outcomes(seen) == [THERE]


async def test_nobody_is_told_of_imported_messages(cluster: Cluster, target: Archive) -> None:
    ann = WatchTopic(id=2, user_id="ann")
    async with watching(cluster, cluster.service.metadata("one"), WatchTopic(id=1, instance=True), ann) as stream:
        await target.take_all([room(1, "bob", "ann"), room(2, "bob"), *(message(one, one) for one in range(3))])
        sent = await Talker.user(cluster, "bob").send(uid(1))
        await stream.until(lambda: "message_sent" in stream.kinds(2))
    assert stream.kinds(1) == ["room_created", "room_created", "messages_imported", "message_sent"]
    assert stream.kinds(2) == ["room_created", "messages_imported", "message_sent"]
    created, told = stream.events[0].event.room_created, stream.events[2].event.messages_imported
    assert (created.imported, list(created.room.member_user_ids)) == (True, ["bob", "ann"])
    assert (told.room_id, told.room_uid, told.count) == ("r1", uid(1), 3)
    view = await Talker.user(cluster, "ann").view(uid(1))
    assert (view.unread_count, view.last_message.uid) == (4, sent.uid)


async def test_a_user_who_was_deleted_is_as_good_as_new(cluster: Cluster, target: Archive) -> None:
    await cluster.users.DeleteUser(DeleteUserRequest(id="ann"), metadata=cluster.as_server())
    assert await target.outcomes(room(1, "ann")) == [REDUCED]
    users = Archive(cluster.user_channel, cluster.service.metadata("one"))
    back = ArchiveRecord()
    back.user.user.CopyFrom(User(id="ann", uid=uid(7), name="Ann", created_at=at(0), updated_at=at(0)))
    await users.take_all([back])
    await target.take_all([room(2, "ann", "bob"), message(1, 1, in_room=2, user_id="ann")])
    await Talker.user(cluster, "ann").send(uid(2))


async def test_a_call_is_refused_as_a_whole_only_if_it_must_be(cluster: Cluster, target: Archive) -> None:
    await target.take_all([room(1, "bob")])
    long = room(2, "bob")
    long.room.members.add(user_id="x" * 161)
    foreign = ArchiveRecord()
    foreign.avatar.user_id = "bob"
    results = await target.take(ArchiveRecord(), foreign, long, message(2, 2))
    assert [result.outcome for result in results] == [REFUSED, REFUSED, REFUSED, TAKEN]
    assert "160" in results[2].detail


async def test_users_whom_nobody_can_be_are_no_reason_to_refuse_a_call(target: Archive) -> None:
    record, hidden = room(1, "bob"), message(1, 1)
    record.room.cursors.extend([Cursor(user_id="x" * 161, position=3), Cursor(position=3)])
    hidden.message.hidden_by.append("")
    assert await target.outcomes(record, hidden) == [REDUCED, REDUCED]


@pytest.mark.thorough
async def test_a_room_whose_files_are_still_being_removed(desk: Desk) -> None:
    """Taken up at once, it would lose its files to the removal of the deleted one."""
    archive = Archive(desk.cluster.message_channel, desk.cluster.service.metadata("one"))
    file = await desk.file(b"figure")
    await desk.send(file.id)
    records = [
        record for record in await archive.export() if "den" in {record.room.room.id, record.message.message.room_id}
    ]
    await desk.stop_media()
    await desk.delete_room("den")
    results = await archive.take(*records)
    assert [result.outcome for result in results] == [REFUSED] * 2
    assert "try again later" in results[0].detail
    await desk.start_media()
    await desk.restart_message()

    async def is_told() -> bool:
        return not desk.pending()

    await until(is_told)
    await archive.take_all(records)
