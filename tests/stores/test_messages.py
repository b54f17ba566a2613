"""What `MessageStore` promises."""

import asyncio

from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    ListMessagesRequest,
    MessageOrder,
    SendMessageRequest,
)
from roomline.v1.room_service_pb2 import DeleteRoomRequest, RemoveMembersRequest

from services.common.ids import MICROSECONDS
from tests.stores.conftest import SERVER, STRANGER, Stores, struct, text, user
from tests.stores.removing import unsend
from tests.support.refusals import refuses


async def test_a_message_comes_back_as_sent(stores: Stores) -> None:
    room = await stores.room("bob", room_id="lobby")
    first = await stores.send("lobby", "bob")
    request = SendMessageRequest(
        room_id="lobby", parts=[text("hi"), text("")], custom_data=struct(a=1), reply_to=first.uid
    )
    sent = await stores.messages.append(SERVER, "bob", request)
    assert (sent.user_id, sent.room_id, sent.room_uid) == ("bob", "lobby", room.uid)
    assert [part.content for part in sent.parts] == ["hi", ""]
    assert sent.created_at == sent.updated_at
    assert sent.custom_data["a"] == 1
    assert sent.reply_to == first.uid
    assert await stores.messages.get(SERVER, "lobby", sent.id) == sent


async def test_ids_rise_over_the_whole_instance_from_a_million(stores: Stores) -> None:
    for name in ("a", "b"):
        await stores.room("bob", room_id=name)
    ids = [(await stores.send(name, "bob")).id for name in ("a", "b", "a")]
    assert ids == [1_000_000, 1_000_001, 1_000_002]


