"""What `ConversationStore` promises of rooms as one member sees them, archives and discards them."""

from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.message_service_pb2 import DeleteMessageRequest, ListMessagesRequest, SendMessageRequest
from roomline.v1.room_pb2 import UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    ArchiveRoomRequest,
    DiscardRoomRequest,
    RemoveMembersRequest,
)

from services.message.store import Claim, Owner
from tests.stores.conftest import SERVER, Stores, file, user
from tests.support.refusals import refuses


async def seen(stores: Stores, user_id: str, room_id: str) -> UserRoom:
    """The room as its member sees it; all three ways to read it agree."""
    room = (await stores.conversations.user_room("one", user_id, room_id)).room
    rooms = (await stores.members.user_rooms("one", user_id, with_last_messages=True)).rooms
    assert room in rooms
    short = (await stores.members.user_rooms("one", user_id, with_last_messages=False)).rooms
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


async def test_only_members_have_a_view_of_a_room(stores: Stores) -> None:
    room_id = (await stores.open("bob", "ann")).room.room.id
    channel = (await stores.open("bob")).room.room.id
    for name in (room_id, channel, "nowhere"):
        with refuses("ROOM_NOT_FOUND"):
            await stores.conversations.user_room("one", "eve", name)
        with refuses("ROOM_NOT_FOUND"):
            await stores.conversations.user_room("two", "bob", name)
    assert (await seen(stores, "ann", room_id)).room.id == room_id


async def test_a_room_is_archived_until_something_new_is_said(stores: Stores) -> None:
    room_id = (await stores.open("bob", "ann")).room.room.id

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
    room_id = (await stores.open("bob", "ann")).room.room.id
    channel = (await stores.open("bob")).room.room.id
    for call in (archive, discard):
        for name, reason in ((room_id, "ROOM_NOT_FOUND"), ("nowhere", "ROOM_NOT_FOUND"), (channel, "NOT_A_MEMBER")):
            with refuses(reason):
                await call(stores, "eve", name)
    with refuses("NOT_A_MEMBER"):
        await stores.conversations.archive(SERVER, "eve", ArchiveRoomRequest(room_id=room_id))


async def test_a_discarded_direct_room_begins_anew_for_that_member(stores: Stores) -> None:
    room = (await stores.open("bob", "ann")).room.room
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
    assert (await stores.messages.page(user("bob"), page, 9)).messages == []
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.get(user("bob"), room.id, old.id)
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.cursors.set(user("bob"), "bob", room.id, 0, stores.clock(), old.uid)
    assert await stores.attachments.live_uses("one", [use], "bob") == []
    # The other member keeps it all.
    theirs = await seen(stores, "ann", room.id)
    assert (theirs.unread_count, theirs.last_message, theirs.archived) == (1, old, False)
    assert (await stores.messages.page(user("ann"), page, 9)).messages == [old]
    assert await stores.attachments.live_uses("one", [use], "ann") == [use]
    new = await stores.send(room.id, "ann", "new")
    mine = await seen(stores, "bob", room.id)
    assert (mine.unread_count, mine.last_message, mine.archived) == (1, new, False)
    assert (await stores.messages.page(user("bob"), page, 9)).messages == [new]
    assert (await stores.open("bob", "ann")).room == mine
    assert (await stores.kinds()).count("members_removed") == 0


async def test_discarding_leaves_the_rooms_of_others_and_deletes_own_ones(stores: Stores) -> None:
    group = (await stores.open("bob", "ann", "cid")).room.room
    plain = await stores.room("bob", "ann", room_id="plain")
    for room_id in (group.id, plain.id):
        assert await discard(stores, "ann", room_id, f"ann {room_id}") is None
        assert "ann" not in (await stores.rooms.get(SERVER, room_id)).room.member_user_ids
    assert (await stores.open("bob", "cid", "dan")).created
    for request_id in ("", "another", f"ann {group.id}"):
        assert await discard(stores, "ann", group.id, request_id) is None
    for room in (group, plain):
        assert await discard(stores, "bob", room.id, f"bob {room.id}") == Owner("one", room.uid)
        assert await discard(stores, "bob", room.id, f"bob {room.id}") is None
        with refuses("ROOM_NOT_FOUND"):
            await stores.rooms.get(SERVER, room.id)
    assert (await stores.kinds())[-2:] == ["room_deleted"] * 2


async def test_a_room_is_discarded_again_without_effect(stores: Stores) -> None:
    left = (await stores.open("bob", "ann", "cid")).room.room
    own = (await stores.open("ann", "bob", "dan")).room.room
    assert await discard(stores, "ann", left.id) is None
    assert await discard(stores, "ann", own.id) == Owner("one", own.uid)
    events = await stores.kinds()
    for room in (left, own):
        assert await discard(stores, "ann", room.id) is None
        for stranger in ("eve", "dan"):
            with refuses("ROOM_NOT_FOUND"):
                await discard(stores, stranger, room.id)
    assert await stores.kinds() == events


async def test_whoever_is_a_member_again_discards_again(stores: Stores) -> None:
    room = (await stores.open("bob", "ann", "cid")).room.room
    for _ in range(3):
        await discard(stores, "ann", room.id)
        await discard(stores, "ann", room.id)
        assert list((await stores.rooms.get(SERVER, room.id)).room.member_user_ids) == ["bob", "cid"]
        await stores.members.add(SERVER, AddMembersRequest(room_id=room.id, user_ids=["ann"]), stores.clock())
        await stores.members.remove(SERVER, RemoveMembersRequest(room_id=room.id, user_ids=["cid"]))
        await stores.members.add(SERVER, AddMembersRequest(room_id=room.id, user_ids=["cid"]), stores.clock())
