"""Conversations: rooms that are opened by who shall be in them, and what they are to one member (spec chat-api §3)."""

import asyncio

import pytest
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.message_service_pb2 import ListMessagesRequest
from roomline.v1.room_pb2 import Room, RoomKind
from roomline.v1.room_service_pb2 import GetRoomRequest, GetUserRoomRequest, OpenRoomRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from tests.services.message.desk import Desk
from tests.support.cluster import Cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


@pytest.fixture
def eve(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "eve")


async def test_open_and_match(bob: Talker, ann: Talker) -> None:
    first = await bob.open("ann", "bob", "ann")
    room = first.room.room
    assert (first.created, room.kind, list(room.member_user_ids)) == (True, RoomKind.ROOM_KIND_DIRECT, ["bob", "ann"])
    again = await ann.open("bob")
    assert (again.created, again.room.room) == (False, room)
    assert await ann.match("ann", "bob", "bob") == room.uid
    assert await ann.match("ann") == ""
    with refuses("NOT_A_MEMBER"):
        await ann.match("bob")
    channel = await bob.opened("bob")
    group = await bob.opened("ann", "eve")
    kinds = [(await bob.get_room(uid)).kind for uid in (channel, group)]
    assert kinds == [RoomKind.ROOM_KIND_CHANNEL, RoomKind.ROOM_KIND_GROUP]
    assert await bob.views() == {uid: await bob.view(uid) for uid in (room.uid, channel, group)}


async def test_opening_needs_somebody_and_users_that_exist(cluster: Cluster, bob: Talker) -> None:
    with refuses("USERS_NOT_FOUND", missing="1", total="3"):
        await bob.open("ann", "nobody")
    with refuses("USERS_NOT_FOUND", missing="1", total="2"):
        await Talker.server(cluster, "nobody").open("ann")
    for call in (Talker.server(cluster).open("ann"), Talker.server(cluster).match("ann")):
        with refuses("ACTOR_REQUIRED"):
            await call
    with refuses("FIELD_REQUIRED", field="user_ids"):
        await bob.open()
    assert await bob.views() == {}
    assert (await Talker.server(cluster, "ann").open("bob")).room.room.created_by_id == "ann"


async def test_a_room_is_not_opened_for_more_members_than_allowed(cluster: Cluster) -> None:
    await cluster.add_instance("small", InstanceLimits(room_members=2))
    await cluster.add_users("bob", "ann", "eve", instance_id="small")
    metadata = cluster.as_user("bob", instance_id="small")
    await cluster.rooms.OpenRoom(OpenRoomRequest(user_ids=["ann", "bob", "ann"]), metadata=metadata)
    with refuses("QUOTA_EXCEEDED"):
        await cluster.rooms.OpenRoom(OpenRoomRequest(user_ids=["ann", "eve"]), metadata=metadata)


async def test_a_repeated_open_gets_its_answer_though_the_users_are_gone(cluster: Cluster, bob: Talker) -> None:
    first = await bob.open("ann", request_id="r")
    await cluster.users.DeleteUser(DeleteUserRequest(id="ann"), metadata=cluster.as_server())
    assert await bob.open("ann", request_id="r") == first
    with refuses("USERS_NOT_FOUND"):
        await bob.open("ann", request_id="other")
    await cluster.add_users("ann")
    again = await bob.open("ann")
    assert again.created
    assert again.room.room.uid != first.room.room.uid


