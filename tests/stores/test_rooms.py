"""What `RoomStore`, `MemberStore`, `CursorStore`, `AccessStore` and `PurgeStore` promise."""

import asyncio

import pytest
from roomline.v1.access_service_pb2 import AssignRoleRequest, CheckRequest, CheckResponse, UnassignRoleRequest
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.message_service_pb2 import DeleteMessageRequest, ListMessagesRequest
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    CreateRoomRequest,
    DeleteRoomRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    RemoveMembersRequest,
    UpdateRoomRequest,
)

from services.common.call import Caller, Level, effective_limits
from tests.stores.conftest import SERVER, STRANGER, Stores, struct, user
from tests.support.refusals import refuses


async def test_a_room_comes_back_as_created(stores: Stores) -> None:
    request = CreateRoomRequest(name="n", private=True, custom_data=struct(), push_notification_title_override="")
    room = (await stores.rooms.create(SERVER, "bob", request, ["bob", "ann"], 0)).room
    assert room.HasField("custom_data")
    assert room.HasField("push_notification_title_override")
    assert list(room.member_user_ids) == ["bob", "ann"]
    assert (await stores.rooms.get(SERVER, room.id)).room == room
    with refuses("ROOM_NOT_FOUND"):
        await stores.rooms.get(STRANGER, room.id)


async def test_made_ids_sort_in_creation_order(stores: Stores) -> None:
    ids = [(await stores.room("bob")).id for _ in range(50)]
    assert ids == sorted(ids)
    assert [room.id for room in await stores.rooms.page(SERVER, ids[9], 100, include_private=False)] == ids[10:]


async def test_pages_are_ordered_by_bytes(stores: Stores) -> None:
    for room_id in ("b", "a", "ä", "Z", "#x"):
        await stores.room("bob", room_id=room_id)
    await stores.room("bob", room_id="hidden", private=True)
    assert [room.id for room in await stores.rooms.page(SERVER, "", 10, include_private=False)] == [
        *("#x", "Z", "a", "b", "ä")
    ]
    assert len(await stores.rooms.page(SERVER, "", 10, include_private=True)) == 6


