"""Rooms, messages, roles and cursors out and in again, over real gRPC."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ExportRecordsRequest
from roomline.v1.cursor_service_pb2 import SetCursorRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.role_pb2 import Role, RoleScope
from roomline.v1.room_service_pb2 import CreateRoomRequest, UpdateRoomRequest

from services.common.archive import FRAME_BYTES
from tests.services.message.desk import until
from tests.support.archives import THERE, Archive, lines
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker

PEOPLE = ("bob", "ann", "eve")


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two instances with the same users."""
    async with running_cluster(tmp_path, clock=ShiftedClock()) as running:
        await running.add_instance("two")
        for instance_id in ("one", "two"):
            await running.add_users(*PEOPLE, instance_id=instance_id)
        yield running


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


def archive(cluster: Cluster, instance_id: str = "one") -> Archive:
    return Archive(cluster.message_channel, cluster.service.metadata(instance_id))


def other(cluster: Cluster, user_id: str) -> Talker:
    """Somebody in the other instance."""
    return Talker(cluster, cluster.as_user(user_id, "two"), user_id)


async def lived_in(cluster: Cluster, bob: Talker, ann: Talker) -> tuple[str, str, str]:
    """Everything that an archive can have; returns the uids of a direct room, a group and a Chatkit room."""
    direct, group = await bob.opened("ann"), await bob.opened("ann", "eve")
    custom_data = Struct()
    custom_data.update({"n": 1.5, "list": [None, True, {"b": "c"}]})
    made = CreateRoomRequest(
        id="lobby", name="Lobby", user_ids=PEOPLE, custom_data=custom_data, push_notification_title_override="!"
    )
    lobby = (await cluster.rooms.CreateRoom(made, metadata=cluster.as_server("eve"))).room
    lobby.name = "The lobby"
    await cluster.rooms.UpdateRoom(UpdateRoomRequest(room=lobby), metadata=cluster.as_server())
    first = await bob.send(direct, "one")
    answer = SendMessageRequest(
        room_uid=direct,
        parts=[
            Part(type="text/plain", content="two"),
            Part(type="image/png", url="https://example.org/a.png"),
        ],
        reply_to=first.uid,
        custom_data=custom_data,
    )
    await cluster.messages.SendMessage(answer, metadata=ann.metadata)
    await bob.edit(first.uid, "uno")
    gone = await bob.send(group, "wiped")
    await bob.unsend(gone.uid)
    hidden = await bob.send(group, "hidden")
    await bob.send(group, "lasts", seconds=3000)
    await bob.send(group, "expires", seconds=60)
    await bob.archive(group)
    await ann.discard(direct)
    await ann.mark(group, hidden.uid)
    await ann.hide(hidden.uid)
    await cluster.cursors.SetCursor(
        SetCursorRequest(user_id="eve", room_id="lobby", position=7), metadata=cluster.as_server()
    )
    for name, scope in (("zealot", RoleScope.ROLE_SCOPE_ROOM), ("admin", RoleScope.ROLE_SCOPE_GLOBAL)):
        role = Role(name=name, scope=scope, permissions=["user:rooms:get", "a:b", "room:get"])
        await cluster.access.CreateRole(CreateRoleRequest(role=role), metadata=cluster.as_server())
    for request in (
        AssignRoleRequest(user_id="eve", role_name="admin"),
        AssignRoleRequest(user_id="eve", role_name="zealot", room_id="lobby"),
    ):
        await cluster.access.AssignRole(request, metadata=cluster.as_server())
    clock = cluster.clock
    assert isinstance(clock, ShiftedClock)
    clock.advance(61)
    return direct, group, lobby.uid


