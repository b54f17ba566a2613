"""What `ConversationStore` and `NameStore` promise."""

import asyncio

import pytest
from roomline.v1.room_pb2 import RoomKind
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    DeleteRoomRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    OpenRoomRequest,
    RemoveMembersRequest,
)

from tests.stores.conftest import SERVER, STRANGER, Stores, user
from tests.support.refusals import refuses


@pytest.mark.parametrize(
    ("members", "kind", "private", "name"),
    [
        (["bob"], RoomKind.ROOM_KIND_CHANNEL, False, "channel"),
        (["bob", "ann"], RoomKind.ROOM_KIND_DIRECT, True, "direct"),
        (["bob", "ann", "cid"], RoomKind.ROOM_KIND_GROUP, True, "group"),
        (["bob", "ann", "cid", "dan"], RoomKind.ROOM_KIND_GROUP, True, "group"),
    ],
)
async def test_the_number_of_members_makes_the_kind(
    stores: Stores, members: list[str], kind: RoomKind.ValueType, *, private: bool, name: str
) -> None:
    answer = await stores.open(*members)
    assert answer.created
    room = answer.room.room
    assert (room.kind, room.private, room.name, room.id) == (kind, private, name, room.uid)
    assert (room.created_by_id, list(room.member_user_ids)) == ("bob", members)
    assert answer.room.joined_at.ToMicroseconds() == stores.clock()
    assert (await stores.rooms.get(user("bob"), room.id)).room == room
    (event,) = await stores.events()
    assert event.room_created.room == room


async def test_the_same_set_opens_the_same_room(stores: Stores) -> None:
    first = await stores.open("bob", "ann", "cid")
    for members in (["cid", "bob", "ann"], ["ann", "cid", "bob"], ["bob", "ann", "cid"]):
        again = await stores.open(*members)
        assert (again.created, again.room.room) == (False, first.room.room)
    for others in (["bob"], ["bob", "ann"], ["bob", "cid"], ["bob", "ann", "dan"], ["bob", "ann", "cid", "dan"]):
        assert (await stores.open(*others)).created
    assert await stores.kinds() == ["room_created"] * 6


