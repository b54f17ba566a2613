"""What `ConversationStore` and `NameStore` promise."""

import asyncio

import pytest
from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.message_service_pb2 import DeleteMessageRequest, ListMessagesRequest, SendMessageRequest
from roomline.v1.room_pb2 import RoomKind, UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    ArchiveRoomRequest,
    DeleteRoomRequest,
    DiscardRoomRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    OpenRoomRequest,
    OpenRoomResponse,
    RemoveMembersRequest,
)

from services.message.store import Claim, Owner
from tests.stores.conftest import SERVER, STRANGER, Stores, file, user
from tests.support.refusals import refuses


async def opened(stores: Stores, *members: str, request_id: str = "", asked_at: int | None = None) -> OpenRoomResponse:
    """What the first one gets who opens a room with the others."""
    request = OpenRoomRequest(user_ids=members[1:], request_id=request_id)
    asked_at = stores.clock() if asked_at is None else asked_at
    return await stores.conversations.open(user(members[0]), members[0], request, list(members), asked_at)


async def seen(stores: Stores, user_id: str, room_id: str) -> UserRoom:
    """The room as its member sees it; all three ways to read it agree."""
    room = await stores.conversations.user_room("one", user_id, room_id)
    rooms = await stores.members.user_rooms("one", user_id, with_last_messages=True)
    assert room in rooms
    short = await stores.members.user_rooms("one", user_id, with_last_messages=False)
    for one in rooms:
        one.ClearField("last_message")
    assert short == rooms
    return room


async def archive(stores: Stores, user_id: str, room_id: str, *, archived: bool = True) -> None:
    request = ArchiveRoomRequest(room_id=room_id, archived=archived)
    await stores.conversations.archive(user(user_id), user_id, request)


async def discard(stores: Stores, user_id: str, room_id: str, request_id: str = "") -> Owner | None:
    request = DiscardRoomRequest(room_id=room_id, request_id=request_id)
    return await stores.conversations.discard(user(user_id), user_id, request)


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
    answer = await opened(stores, *members)
    assert answer.created
    room = answer.room.room
    assert (room.kind, room.private, room.name, room.id) == (kind, private, name, room.uid)
    assert (room.created_by_id, list(room.member_user_ids)) == ("bob", members)
    assert answer.room.joined_at.ToMicroseconds() == stores.clock()
    assert await stores.rooms.get(user("bob"), room.id) == room
    (event,) = await stores.events()
    assert event.room_created.room == room


async def test_the_same_set_opens_the_same_room(stores: Stores) -> None:
    first = await opened(stores, "bob", "ann", "cid")
    for members in (["cid", "bob", "ann"], ["ann", "cid", "bob"], ["bob", "ann", "cid"]):
        again = await opened(stores, *members)
        assert (again.created, again.room.room) == (False, first.room.room)
    for others in (["bob"], ["bob", "ann"], ["bob", "cid"], ["bob", "ann", "dan"], ["bob", "ann", "cid", "dan"]):
        assert (await opened(stores, *others)).created
    assert await stores.kinds() == ["room_created"] * 6


