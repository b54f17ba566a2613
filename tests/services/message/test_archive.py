"""Rooms, messages, roles and cursors out and in again, over real gRPC."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.cursor_service_pb2 import SetCursorRequest
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.role_pb2 import Role, RoleScope
from roomline.v1.room_service_pb2 import CreateRoomRequest, UpdateRoomRequest

from tests.services.message.desk import until
from tests.services.message.stream import watching
from tests.support.archives import REDUCED, REFUSED, TAKEN, THERE, Archive, lines
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


async def test_messages_that_many_have_hidden_have_several_records(
    cluster: Cluster, bob: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.common.archive.ITEMS_AT_ONCE", 2)
    users = [f"user-{number}" for number in range(5)]
    for instance_id in ("one", "two"):
        await cluster.add_users(*users, instance_id=instance_id)
    request = CreateRoomRequest(id="large", name="Large", user_ids=["bob", *users])
    room = (await cluster.rooms.CreateRoom(request, metadata=cluster.as_server("bob"))).room
    first, last = [await bob.send(room.uid) for _ in range(2)]
    for user_id in users:
        await Talker.user(cluster, user_id).hide(first.uid)
    await Talker.user(cluster, users[0]).hide(last.uid)
    records = await archive(cluster).export()
    kinds = [record.WhichOneof("kind") for record in records if record.WhichOneof("kind") != "room_members"]
    assert kinds == ["room", "message", "message_hidden", "message_hidden", "message"]
    target = archive(cluster, "two")
    hidden = [record for record in records if record.HasField("message_hidden")]
    assert await target.outcomes(*hidden) == [REFUSED] * 2
    await target.take_all([record for record in records if record not in hidden])  # as if it had been cut off
    async with watching(cluster, cluster.service.metadata("two"), WatchTopic(id=1, instance=True)) as stream:
        assert await target.outcomes(*records) == [TAKEN if record in hidden else THERE for record in records]
        (event,) = await stream.next()
    told = event.messages_imported
    assert (told.room_uid, told.count) == (room.uid, 0), "whoever counts what is unread counts again"
    assert lines(await target.export()) == lines(records)
    assert await target.outcomes(*records) == [THERE] * len(records)
    more = ArchiveRecord()
    more.message_hidden.message_uid = first.uid
    outcomes = []
    for user_id in ("nobody", "bob", "nobody"):
        more.message_hidden.hidden_by.append(user_id)
        outcomes += await target.outcomes(more)
    assert outcomes == [REFUSED, REDUCED, THERE]


async def test_large_rooms_have_several_records(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.common.archive.ITEMS_AT_ONCE", 2)
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


def _query(cluster: Cluster, statement: str, *values: object) -> list[tuple[object, ...]]:
    path = cluster.settings.data_dir / "message.db"
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()