async def test_however_many_open_at_once_they_get_one_room(stores: Stores) -> None:
    pairs = [("bob", "ann"), ("ann", "bob")] * 25
    answers = await asyncio.gather(*(stores.open(*pair) for pair in pairs))
    assert len({answer.room.room.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


async def test_ids_that_only_look_alike_are_others(stores: Stores) -> None:
    sets = [("a", "bc"), ("ab", "c"), ("abc", ""), ("a", "b", "c"), ("a\0", "bc")]
    assert len({(await stores.open(*members)).room.room.id for members in sets}) == len(sets)


async def test_instances_have_their_own_pairs(stores: Stores) -> None:
    first = await stores.open("bob", "ann")
    request = OpenRoomRequest(user_ids=["ann"])
    other = await stores.conversations.open(STRANGER, "bob", request, ["bob", "ann"], stores.clock())
    assert other.created
    assert await stores.conversations.match("three", "bob", ["bob", "ann"]) is None
    assert (await stores.conversations.match("one", "bob", ["bob", "ann"])) == first.room


async def test_a_repeated_open_gets_its_first_answer(stores: Stores) -> None:
    answers = await asyncio.gather(*(stores.open("bob", "ann", request_id="r") for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    room_id = answers[0].room.room.id
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id=room_id))
    assert await stores.open("bob", "ann", request_id="r") == answers[0]
    with refuses("REQUEST_ID_REUSED"):
        await stores.open("bob", "cid", request_id="r")


async def test_a_repeated_open_shows_the_last_message_as_it_is_now(stores: Stores) -> None:
    room_id = (await stores.open("bob", "ann", "cid")).room.room.id
    sent = await stores.send(room_id, "ann", "a-secret-word")
    first = await stores.open("bob", "ann", "cid", request_id="r")
    assert (first.created, first.room.last_message) == (False, sent)
    assert await stores.open("bob", "ann", "cid", request_id="r") == first
    rows = await stores.database.read(lambda connection: connection.execute("SELECT * FROM requests").fetchall())
    assert "a-secret-word" not in repr(rows)
    await stores.members.leave(SERVER, LeaveRoomRequest(room_id=room_id, user_id="bob"))
    again = await stores.open("bob", "ann", "cid", request_id="r")
    assert not again.room.HasField("last_message")
    first.room.ClearField("last_message")
    assert again == first


async def test_who_was_purged_meanwhile_gets_no_room(stores: Stores) -> None:
    asked_at = stores.clock()
    await stores.purges.user("one", "ann")
    with refuses("USERS_NOT_FOUND", missing="1", total="2"):
        await stores.open("bob", "ann", asked_at=asked_at)
    assert await stores.conversations.match("one", "bob", ["bob", "ann"]) is None


async def test_a_match_is_exact_and_the_oldest(stores: Stores) -> None:
    first = await stores.open("bob", "ann", "cid")
    sent = await stores.send(first.room.room.id, "ann")
    found = await stores.conversations.match("one", "bob", ["cid", "ann", "bob"])
    assert found is not None
    assert (found.room.id, found.last_message, found.unread_count) == (first.room.room.id, sent, 1)
    for members in (["bob"], ["bob", "ann"], ["bob", "ann", "cid", "dan"], ["bob", "ann", "dan"]):
        assert await stores.conversations.match("one", "bob", members) is None
    second = await stores.open("bob", "ann", "dan")
    await stores.members.add(SERVER, AddMembersRequest(room_id=second.room.room.id, user_ids=["cid"]), stores.clock())
    await stores.members.remove(SERVER, RemoveMembersRequest(room_id=second.room.room.id, user_ids=["dan"]))
    found = await stores.conversations.match("one", "bob", ["bob", "ann", "cid"])
    assert found is not None
    assert found.room.id == first.room.room.id


async def test_rooms_made_otherwise_are_not_opened(stores: Stores) -> None:
    plain = await stores.room("bob", "ann", private=True)
    assert plain.kind == RoomKind.ROOM_KIND_UNSPECIFIED
    assert await stores.conversations.match("one", "bob", ["bob", "ann"]) is None
    assert (await stores.open("bob", "ann")).room.room.id != plain.id


async def test_members_come_and_go_and_the_set_with_them(stores: Stores) -> None:
    room_id = (await stores.open("bob", "ann", "cid")).room.room.id
    channel = (await stores.open("bob")).room.room.id
    await stores.members.join(user("ann"), JoinRoomRequest(room_id=channel, user_id="ann"), stores.clock())
    assert await stores.conversations.match("one", "bob", ["bob"]) is None
    assert (await stores.open("bob")).room.room.id != channel
    await stores.members.add(SERVER, AddMembersRequest(room_id=room_id, user_ids=["dan"]), stores.clock())
    assert (await stores.open("dan", "cid", "ann", "bob")).room.room.id == room_id
    await stores.members.leave(SERVER, LeaveRoomRequest(room_id=room_id, user_id="bob"))
    assert (await stores.open("dan", "cid", "ann")).room.room.id == room_id
    assert (await stores.open("bob", "ann", "cid")).created


async def test_a_direct_room_keeps_its_two_members(stores: Stores) -> None:
    room_id = (await stores.open("bob", "ann")).room.room.id
    now = stores.clock()
    for user_ids in (["cid"], ["bob", "cid"]):
        with refuses("ROOM_MEMBERS_FIXED"):
            await stores.members.add(user("bob"), AddMembersRequest(room_id=room_id, user_ids=user_ids), now)
    with refuses("ROOM_MEMBERS_FIXED"):
        await stores.members.join(SERVER, JoinRoomRequest(room_id=room_id, user_id="cid"), now)
    with refuses("ROOM_MEMBERS_FIXED"):
        await stores.members.remove(user("bob"), RemoveMembersRequest(room_id=room_id, user_ids=["ann"]))
    with refuses("ROOM_MEMBERS_FIXED"):
        await stores.members.leave(user("bob"), LeaveRoomRequest(room_id=room_id, user_id="bob"))
    # What changes nothing is fine, as everywhere.
    await stores.members.add(user("bob"), AddMembersRequest(room_id=room_id, user_ids=["ann"]), now)
    await stores.members.remove(user("bob"), RemoveMembersRequest(room_id=room_id, user_ids=["cid"]))
    assert (await stores.members.join(user("bob"), JoinRoomRequest(room_id=room_id, user_id="bob"), now)).room.id
    # And who may not know of it learns nothing.
    with refuses("ROOM_NOT_FOUND"):
        await stores.members.add(user("cid"), AddMembersRequest(room_id=room_id, user_ids=["cid"]), now)
    with refuses("ROOM_PRIVATE"):
        await stores.members.join(user("cid"), JoinRoomRequest(room_id=room_id, user_id="cid"), now)
    assert await stores.kinds() == ["room_created"]


async def test_a_deleted_users_rooms_are_opened_by_those_who_remain(stores: Stores) -> None:
    direct = [(await stores.open("bob", other)).room.room.id for other in ("ann", "cid")]
    group = (await stores.open("bob", "ann", "cid", "dan")).room.room.id
    for gone in ("ann", "cid"):
        await stores.purges.user("one", gone)
    stores.clock.advance(1)
    assert (await stores.open("bob")).created  # not one of the rooms that he is alone in now
    again = await stores.open("bob", "ann")
    assert again.created
    assert again.room.room.id not in direct
    await stores.members.add(SERVER, AddMembersRequest(room_id=group, user_ids=["eve"]), stores.clock())
    assert (await stores.open("eve", "bob", "dan")).room.room.id == group


async def test_names_lead_to_what_the_caller_may_know_of(stores: Stores) -> None:
    hidden = await stores.room("bob", room_id="hidden", private=True)
    public = await stores.room("bob", room_id="public")
    messages = {room.id: (await stores.send(room.id, "bob")).uid for room in (hidden, public)}
    for caller, room, found in (
        *((SERVER, hidden, "hidden"), (user("bob"), hidden, "hidden"), (user("eve"), hidden, None)),
        *((user("eve"), public, "public"), (STRANGER, public, None)),
    ):
        assert await stores.names.room_id(caller, room.uid) == found
        assert await stores.names.room_id_of_message(caller, messages[room.id]) == found
    await stores.assign("eve", "admin", "hidden")
    assert await stores.names.room_id(user("eve"), hidden.uid) == "hidden"
    assert await stores.names.room_id(SERVER, "hidden") is None
    assert await stores.names.room_id_of_message(SERVER, hidden.uid) is None