async def test_however_many_open_at_once_they_get_one_room(stores: Stores) -> None:
    pairs = [("bob", "ann"), ("ann", "bob")] * 25
    answers = await asyncio.gather(*(opened(stores, *pair) for pair in pairs))
    assert len({answer.room.room.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


async def test_ids_that_only_look_alike_are_others(stores: Stores) -> None:
    sets = [("a", "bc"), ("ab", "c"), ("abc", ""), ("a", "b", "c"), ("a\0", "bc")]
    assert len({(await opened(stores, *members)).room.room.id for members in sets}) == len(sets)


async def test_instances_have_their_own_pairs(stores: Stores) -> None:
    first = await opened(stores, "bob", "ann")
    request = OpenRoomRequest(user_ids=["ann"])
    other = await stores.conversations.open(STRANGER, "bob", request, ["bob", "ann"], stores.clock())
    assert other.created
    assert await stores.conversations.match("three", "bob", ["bob", "ann"]) is None
    assert (await stores.conversations.match("one", "bob", ["bob", "ann"])) == first.room


async def test_a_repeated_open_gets_its_first_answer(stores: Stores) -> None:
    answers = await asyncio.gather(*(opened(stores, "bob", "ann", request_id="r") for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    room_id = answers[0].room.room.id
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id=room_id))
    assert await opened(stores, "bob", "ann", request_id="r") == answers[0]
    with refuses("REQUEST_ID_REUSED"):
        await opened(stores, "bob", "cid", request_id="r")


async def test_a_repeated_open_shows_the_last_message_as_it_is_now(stores: Stores) -> None:
    room_id = (await opened(stores, "bob", "ann", "cid")).room.room.id
    sent = await stores.send(room_id, "ann", "a-secret-word")
    first = await opened(stores, "bob", "ann", "cid", request_id="r")
    assert (first.created, first.room.last_message) == (False, sent)
    assert await opened(stores, "bob", "ann", "cid", request_id="r") == first
    rows = await stores.database.read(lambda connection: connection.execute("SELECT * FROM requests").fetchall())
    assert "a-secret-word" not in repr(rows)
    await stores.members.leave(SERVER, LeaveRoomRequest(room_id=room_id, user_id="bob"))
    again = await opened(stores, "bob", "ann", "cid", request_id="r")
    assert not again.room.HasField("last_message")
    first.room.ClearField("last_message")
    assert again == first


async def test_who_was_purged_meanwhile_gets_no_room(stores: Stores) -> None:
    asked_at = stores.clock()
    await stores.purges.user("one", "ann")
    with refuses("USERS_NOT_FOUND", missing="1", total="2"):
        await opened(stores, "bob", "ann", asked_at=asked_at)
    assert await stores.conversations.match("one", "bob", ["bob", "ann"]) is None


async def test_a_match_is_exact_and_the_oldest(stores: Stores) -> None:
    first = await opened(stores, "bob", "ann", "cid")
    sent = await stores.send(first.room.room.id, "ann")
    found = await stores.conversations.match("one", "bob", ["cid", "ann", "bob"])
    assert found is not None
    assert (found.room.id, found.last_message, found.unread_count) == (first.room.room.id, sent, 1)
    for members in (["bob"], ["bob", "ann"], ["bob", "ann", "cid", "dan"], ["bob", "ann", "dan"]):
        assert await stores.conversations.match("one", "bob", members) is None
    second = await opened(stores, "bob", "ann", "dan")
    await stores.members.add(SERVER, AddMembersRequest(room_id=second.room.room.id, user_ids=["cid"]), stores.clock())
    await stores.members.remove(SERVER, RemoveMembersRequest(room_id=second.room.room.id, user_ids=["dan"]))
    found = await stores.conversations.match("one", "bob", ["bob", "ann", "cid"])
    assert found is not None
    assert found.room.id == first.room.room.id


async def test_rooms_made_otherwise_are_not_opened(stores: Stores) -> None:
    plain = await stores.room("bob", "ann", private=True)
    assert plain.kind == RoomKind.ROOM_KIND_UNSPECIFIED
    assert await stores.conversations.match("one", "bob", ["bob", "ann"]) is None
    assert (await opened(stores, "bob", "ann")).room.room.id != plain.id


async def test_members_come_and_go_and_the_set_with_them(stores: Stores) -> None:
    room_id = (await opened(stores, "bob", "ann", "cid")).room.room.id
    channel = (await opened(stores, "bob")).room.room.id
    await stores.members.join(user("ann"), JoinRoomRequest(room_id=channel, user_id="ann"), stores.clock())
    assert await stores.conversations.match("one", "bob", ["bob"]) is None
    assert (await opened(stores, "bob")).room.room.id != channel
    await stores.members.add(SERVER, AddMembersRequest(room_id=room_id, user_ids=["dan"]), stores.clock())
    assert (await opened(stores, "dan", "cid", "ann", "bob")).room.room.id == room_id
    await stores.members.leave(SERVER, LeaveRoomRequest(room_id=room_id, user_id="bob"))
    assert (await opened(stores, "dan", "cid", "ann")).room.room.id == room_id
    assert (await opened(stores, "bob", "ann", "cid")).created


async def test_a_direct_room_keeps_its_two_members(stores: Stores) -> None:
    room_id = (await opened(stores, "bob", "ann")).room.room.id
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
    direct = [(await opened(stores, "bob", other)).room.room.id for other in ("ann", "cid")]
    group = (await opened(stores, "bob", "ann", "cid", "dan")).room.room.id
    for gone in ("ann", "cid"):
        await stores.purges.user("one", gone)
    stores.clock.advance(1)
    assert (await opened(stores, "bob")).created  # not one of the rooms that he is alone in now
    again = await opened(stores, "bob", "ann")
    assert again.created
    assert again.room.room.id not in direct
    await stores.members.add(SERVER, AddMembersRequest(room_id=group, user_ids=["eve"]), stores.clock())
    assert (await opened(stores, "eve", "bob", "dan")).room.room.id == group


async def test_only_members_have_a_view_of_a_room(stores: Stores) -> None:
    room_id = (await opened(stores, "bob", "ann")).room.room.id
    channel = (await opened(stores, "bob")).room.room.id
    for name in (room_id, channel, "nowhere"):
        with refuses("ROOM_NOT_FOUND"):
            await stores.conversations.user_room("one", "eve", name)
        with refuses("ROOM_NOT_FOUND"):
            await stores.conversations.user_room("two", "bob", name)
    assert (await seen(stores, "ann", room_id)).room.id == room_id


async def test_a_room_is_archived_until_something_new_is_said(stores: Stores) -> None:
    room_id = (await opened(stores, "bob", "ann")).room.room.id

    async def archived() -> tuple[bool, bool]:
        return (await seen(stores, "bob", room_id)).archived, (await seen(stores, "ann", room_id)).archived

    assert await archived() == (False, False)
    for _ in range(2):
        await archive(stores, "bob", room_id)
        assert await archived() == (True, False)
    first = await stores.send(room_id, "ann")
    assert await archived() == (False, False)
    await archive(stores, "bob", room_id)
    await archive(stores, "ann", room_id)
    assert await archived() == (True, True)
    for _ in range(2):
        await archive(stores, "bob", room_id, archived=False)
        assert await archived() == (False, True)
    second = await stores.send(room_id, "bob")
    assert await archived() == (False, False)
    for message in (second, first):  # what has ended it does not come back
        await stores.messages.delete(SERVER, DeleteMessageRequest(room_id=room_id, id=message.id))
        assert await archived() == (False, False)
    await archive(stores, "bob", room_id)
    assert await archived() == (True, False)


async def test_only_members_archive_and_discard(stores: Stores) -> None:
    room_id = (await opened(stores, "bob", "ann")).room.room.id
    channel = (await opened(stores, "bob")).room.room.id
    for call in (archive, discard):
        for name, reason in ((room_id, "ROOM_NOT_FOUND"), ("nowhere", "ROOM_NOT_FOUND"), (channel, "NOT_A_MEMBER")):
            with refuses(reason):
                await call(stores, "eve", name)
    with refuses("NOT_A_MEMBER"):
        await stores.conversations.archive(SERVER, "eve", ArchiveRoomRequest(room_id=room_id))


async def test_a_discarded_direct_room_begins_anew_for_that_member(stores: Stores) -> None:
    room = (await opened(stores, "bob", "ann")).room.room
    request = SendMessageRequest(room_id=room.id, parts=[file("f")])
    claim = Claim("018a0000-0000-7000-8000-000000000001", room.uid, stores.clock())
    old = await stores.messages.append(user("ann"), "ann", request, claim)
    use = AttachmentUse(message_uid=old.uid, attachment_id="f")
    await stores.cursors.set(user("bob"), "bob", room.id, 5, stores.clock())
    assert await stores.attachments.live_uses("one", [use], "bob") == [use]
    for _ in range(2):
        assert await discard(stores, "bob", room.id) is None
    mine = await seen(stores, "bob", room.id)
    assert (mine.unread_count, mine.HasField("last_message"), mine.archived) == (0, False, True)
    assert not mine.room.HasField("last_message_at")
    page = ListMessagesRequest(room_id=room.id, with_unsent=True)
    assert await stores.messages.page(user("bob"), page, 9) == []
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.get(user("bob"), room.id, old.id)
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.cursors.set(user("bob"), "bob", room.id, 0, stores.clock(), old.uid)
    assert await stores.attachments.live_uses("one", [use], "bob") == []
    # The other member keeps it all.
    theirs = await seen(stores, "ann", room.id)
    assert (theirs.unread_count, theirs.last_message, theirs.archived) == (1, old, False)
    assert await stores.messages.page(user("ann"), page, 9) == [old]
    assert await stores.attachments.live_uses("one", [use], "ann") == [use]
    new = await stores.send(room.id, "ann", "new")
    mine = await seen(stores, "bob", room.id)
    assert (mine.unread_count, mine.last_message, mine.archived) == (1, new, False)
    assert await stores.messages.page(user("bob"), page, 9) == [new]
    assert (await opened(stores, "bob", "ann")).room == mine
    assert (await stores.kinds()).count("members_removed") == 0


async def test_discarding_leaves_the_rooms_of_others_and_deletes_own_ones(stores: Stores) -> None:
    group = (await opened(stores, "bob", "ann", "cid")).room.room
    plain = await stores.room("bob", "ann", room_id="plain")
    for room_id in (group.id, plain.id):
        assert await discard(stores, "ann", room_id, f"ann {room_id}") is None
        assert "ann" not in (await stores.rooms.get(SERVER, room_id)).member_user_ids
    assert (await opened(stores, "bob", "cid", "dan")).created
    with refuses("ROOM_NOT_FOUND"):
        await discard(stores, "ann", group.id)
    assert await discard(stores, "ann", group.id, f"ann {group.id}") is None
    for room in (group, plain):
        assert await discard(stores, "bob", room.id, f"bob {room.id}") == Owner("one", room.uid)
        assert await discard(stores, "bob", room.id, f"bob {room.id}") is None
        with refuses("ROOM_NOT_FOUND"):
            await stores.rooms.get(SERVER, room.id)
    assert (await stores.kinds())[-2:] == ["room_deleted"] * 2


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
    assert await stores.names.room_id(SERVER, "hidden") is None
    assert await stores.names.room_id_of_message(SERVER, hidden.uid) is None