async def test_an_id_is_taken_once_even_by_parallel_calls(stores: Stores) -> None:
    results = await asyncio.gather(*(stores.room("bob", room_id="x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, Room) for result in results) == 1
    with refuses("ROOM_ALREADY_EXISTS", id="x"):
        await stores.room("bob", room_id="x")


async def test_an_update_changes_what_the_mask_names(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    change = Room(id="x", name="new", custom_data=struct(a=1), push_notification_title_override="t")
    paths = frozenset({"name", "custom_data", "push_notification_title_override"})
    await stores.rooms.update(SERVER, UpdateRoomRequest(room=change), paths)
    await stores.rooms.update(
        SERVER,
        UpdateRoomRequest(room=Room(id="x", private=True)),
        frozenset({"private", "push_notification_title_override"}),
    )
    room = (await stores.rooms.get(SERVER, "x")).room
    assert (room.name, room.private, dict(room.custom_data)) == ("new", True, {"a": 1})
    assert not room.HasField("push_notification_title_override")
    await stores.rooms.update(SERVER, UpdateRoomRequest(room=Room(id="x")), frozenset())
    assert await stores.kinds() == ["room_created", "room_updated", "room_updated"]


async def test_a_deleted_room_is_gone_and_its_id_free(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await stores.send("x", "bob")
    await stores.cursors.set(SERVER, "bob", "x", 7, stores.clock())
    await stores.assign("bob", "admin", "x")
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="x"))
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.delete(SERVER, DeleteMessageRequest(id=sent.id))
    await stores.room("bob", room_id="x")
    assert (await stores.messages.page(SERVER, ListMessagesRequest(room_id="x"), 9)).messages == []
    assert await stores.cursors.get(SERVER, "bob", "x") is None
    assert await stores.access.assignments("one", "bob") == []
    await stores.purges.remains()
    left = await stores.database.read(
        lambda connection: connection.execute("SELECT count(*) FROM messages, room_remains").fetchone()
    )
    assert left == (0,)
    deleted = (await stores.events())[-2].room_deleted
    assert (deleted.room_id, list(deleted.member_user_ids)) == ("x", ["bob"])


async def test_membership_changes_are_idempotent_and_silent_when_nothing_changes(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    now = stores.clock()
    for _ in range(2):
        await stores.members.add(SERVER, AddMembersRequest(room_id="x", user_ids=["bob", "ann", "ann"]), now)
        await stores.members.join(SERVER, JoinRoomRequest(room_id="x", user_id="cid"), now)
    assert list((await stores.rooms.get(SERVER, "x")).room.member_user_ids) == ["bob", "ann", "cid"]
    for _ in range(2):
        await stores.members.leave(SERVER, LeaveRoomRequest(room_id="x", user_id="ann"))
        await stores.members.remove(SERVER, RemoveMembersRequest(room_id="x", user_ids=["bob", "cid", "nobody"]))
    assert list((await stores.rooms.get(SERVER, "x")).room.member_user_ids) == []
    events = await stores.events()
    assert [event.WhichOneof("change") for event in events] == [
        *("room_created", "members_added", "members_added", "members_removed", "members_removed")
    ]
    assert list(events[1].members_added.user_ids) == ["ann"]
    assert list(events[4].members_removed.user_ids) == ["bob", "cid"]


async def test_private_rooms_keep_strangers_out(stores: Stores) -> None:
    await stores.room("bob", room_id="x", private=True)
    now = stores.clock()
    with refuses("ROOM_PRIVATE"):
        await stores.members.join(user("eve"), JoinRoomRequest(room_id="x", user_id="eve"), now)
    with refuses("ROOM_NOT_FOUND"):
        await stores.members.add(user("eve"), AddMembersRequest(room_id="x", user_ids=["eve"]), now)
    with refuses("ROOM_NOT_FOUND"):
        await stores.rooms.get(user("eve"), "x")
    with refuses("NOT_A_MEMBER"):
        await stores.cursors.set(user("eve"), "eve", "x", 1, now)
    with refuses("NOT_A_MEMBER"):
        await stores.cursors.of_room(user("eve"), "x")
    assert (await stores.members.join(user("bob"), JoinRoomRequest(room_id="x", user_id="bob"), now)).room.id == "x"
    joined = await stores.members.join(SERVER, JoinRoomRequest(room_id="x", user_id="eve"), now)
    assert list(joined.room.member_user_ids) == ["bob", "eve"]


async def test_strangers_learn_nothing_of_private_rooms_by_changing_them(stores: Stores) -> None:
    await stores.room("bob", room_id="x", private=True)
    sent = await stores.send("x", "bob")
    for room_id in ("x", "nowhere"):
        with refuses("ROOM_NOT_FOUND"):
            await stores.members.leave(user("eve"), LeaveRoomRequest(room_id=room_id, user_id="eve"))
    seen = await stores.rooms.update(user("eve"), UpdateRoomRequest(room=Room(id="x")), frozenset())
    assert not seen.room.member_user_ids
    for message_id in (sent.id, 5):
        with refuses("NOT_A_MEMBER"):
            await stores.messages.delete(user("eve"), DeleteMessageRequest(room_id="x", id=message_id))


async def test_roles_are_given_once_per_request_id(stores: Stores) -> None:
    request = AssignRoleRequest(user_id="bob", role_name="admin", request_id="r")
    await stores.access.assign(SERVER, request, stores.clock())
    await stores.access.unassign(SERVER, UnassignRoleRequest(user_id="bob"))
    await stores.access.assign(SERVER, request, stores.clock())
    assert await stores.access.assignments("one", "bob") == []
    with refuses("REQUEST_ID_REUSED"):
        await stores.access.unassign(SERVER, UnassignRoleRequest(user_id="bob", request_id="r"))


async def test_a_room_takes_no_more_members_than_allowed(stores: Stores) -> None:
    caller = Caller(Level.SERVER, "one", limits=effective_limits(InstanceLimits(room_members=2)))
    await stores.room("bob", room_id="x")
    with refuses("QUOTA_EXCEEDED"):
        await stores.members.add(caller, AddMembersRequest(room_id="x", user_ids=["ann", "cid"]), stores.clock())
    assert list((await stores.rooms.get(SERVER, "x")).room.member_user_ids) == ["bob"]


async def test_unread_counts_follow_cursors_and_deletions(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")

    async def unread(user_id: str) -> int:
        (room,) = (await stores.members.user_rooms("one", user_id, with_last_messages=False)).rooms
        return room.unread_count

    assert await unread("bob") == 0
    first = await stores.send("x", "bob")
    second = await stores.send("x", "bob")
    assert (await unread("bob"), await unread("ann")) == (2, 2)
    await stores.cursors.set(SERVER, "bob", "x", first.id, stores.clock())
    assert await unread("bob") == 1
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=second.id))
    assert (await unread("bob"), await unread("ann")) == (0, 1)
    await stores.cursors.set(SERVER, "bob", "x", 5, stores.clock())
    assert await unread("bob") == 1


async def test_last_message_at_is_that_of_the_newest_live_message(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    first = await stores.send("x", "bob", "first")
    stores.clock.advance(2)
    second = await stores.send("x", "bob", "second")
    (seen,) = (await stores.members.user_rooms("one", "bob", with_last_messages=True)).rooms
    assert seen.room.last_message_at == second.created_at
    assert seen.last_message == second
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=second.id))
    assert (await stores.rooms.get(SERVER, "x")).room.last_message_at == first.created_at
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=first.id))
    assert not (await stores.rooms.get(SERVER, "x")).room.HasField("last_message_at")


