"""Who may watch what, and how long (faults 3, 5, 6 and 9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.role_pb2 import Role, RoleScope
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import CreateRoomRequest, DeleteRoomRequest, RemoveMembersRequest, UpdateRoomRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from tests.services.message.stream import Stream, said, watching
from tests.support.cluster import Cluster, running_cluster
from tests.support.talker import Talker


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path) as running:
        await running.add_users("bob", "ann", "eve")
        yield running


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


async def create(cluster: Cluster, *members: str, private: bool = True, room_id: str = "") -> str:
    """The uid of a room that the first one makes."""
    request = CreateRoomRequest(id=room_id, name="a room", private=private, user_ids=members[1:])
    return (await cluster.rooms.CreateRoom(request, metadata=cluster.as_user(members[0]))).room.uid


async def remove(cluster: Cluster, room: str, *user_ids: str) -> None:
    request = RemoveMembersRequest(room_id=room, user_ids=user_ids)  # without an id of its own, a room has its uid
    await cluster.rooms.RemoveMembers(request, metadata=cluster.as_server())


async def delete_user(cluster: Cluster, user_id: str) -> None:
    await cluster.users.DeleteUser(DeleteUserRequest(id=user_id), metadata=cluster.as_server())


def words(stream: Stream, topic_id: int) -> list[str]:
    """What messages of a topic say."""
    return [
        said(watched.event)
        for watched in stream.events
        if topic_id in watched.topic_ids and watched.event.HasField("message_sent")
    ]


async def test_strangers_are_refused(cluster: Cluster, bob: Talker) -> None:
    room = await create(cluster, "bob", "ann", room_id="den")
    await bob.send(room, "a secret")
    topics = {
        "NOT_A_MEMBER": WatchTopic(id=1, room_id="den", after_position=0),
        "ROOM_NOT_FOUND": WatchTopic(id=2, room_uid=room, after_position=0),
        "SUBJECT_MISMATCH": WatchTopic(id=3, user_id="bob", after_position=0),
        "CALLER_NOT_ALLOWED": WatchTopic(id=4, instance=True, after_position=0),
    }
    async with watching(cluster, cluster.as_user("eve")) as stream:
        for reason, topic in topics.items():
            assert await stream.refused(topic) == reason
        for uid in ("nothing", "01a20343-ffff-7fff-bfff-ffffffffffff"):
            assert await stream.refused(WatchTopic(id=5, room_uid=uid)) == "ROOM_NOT_FOUND"
        await stream.follow(WatchTopic(id=6, user_id="eve", after_position=0))
        await create(cluster, "eve")
        assert len(await stream.next()) == len(stream.events) == 1
    await cluster.add_instance("two")
    async with watching(cluster, cluster.as_server(instance_id="two")) as stream:
        assert await stream.refused(WatchTopic(id=1, room_id="den")) == "ROOM_NOT_FOUND"
        assert await stream.refused(WatchTopic(id=2, room_uid=room)) == "ROOM_NOT_FOUND"
        assert await stream.refused(WatchTopic(id=3, user_id="bob")) == "USER_NOT_FOUND"
        await stream.follow(WatchTopic(id=4, instance=True))
        assert stream.positions == {4: 0}


async def test_a_removed_member_sees_its_removal_last(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    den, mark = await create(cluster, "bob", "ann", "eve"), await create(cluster, "bob", "ann")
    topics = [WatchTopic(id=1, room_uid=den), WatchTopic(id=2, user_id="ann"), WatchTopic(id=3, room_uid=mark)]
    async with watching(cluster, ann.metadata, *topics) as stream:
        await bob.send(den, "before")
        await remove(cluster, den, "ann")
        await bob.send(den, "after")
        await bob.send(mark, "mark")
        assert await stream.ends(1) == "NOT_A_MEMBER"
        await stream.until(lambda: words(stream, 3) == ["mark"])
        assert "after" not in words(stream, 1) + words(stream, 2)
        assert stream.kinds(2)[-2:] == ["members_removed", "message_sent"]
        assert "members_removed" not in stream.kinds(1)
        assert await stream.refused(WatchTopic(id=4, room_uid=den, after_position=0)) == "ROOM_NOT_FOUND"
        # A member again.
        await bob.invite(den, "ann")
        await bob.send(den, "welcome")
        await stream.until(lambda: words(stream, 2)[-1] == "welcome")
        await stream.follow(WatchTopic(id=1, room_uid=den, after_position=0))
        await stream.until(lambda: words(stream, 1)[-1] == "welcome")
        assert words(stream, 1)[-3:] == ["before", "after", "welcome"]  # as `ListMessages` shows it


async def test_a_former_member_resumes_without_the_rooms_it_has_left(
    cluster: Cluster, bob: Talker, ann: Talker
) -> None:
    left, kept, gone, again = [await create(cluster, "bob", "ann") for _ in range(4)]
    for word in ("first", "second"):
        for room in (left, kept, gone, again):
            await bob.send(room, word)
        if word == "first":
            await remove(cluster, again, "ann")
            await bob.send(again, "unseen")
            await bob.invite(again, "ann")
    await remove(cluster, left, "ann")
    await bob.send(left, "unseen")
    await cluster.rooms.DeleteRoom(DeleteRoomRequest(room_id=gone), metadata=cluster.as_server())
    await bob.send(kept, "last")
    async with watching(cluster, ann.metadata, WatchTopic(id=1, user_id="ann", after_position=0)) as stream:
        await stream.until(lambda: "last" in words(stream, 1))
    rooms: dict[str, list[str | None]] = {}
    for watched in stream.events:
        change = getattr(watched.event, watched.event.WhichOneof("change") or "")
        uid = getattr(change, "room_uid", "") or getattr(change, "room", Room()).uid or change.message.room_uid
        rooms.setdefault(uid, []).append(watched.event.WhichOneof("change"))
    assert rooms == {
        left: ["members_removed"],
        kept: ["room_created", *["message_sent"] * 3],
        gone: ["room_deleted"],
        again: ["room_created", "message_sent", "members_removed", "members_added", "message_sent"],
    }
    assert "unseen" not in words(stream, 1)


async def test_a_public_room_is_open_until_it_is_private(cluster: Cluster, bob: Talker) -> None:
    room = await create(cluster, "bob", "ann", private=False, room_id="hall")
    topic = WatchTopic(id=1, room_id="hall")
    async with (
        watching(cluster, cluster.as_user("eve"), topic) as eve,
        watching(cluster, cluster.as_user("ann"), topic) as ann,
    ):
        await bob.send(room, "hello")
        for stream in (eve, ann):
            assert said((await stream.next())[0]) == "hello"
        request = UpdateRoomRequest(room=Room(id="hall", private=True), update_mask=FieldMask(paths=["private"]))
        await cluster.rooms.UpdateRoom(request, metadata=cluster.as_server())
        await bob.send(room, "in private")
        assert (await eve.ends(), eve.kinds()) == ("NOT_A_MEMBER", ["message_sent"])
        assert [event.WhichOneof("change") for event in await ann.next(2)] == ["room_updated", "message_sent"]


async def test_a_deleted_room_ends_what_follows_it(cluster: Cluster, bob: Talker) -> None:
    room = await create(cluster, "bob", "ann", room_id="den")
    async with (
        watching(cluster, cluster.as_user("ann"), WatchTopic(id=1, room_uid=room)) as ann,
        watching(cluster, cluster.as_server(), WatchTopic(id=1, room_id="den")) as server,
    ):
        await cluster.rooms.DeleteRoom(DeleteRoomRequest(room_id="den"), metadata=cluster.as_server())
        anew = await create(cluster, "bob", room_id="den")
        await bob.send(anew, "another room")
        for stream in (ann, server):
            assert (await stream.ends(), stream.events) == ("ROOM_NOT_FOUND", [])
        # What belongs to the old room does not come under the name of the new one.
        await server.follow(WatchTopic(id=1, room_id="den", after_position=0))
        assert [event.WhichOneof("change") for event in await server.next(2)] == ["room_created", "message_sent"]


async def test_a_deleted_user_hears_no_more(cluster: Cluster, bob: Talker) -> None:
    den, hall = await create(cluster, "bob", "ann", "eve"), await create(cluster, "eve", "ann", private=False)
    own, foreign = WatchTopic(id=1, user_id="ann"), WatchTopic(id=2, room_uid=hall)
    everybody = [WatchTopic(id=1, user_id="bob"), WatchTopic(id=2, room_uid=den), WatchTopic(id=3, room_uid=hall)]
    async with (
        watching(cluster, cluster.as_user("ann"), own, foreign) as ann,
        watching(cluster, cluster.as_user("bob"), *everybody) as stream,
        watching(cluster, cluster.as_server(), own) as server,
    ):
        await delete_user(cluster, "ann")
        await bob.send(den, "after")
        for last in (ann, server):
            assert await last.ends() == "USER_NOT_FOUND"
            deleted = last.events[-1].event.user_deleted
            assert (deleted.user_id, set(deleted.room_uids)) == ("ann", {den, hall})
        await ann.until(lambda: 2 in ann.ended)
        assert (ann.ended[2], ann.kinds()) == ("USER_NOT_FOUND", ["user_deleted"])
        await stream.next(3)
        # Every topic learns of the rooms that it has to do with.
        told = {tuple(watched.topic_ids): watched.event.user_deleted for watched in stream.events[:2]}
        assert {topics: list(deleted.room_uids) for topics, deleted in told.items()} == {(1, 2): [den], (3,): [hall]}
        assert await server.refused(own) == "USER_NOT_FOUND"
    async with watching(cluster, cluster.as_user("bob"), WatchTopic(id=1, user_id="bob", after_position=2)) as stream:
        event, _ = await stream.next(2)
        assert (list(event.user_deleted.room_uids), len(event.user_deleted.room_ids)) == ([den], 1)


async def test_a_role_that_changes_counts_for_open_streams(cluster: Cluster, bob: Talker) -> None:
    room = await create(cluster, "bob", "ann", room_id="den")
    role = Role(name="mute", scope=RoleScope.ROLE_SCOPE_GLOBAL, permissions=["room:get"])
    await cluster.access.CreateRole(CreateRoleRequest(role=role), metadata=cluster.as_server())
    topic = WatchTopic(id=1, room_uid=room)
    async with (
        watching(cluster, cluster.as_user("ann"), topic) as ann,
        watching(cluster, cluster.as_user("bob"), topic) as stream,
    ):
        request = AssignRoleRequest(user_id="ann", role_name="mute")
        await cluster.access.AssignRole(request, metadata=cluster.as_server())
        assert await ann.ends() == "PERMISSION_MISSING"
        await bob.send(room)
        assert (await stream.next())[0].HasField("message_sent")
        assert await ann.refused(WatchTopic(id=2, room_id="den")) == "PERMISSION_MISSING"
        assert not ann.events


async def test_who_must_not_read_messages_has_no_feed_of_them(cluster: Cluster, bob: Talker) -> None:
    room = await create(cluster, "bob", "ann")
    role = Role(name="mute", scope=RoleScope.ROLE_SCOPE_GLOBAL, permissions=["room:get"])
    await cluster.access.CreateRole(CreateRoleRequest(role=role), metadata=cluster.as_server())
    async with (
        watching(cluster, cluster.as_user("ann"), WatchTopic(id=1, user_id="ann")) as own,
        watching(cluster, cluster.as_server(), WatchTopic(id=1, user_id="ann")) as server,
    ):
        request = AssignRoleRequest(user_id="ann", role_name="mute")
        await cluster.access.AssignRole(request, metadata=cluster.as_server())
        assert await own.ends() == "PERMISSION_MISSING"
        await bob.send(room)
        assert (await server.next())[0].HasField("message_sent")
        assert await own.refused(WatchTopic(id=2, user_id="ann", after_position=0)) == "PERMISSION_MISSING"
        assert not own.events


async def test_what_is_hidden_is_hidden_from_the_one_who_hid_it(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    first, second = await bob.send(room, "one"), await bob.send(room, "two")
    await ann.hide(first.uid)
    await bob.edit(first.uid, "uno")
    topics = (WatchTopic(id=1, room_uid=room, after_position=0), WatchTopic(id=2, user_id="ann", after_position=0))
    async with watching(cluster, ann.metadata, *topics) as stream:
        await stream.until(lambda: len(stream.events) >= 3)
        assert (words(stream, 1), words(stream, 2)) == (["two"], ["two"])
        assert stream.kinds(2) == ["room_created", "message_sent", "message_hidden"]
        assert stream.kinds(1) == ["room_created", "message_sent"]
        await bob.edit(first.uid, "again")
        await ann.discard(room)
        await bob.edit(second.uid, "dos")
        await bob.send(room, "three")
        await stream.until(lambda: words(stream, 1)[-1] == "three")
        assert stream.kinds(2)[3:] == ["room_discarded", "message_sent"]
        assert stream.kinds(1)[2:] == ["message_sent"]
    async with watching(cluster, ann.metadata, *topics) as stream:
        await stream.until(lambda: words(stream, 1) == ["three"])
    async with watching(cluster, bob.metadata, topics[0]) as stream:
        await stream.until(lambda: len(words(stream, 1)) == 3)
        assert words(stream, 1) == ["again", "dos", "three"]
        assert set(stream.kinds()) == {"room_created", "message_sent", "message_edited"}