async def test_parallel_sends_are_all_kept_in_one_order(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    sent = await asyncio.gather(*(stores.send("lobby", "bob", str(n)) for n in range(500)))
    assert len({message.id for message in sent}) == 500
    events = await stores.events()
    positions = [event.position for event in events]
    assert positions == list(range(1, 502))
    assert [event.message_sent.message.id for event in events[1:]] == sorted(message.id for message in sent)


async def test_the_same_request_id_gives_the_first_message(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    first, second = await asyncio.gather(
        *(stores.send("lobby", "bob", "once", request_id="r1", caller=user("bob")) for _ in range(2))
    )
    assert first == second
    assert first == await stores.send("lobby", "bob", "once", request_id="r1", caller=user("bob"))
    assert await stores.kinds() == ["room_created", "message_sent"]


async def test_a_request_id_belongs_to_its_user(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="lobby")
    bob = await stores.send("lobby", "bob", "once", request_id="r1", caller=user("bob"))
    ann = await stores.send("lobby", "ann", "once", request_id="r1", caller=user("ann"))
    assert bob.id != ann.id


async def test_a_request_id_with_another_body_is_refused(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    await stores.send("lobby", "bob", "one", request_id="r1")
    with refuses("REQUEST_ID_REUSED"):
        await stores.send("lobby", "bob", "two", request_id="r1")


async def test_a_refused_send_leaves_nothing_behind(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    results = await asyncio.gather(
        stores.send("lobby", "bob", "kept", request_id="a"),
        stores.send("lobby", "eve", "refused", request_id="b"),
        stores.send("nowhere", "bob", "refused", request_id="c"),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, True]
    assert await stores.kinds() == ["room_created", "message_sent"]
    with refuses("NOT_A_MEMBER"):
        await stores.send("lobby", "eve")
    with refuses("ROOM_NOT_FOUND"):
        await stores.send("nowhere", "bob")


async def test_times_never_go_back_in_a_room(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    first = await stores.send("lobby", "bob")
    stores.clock.advance(-10)
    second = await stores.send("lobby", "bob")
    assert second.created_at == first.created_at
    for gone in (first, second):  # their tombstones keep their times
        await unsend(stores, SERVER, gone)
    assert (await stores.send("lobby", "bob")).created_at == first.created_at


async def test_pages_go_both_ways_and_leave_out_the_deleted(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    ids = [(await stores.send("lobby", "bob")).id for _ in range(5)]
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="lobby", id=ids[2]))
    older = ListMessagesRequest(room_id="lobby", before_id=ids[4])
    assert [m.id for m in (await stores.messages.page(SERVER, older, 2)).messages] == [ids[3], ids[1]]
    newer = ListMessagesRequest(room_id="lobby", after_id=ids[0], order=MessageOrder.MESSAGE_ORDER_OLDEST_FIRST)
    assert [m.id for m in (await stores.messages.page(SERVER, newer, 9)).messages] == [ids[1], ids[3], ids[4]]


async def test_a_window_of_time(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    ids = []
    for _ in range(3):
        ids.append((await stores.send("lobby", "bob")).id)
        stores.clock.advance(1)
    request = ListMessagesRequest(room_id="lobby")
    request.created_from.FromMicroseconds(stores.clock() - 2 * MICROSECONDS)
    request.created_before.FromMicroseconds(stores.clock() - 1 * MICROSECONDS)
    assert [m.id for m in (await stores.messages.page(SERVER, request, 9)).messages] == [ids[1]]


async def test_an_edit_replaces_the_parts_and_keeps_the_rest(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    sent = await stores.send("lobby", "bob", "before")
    stores.clock.advance(5)
    request = EditMessageRequest(room_id="lobby", id=sent.id, parts=[text("after")])
    edited = (await stores.messages.edit(SERVER, request)).message
    assert [part.content for part in edited.parts] == ["after"]
    assert (edited.created_at, edited.user_id, edited.uid) == (sent.created_at, "bob", sent.uid)
    assert edited.updated_at.ToMicroseconds() == stores.clock()
    assert await stores.messages.get(SERVER, "lobby", sent.id) == edited


async def test_a_deleted_message_is_wiped_everywhere(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    sent = await stores.send("lobby", "bob", "a-secret-word", request_id="r")
    await stores.messages.edit(
        SERVER, EditMessageRequest(room_id="lobby", id=sent.id, parts=[text("a-secret-word too")], request_id="e")
    )
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="lobby", id=sent.id))
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.get(SERVER, "lobby", sent.id)
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="lobby", id=sent.id))
    rows = await stores.database.read(
        lambda connection: [
            row
            for table in ("messages", "events", "requests")
            for row in connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
        ]
    )
    assert "a-secret-word" not in repr(rows)
    assert (await stores.kinds())[-1] == "message_deleted"
    assert await stores.send("lobby", "bob", "a-secret-word", request_id="r") == sent


async def test_a_repeated_request_gets_the_first_answer_and_no_news(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    sent = await stores.send("lobby", "bob", "mine", request_id="r", caller=user("bob"))
    await stores.members.remove(SERVER, RemoveMembersRequest(room_id="lobby", user_ids=["bob"]))
    edit = EditMessageRequest(room_id="lobby", id=sent.id, parts=[text("for members only")], request_id="e")
    edited = (await stores.messages.edit(SERVER, edit)).message
    assert await stores.send("lobby", "bob", "mine", request_id="r", caller=user("bob")) == sent
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="lobby"))
    assert await stores.send("lobby", "bob", "mine", request_id="r", caller=user("bob")) == sent
    assert (await stores.messages.edit(SERVER, edit)).message == edited


async def test_only_a_live_message_of_the_room_can_be_answered(stores: Stores) -> None:
    for name in ("lobby", "other"):
        await stores.room("bob", room_id=name)
    elsewhere = await stores.send("other", "bob")
    for uid in (elsewhere.uid, "unknown"):
        with refuses("FIELD_INVALID", field="reply_to"):
            request = SendMessageRequest(room_id="lobby", parts=[text("hi")], reply_to=uid)
            await stores.messages.append(SERVER, "bob", request)


async def test_deleting_by_id_alone_finds_the_room(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    sent = await stores.send("lobby", "bob")
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.delete(STRANGER, DeleteMessageRequest(id=sent.id))
    await stores.messages.delete(SERVER, DeleteMessageRequest(id=sent.id))
    assert (await stores.messages.page(SERVER, ListMessagesRequest(room_id="lobby"), 9)).messages == []


async def test_users_change_their_own_messages_while_they_are_members(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="lobby")
    sent = await stores.send("lobby", "bob")
    request = EditMessageRequest(room_id="lobby", id=sent.id, parts=[text("changed")])
    with refuses("PERMISSION_MISSING", permission="message:edit"):
        await stores.messages.edit(user("bob"), request)
    for user_id in ("bob", "ann"):
        await stores.assign(user_id, "admin", "lobby")
    with refuses("PERMISSION_MISSING", permission="message:edit"):
        await stores.messages.edit(user("ann"), request)
    with refuses("NOT_A_MEMBER"):
        await stores.messages.delete(user("eve"), DeleteMessageRequest(room_id="lobby", id=sent.id))
    assert (await stores.messages.edit(user("bob"), request)).message.parts[0].content == "changed"


async def test_a_message_is_found_in_its_own_room_and_instance_only(stores: Stores) -> None:
    await stores.room("bob", room_id="lobby")
    await stores.room("bob", room_id="other")
    await stores.room("bob", room_id="lobby", caller=STRANGER)
    sent = await stores.send("lobby", "bob")
    for caller, room_id in ((SERVER, "other"), (SERVER, "nowhere"), (STRANGER, "lobby")):
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.messages.get(caller, room_id, sent.id)


async def test_strangers_read_public_rooms_and_no_private_ones(stores: Stores) -> None:
    await stores.room("bob", room_id="open")
    await stores.room("bob", room_id="closed", private=True)
    for room_id in ("open", "closed"):
        await stores.send(room_id, "bob")
    assert len((await stores.messages.page(user("eve"), ListMessagesRequest(room_id="open"), 9)).messages) == 1
    assert len((await stores.messages.page(user("bob"), ListMessagesRequest(room_id="closed"), 9)).messages) == 1
    with refuses("NOT_A_MEMBER"):
        await stores.messages.page(user("eve"), ListMessagesRequest(room_id="closed"), 9)


async def test_a_page_ends_where_the_bytes_do(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    for _ in range(5):
        await stores.send("x", "bob", "y" * 100)
    page = ListMessagesRequest(room_id="x")
    assert len((await stores.messages.page(SERVER, page, 9, 250)).messages) == 3
    assert len((await stores.messages.page(SERVER, page, 9, 0)).messages) == 1


async def test_pages_for_members_only(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.send("x", "bob")
    page = ListMessagesRequest(room_id="x", members_only=True)
    with refuses("NOT_A_MEMBER"):
        await stores.messages.page(user("eve"), page, 9)
    for caller in (user("bob"), SERVER):
        assert len((await stores.messages.page(caller, page, 9)).messages) == 1