async def test_joinable_rooms_are_public_and_not_yet_joined(stores: Stores) -> None:
    await stores.room("bob", room_id="joined")
    await stores.room("ann", room_id="open")
    await stores.room("ann", room_id="closed", private=True)
    rooms = await stores.members.joinable("one", "bob")
    assert [(room.id, list(room.member_user_ids)) for room in rooms] == [("open", ["ann"])]


async def test_cursors_by_user_and_by_room(stores: Stores) -> None:
    for room_id in ("x", "y"):
        await stores.room("bob", room_id=room_id)
    for user_id, room_id, position in (("bob", "x", 3), ("bob", "y", 0), ("ann", "x", 12), ("bob", "x", 2)):
        await stores.cursors.set(SERVER, user_id, room_id, position, stores.clock())
    own = (await stores.cursors.of_user("one", "bob")).cursors
    assert [(c.room_id, c.position) for c in own] == [("x", 2), ("y", 0)]
    everybodys = (await stores.cursors.of_room(SERVER, "x")).cursors
    assert [(c.user_id, c.position) for c in everybodys] == [("ann", 12), ("bob", 2)]
    assert (await stores.cursors.of_user("two", "bob")).cursors == []


async def test_roles_count_at_once(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    assert not await stores.access.permits("one", "bob", "room:delete", "x")
    await stores.assign("bob", "admin", "x")
    assert await stores.access.permits("one", "bob", "room:delete", "x")
    assert not await stores.access.permits("one", "bob", "room:delete", "")
    await stores.access.unassign(SERVER, UnassignRoleRequest(user_id="bob", room_id="x"))
    assert not await stores.access.permits("one", "bob", "room:delete", "x")
    with refuses("ROLE_NOT_FOUND"):
        await stores.assign("bob", "nonsense", "")
    with refuses("ROOM_NOT_FOUND"):
        await stores.assign("bob", "admin", "nowhere")


async def test_what_a_user_is_in_a_room(stores: Stores) -> None:
    opened = await stores.room("bob", room_id="open")
    closed = await stores.room("bob", room_id="closed", private=True)

    async def check(user_id: str, room_id: str, permission: str = "file:create") -> CheckResponse:
        request = CheckRequest(user_id=user_id, permission=permission, room_id=room_id)
        return await stores.access.check("one", request)

    shut = CheckResponse(allowed=True, room_uid=closed.uid, room_id="closed")
    assert await check("eve", "closed") == shut
    shut.readable = True
    assert await check("", "closed", "room:delete") == shut
    shut.member = True
    assert await check("bob", "closed") == shut
    public = CheckResponse(allowed=True, room_uid=opened.uid, room_id="open", readable=True)
    assert await check("eve", "open") == public
    assert await check("bob", "nowhere") == CheckResponse(allowed=True)
    assert await check("bob", "") == CheckResponse(allowed=True)
    assert not (await check("bob", "open", "room:delete")).allowed
    await stores.assign("bob", "admin", "open")
    assert (await check("bob", "open", "room:delete")).allowed
    assert await stores.access.check("two", CheckRequest(permission="x", room_id="open")) == CheckResponse(allowed=True)


async def test_a_purged_user_leaves_messages_and_rooms(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    sent = await stores.send("x", "bob")
    await stores.cursors.set(SERVER, "bob", "x", 1, stores.clock())
    await stores.assign("bob", "admin", "")
    await stores.purges.user("one", "bob")
    room = (await stores.rooms.get(SERVER, "x")).room
    assert (room.created_by_id, list(room.member_user_ids)) == ("bob", ["ann"])
    assert (await stores.messages.get(SERVER, "x", sent.id)).user_id == "bob"
    assert (await stores.cursors.of_room(SERVER, "x")).cursors == []
    assert not await stores.access.permits("one", "bob", "room:delete", "")
    assert list((await stores.events())[-1].user_deleted.room_ids) == ["x"]
    await stores.purges.user("one", "bob")
    assert (await stores.kinds()).count("user_deleted") == 1


async def test_a_purged_users_request_ids_are_forgotten(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    first = await stores.send("x", "bob", request_id="r", caller=user("bob"))
    await stores.purges.user("one", "bob")
    stores.clock.advance(1)
    await stores.members.add(SERVER, AddMembersRequest(room_id="x", user_ids=["bob"]), stores.clock())
    assert (await stores.send("x", "bob", request_id="r", caller=user("bob"))).id > first.id


async def test_what_was_decided_before_a_purge_is_not_carried_out_after_it(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    asked_at = stores.clock()
    await stores.purges.user("one", "ann")
    with refuses("USERS_NOT_FOUND"):
        await stores.members.add(SERVER, AddMembersRequest(room_id="x", user_ids=["ann"]), asked_at)
    with refuses("USERS_NOT_FOUND"):
        await stores.rooms.create(SERVER, "ann", CreateRoomRequest(name="n"), ["ann"], asked_at)
    with refuses("USERS_NOT_FOUND"):
        await stores.assign("ann", "admin", asked_at=asked_at)
    stores.clock.advance(0.001)
    await stores.members.add(SERVER, AddMembersRequest(room_id="x", user_ids=["ann"]), stores.clock())


async def test_a_wiped_instance_is_empty_and_its_ids_go_on(stores: Stores) -> None:
    for caller in (SERVER, STRANGER):
        await stores.room("bob", room_id="x", caller=caller)
    before = await stores.send("x", "bob")
    asked_at = stores.clock()
    await stores.purges.instance("one")
    with refuses("USERS_NOT_FOUND", missing="1"):  # decided before, to be carried out after
        await stores.rooms.create(SERVER, "bob", CreateRoomRequest(name="late"), ["bob"], asked_at)
    stores.clock.advance(0.001)
    assert await stores.rooms.page(SERVER, "", 9, include_private=True) == []
    assert await stores.kinds() == []
    assert len(await stores.rooms.page(STRANGER, "", 9, include_private=True)) == 1
    await stores.room("bob", room_id="x")
    assert (await stores.send("x", "bob")).id > before.id


@pytest.mark.parametrize(("days", "events", "left"), [(7, 3, 3), (7, 100, 6), (30, 3, 6)])
async def test_the_log_keeps_days_and_a_number_of_events(stores: Stores, days: int, events: int, left: int) -> None:
    await stores.room("bob", room_id="x")
    for _ in range(5):
        await stores.send("x", "bob")
    stores.clock.advance(10 * 86400)
    await stores.purges.trim(days, events)
    assert len(await stores.events()) == left