async def test_fifty_opens_of_a_pair_make_one_room(bob: Talker, ann: Talker) -> None:
    answers = await asyncio.gather(*(who.open(other) for who, other in ((bob, "ann"), (ann, "bob")) * 25))
    assert len({answer.room.room.uid for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert len(await bob.views()) == len(await ann.views()) == 1


async def test_a_room_by_its_uid(cluster: Cluster, bob: Talker, ann: Talker, eve: Talker) -> None:
    """What can be done by `room_id` can be done by `room_uid`, by whoever may."""
    uid = await bob.opened("ann", "eve")
    channel = await bob.opened("bob")
    assert (await ann.get_room(uid)).uid == (await Talker.server(cluster).get_room(uid)).uid == uid
    assert await ann.members(uid) == ["bob", "ann", "eve"]
    sent = await ann.send(uid)
    assert (sent.room_uid, await bob.replies(uid)) == (uid, [sent])
    assert (await bob.mark(uid, sent.uid)).position == sent.id
    assert (await bob.view(uid)).unread_count == 0
    await ann.leave(uid)
    await bob.invite(uid, "ann")
    assert await bob.members(uid) == ["bob", "eve", "ann"]
    assert list((await eve.join(channel)).member_user_ids) == ["bob", "eve"]
    with refuses("PERMISSION_MISSING", permission="room:delete"):
        await bob.delete_room(uid)
    await Talker.server(cluster).delete_room(uid)
    with refuses("ROOM_NOT_FOUND"):
        await bob.get_room(uid)


async def test_an_id_counts_before_a_uid(cluster: Cluster, bob: Talker) -> None:
    first, second = await bob.opened("ann"), await bob.opened("eve")
    request = GetRoomRequest(room_id=first, room_uid=second)
    assert (await cluster.rooms.GetRoom(request, metadata=bob.metadata)).room.uid == first
    with refuses("FIELD_REQUIRED", field="room_id"):
        await cluster.rooms.GetRoom(GetRoomRequest(), metadata=bob.metadata)
    with refuses("FIELD_INVALID", field="room_uid"):
        await bob.get_room("x" * 37)


async def test_repeated_calls_get_their_first_answers_though_the_room_is_gone(
    cluster: Cluster, bob: Talker, ann: Talker
) -> None:
    """Fault 1: what a uid leads to may change between two tries of a call."""
    server = Talker.server(cluster, "bob")
    uid, channel = await bob.opened("ann", "eve"), await bob.opened("bob")
    first = await ann.send(uid, "x", request_id="send")
    joined = await ann.join(channel, request_id="join")
    edited = await ann.edit(first.uid, "y", request_id="edit")
    await ann.archive(uid, request_id="archive")
    await bob.invite(uid, "eve", request_id="invite")
    await ann.leave(uid, request_id="leave")
    await ann.leave(uid, request_id="leave")
    await server.delete_room(uid, request_id="delete")
    await server.delete_room(channel, request_id="delete it, too")
    for again in (server.delete_room(uid, request_id="delete"), ann.leave(uid, request_id="leave")):
        await again
    assert await ann.send(uid, "x", request_id="send") == first
    assert await ann.join(channel, request_id="join") == joined
    assert await ann.edit(first.uid, "y", request_id="edit") == edited
    await ann.archive(uid, request_id="archive")
    await bob.invite(uid, "eve", request_id="invite")
    for call in (ann.send(uid, "other", request_id="send"), server.delete_room(channel, request_id="delete")):
        with refuses("REQUEST_ID_REUSED"):
            await call


async def test_what_is_not_yours_is_like_what_is_not_there(cluster: Cluster, bob: Talker, eve: Talker) -> None:
    """Fault 7."""
    uid = await bob.opened("ann")
    plain = Room(uid=uid)
    sent = await bob.send(uid)
    for room, message in ((uid, sent.uid), ("018a0000-0000-7000-8000-000000000000",) * 2, ("", "")):
        missing = "FIELD_REQUIRED" if not room else "ROOM_NOT_FOUND"
        for call in (
            *(eve.get_room(room), eve.view(room), eve.members(room), eve.members(room, members_only=False)),
            *(eve.archive(room), eve.discard(room), eve.join(room), eve.leave(room), eve.invite(room, "eve")),
            *(eve.send(room), eve.replies(room), eve.mark(room, message)),
        ):
            with refuses(missing):
                await call
        with refuses("PERMISSION_MISSING"):
            await eve.delete_room(room)
        missing = "FIELD_REQUIRED" if not room else "MESSAGE_NOT_FOUND"
        for call in (eve.get(message), eve.edit(message, "mine"), eve.hide(message), eve.unsend(message)):
            with refuses(missing):
                await call
    assert (await bob.get_room(plain.uid)).uid == uid
    assert await bob.replies(uid) == [sent]


async def test_members_only(bob: Talker, eve: Talker) -> None:
    channel = await bob.opened("bob")
    await bob.send(channel)
    assert await eve.members(channel, members_only=False) == ["bob"]
    assert (
        len(
            (
                await eve.cluster.messages.ListMessages(ListMessagesRequest(room_uid=channel), metadata=eve.metadata)
            ).messages
        )
        == 1
    )
    for call in (eve.members(channel), eve.replies(channel), eve.archive(channel), eve.discard(channel)):
        with refuses("NOT_A_MEMBER"):
            await call
    with refuses("ROOM_NOT_FOUND"):
        await eve.view(channel)
    with refuses("SUBJECT_MISMATCH"):
        request = GetUserRoomRequest(user_id="bob", room_uid=channel)
        await eve.cluster.rooms.GetUserRoom(request, metadata=eve.metadata)


async def test_archive(bob: Talker, ann: Talker) -> None:
    uid = await bob.opened("ann")
    for _ in range(2):
        await bob.archive(uid)
    assert ((await bob.view(uid)).archived, (await ann.view(uid)).archived) == (True, False)
    await bob.archive(uid, archived=False)
    assert not (await bob.view(uid)).archived
    await bob.archive(uid)
    await ann.send(uid)
    assert not (await bob.views())[uid].archived


async def test_a_direct_room_keeps_its_members(cluster: Cluster, bob: Talker) -> None:
    uid = await bob.opened("ann")
    for call in (
        *(bob.leave(uid), bob.invite(uid, "eve"), Talker.server(cluster, "eve").join(uid)),
        Talker.server(cluster).invite(uid, "eve"),
    ):
        with refuses("ROOM_MEMBERS_FIXED"):
            await call
    assert await bob.members(uid) == ["bob", "ann"]


async def test_discard(bob: Talker, ann: Talker) -> None:
    direct, group = await bob.opened("ann"), await bob.opened("ann", "eve")
    said = await ann.send(direct)
    await bob.discard(direct)
    assert await bob.replies(direct) == []
    with refuses("MESSAGE_NOT_FOUND"):
        await bob.get(said.uid)
    assert await ann.replies(direct) == [said]
    new = await ann.send(direct)
    assert await bob.replies(direct) == [new]
    assert (await bob.view(direct)).last_message == new
    await ann.discard(group)
    assert await bob.members(group) == ["bob", "eve"]
    await bob.discard(group)
    with refuses("ROOM_NOT_FOUND"):
        await bob.get_room(group)


async def test_discarding_an_own_room_removes_its_files(desk: Desk) -> None:
    bob = Talker.user(desk.cluster, "bob")
    uid = (await bob.get_room(await desk.room_uid())).uid
    id_ = await desk.reserved()
    await desk.send(id_)
    await bob.discard(uid)
    await desk.gone(id_)
    assert desk.pending() == 0


async def test_a_last_message_comes_with_its_attachments(desk: Desk) -> None:
    bob, ann = Talker.user(desk.cluster, "bob"), Talker.user(desk.cluster, "ann")
    uid = await bob.opened("ann")
    sent = await desk.send(await desk.reserved(room=uid, name="figure.png"), room=uid)
    views = [await ann.view(uid), (await ann.open("bob")).room, (await ann.open("bob", request_id="r")).room]
    for view in views:
        assert view.last_message.uid == sent.uid
        assert view.last_message.parts[0].attachment.name == "figure.png"
        assert view.last_message.parts[0].attachment.download_url