async def test_all_comes_back_as_it_was(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    direct, group, lobby = await lived_in(cluster, bob, ann)
    records = await archive(cluster).export()
    kinds = ["role"] * 2 + ["room"] * 3 + ["assignment"] * 2 + ["message"] * 5
    assert [record.WhichOneof("kind") for record in records] == kinds
    assert '"expires"' not in "".join(lines(records[-1:]))
    await archive(cluster, "two").take_all(records)
    assert lines(await archive(cluster, "two").export()) == lines(records)
    for one in PEOPLE:
        assert await other(cluster, one).views() == await Talker.user(cluster, one).views()
    assert await other(cluster, "bob").match("bob", "ann") == direct
    assert await other(cluster, "bob").opened("ann", "eve") == group
    assert [message.uid for message in await other(cluster, "ann").replies(group)] == [
        message.uid for message in await ann.replies(group)
    ]
    assert await other(cluster, "eve").get_room(lobby) == await Talker.user(cluster, "eve").get_room(lobby)
    again = await other(cluster, "bob").send(direct, "later")
    assert again.id == records[-1].message.message.id + 1


async def test_an_import_that_is_repeated_changes_nothing(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    direct, group, _ = await lived_in(cluster, bob, ann)
    records = await archive(cluster).export()
    target = archive(cluster, "two")
    await target.take_all(records[:7])  # as if it had been cut off
    assert await target.outcomes(*records[:7]) == [THERE] * 7
    await target.take_all(records[7:])
    assert await target.outcomes(*records) == [THERE] * len(records)
    assert lines(await target.export()) == lines(records)
    # What has become of it since stays, too.
    await other(cluster, "bob").unsend((await other(cluster, "bob").replies(direct))[0].uid)
    await Talker(cluster, cluster.as_server("eve", "two"), "eve").leave(group)
    now = lines(await target.export())
    assert await target.outcomes(*records) == [THERE] * len(records)
    assert lines(await target.export()) == now


async def test_what_was_deleted_since_comes_back(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    await lived_in(cluster, bob, ann)
    records = await archive(cluster).export()
    eve = Talker.server(cluster, "eve")
    for uid in [record.room.room.uid for record in records if record.HasField("room")]:
        await eve.delete_room(uid)
        rooms = [record for record in records if record.room.room.uid == uid]
        messages = [record for record in records if record.message.message.room_uid == uid]

        async def is_told(uid: str = uid) -> bool:
            return not _query(cluster, "SELECT 1 FROM releases WHERE uid = ?", uid)

        await until(is_told)
        await archive(cluster).take_all([*rooms, *messages])  # what is left of the deleted one may still be there
    assert lines(await archive(cluster).export())[:2] == lines(records)[:2]
    kept = [record for record in records if record.HasField("message")]
    assert [record for record in await archive(cluster).export() if record.HasField("message")] == kept


async def test_the_archive_of_one_user(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    direct, group, lobby = await lived_in(cluster, bob, ann)
    left = await Talker.server(cluster, "eve").send(group, "goodbye")
    await Talker.server(cluster, "eve").leave(group)
    records = await archive(cluster).export("eve")
    text = "\n".join(lines(records))
    assert direct not in text
    assert [record.room.room.uid for record in records if record.HasField("room")] == [group, lobby]
    assert [[member.user_id for member in record.room.members] for record in records if record.HasField("room")] == [
        [],
        ["eve"],
    ]
    assert [record.message.message.uid for record in records if record.HasField("message")] == [left.uid]
    assert {record.role.name for record in records if record.HasField("role")} == {"zealot", "admin"}
    assert sum(record.HasField("assignment") for record in records) == 2
    assert {record.room.cursors[0].user_id for record in records if record.room.cursors} == {"eve"}
    await archive(cluster, "two").take_all(records)
    assert lines(await archive(cluster, "two").export("eve")) == lines(records)
    with refuses("USER_NOT_FOUND"):
        await archive(cluster).export("nobody")


async def test_a_new_room_has_the_next_place(cluster: Cluster, bob: Talker) -> None:
    rooms = [await bob.opened(*others) for others in (("ann",), ("eve",), ("ann", "eve"))]
    await archive(cluster, "two").take_all((await archive(cluster).export())[:2])
    assert await other(cluster, "bob").opened("ann") == rooms[0]
    assert await other(cluster, "bob").opened("ann", "eve") not in rooms


async def test_a_client_that_leaves_ends_its_snapshot(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(2):
        await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
    call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
    frame = await anext(aiter(call))
    assert 0 < frame.ByteSize() < 2 * FRAME_BYTES
    await bob.send(room)
    assert _is_held(cluster), "the log of what was written since is needed as long as there is the snapshot"
    call.cancel()

    async def is_free() -> bool:
        return not _is_held(cluster)

    await until(is_free)


async def test_a_server_that_stops_ends_its_exports(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.add_users("bob", "ann")
        await Talker.user(cluster, "bob").opened("ann")
        for _ in range(2):
            await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
        call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
        frames = aiter(call)
        await anext(frames)
        await cluster.message_server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            _ = [frame async for frame in frames]

        async def is_free() -> bool:
            return not _is_held(cluster)

        await until(is_free)


async def test_a_snapshot_does_not_know_what_comes_later(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
    call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
    frames = aiter(call)
    first = await anext(frames)
    late = await bob.send(room)
    records = [*first.records, *[record async for frame in frames for record in frame.records]]
    assert first.total == len(records) == 61
    assert late.uid not in {record.message.message.uid for record in records}


async def test_large_rooms_have_several_records(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.message.sqlite_export.MEMBERS_AT_ONCE", 2)
    users = [f"user-{number}" for number in range(5)]
    for instance_id in ("one", "two"):
        await cluster.add_users(*users, instance_id=instance_id)
    request = CreateRoomRequest(id="large", name="Large", user_ids=reversed(users))
    await cluster.rooms.CreateRoom(request, metadata=cluster.as_server(users[-1]))
    for user_id in users[:3]:
        cursor = SetCursorRequest(user_id=user_id, room_id="large", position=5)
        await cluster.cursors.SetCursor(cursor, metadata=cluster.as_server())
    records = await archive(cluster).export()
    assert [record.WhichOneof("kind") for record in records] == ["room", "room_members", "room_members"]
    target = archive(cluster, "two")
    await target.take_all(records)
    assert lines(await target.export()) == lines(records)
    await Talker(cluster, cluster.as_server(instance_id="two"), users[0]).leave(records[0].room.room.uid)
    assert await target.outcomes(*records) == [THERE] * 3
    members = [*(await target.export())[0].room.members, *(await target.export())[1].room_members.members]
    assert users[0] not in {member.user_id for member in members}


def _bulk(room: ArchiveRecord, count: int) -> list[ArchiveRecord]:
    """Messages that are too many for the buffers of a connection."""
    made = room.room.room
    record = ArchiveRecord()
    message = record.message.message
    message.user_id, message.room_id = "bob", made.id
    message.parts.add(type="text/plain", content="x" * 60_000)
    message.created_at.CopyFrom(made.created_at)
    message.updated_at.CopyFrom(made.created_at)
    bulk = [ArchiveRecord() for _ in range(count)]
    for one in bulk:
        one.CopyFrom(record)
        one.message.message.uid = _next_uid()
    return bulk


_uids = iter(range(10**9))


def _next_uid() -> str:
    return f"01890000-0000-7000-8000-{next(_uids):012d}"


def _query(cluster: Cluster, statement: str, *values: object) -> list[tuple[object, ...]]:
    path = cluster.settings.data_dir / "message.db"
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def _is_held(cluster: Cluster) -> bool:
    """Whether somebody reads an older state of the database."""
    try:
        ((busy, *_),) = _query(cluster, "PRAGMA wal_checkpoint(RESTART)")
    except sqlite3.OperationalError:
        return True
    return bool(busy)
