"""What `RemovalStore` promises of messages that are hidden or unsent, and what the other stores make of it."""

import asyncio

from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    HideMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
)
from roomline.v1.room_service_pb2 import DeleteRoomRequest, LeaveRoomRequest, RemoveMembersRequest

from services.common.call import Caller
from services.message.store import Owner
from tests.stores.conftest import SERVER, STRANGER, Stores, text, user
from tests.stores.removing import DAY, expiring, hide, listed, overview, unsend
from tests.support.refusals import refuses


async def test_a_hidden_message_is_absent_for_that_user_alone(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    first, second, third = [await stores.send("x", "bob") for _ in range(3)]
    for message in (third, first):
        await hide(stores, "ann", message)
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.messages.get(user("ann"), "x", message.id)
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.messages.get(user("ann"), "x", 0, message.uid)
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.cursors.set(user("ann"), "ann", "x", 0, stores.clock(), message.uid)
        with refuses("FIELD_INVALID", field="reply_to"):
            request = SendMessageRequest(room_id="x", parts=[text("hi")], reply_to=message.uid)
            await stores.messages.append(user("ann"), "ann", request)
    assert await listed(stores, user("ann")) == [second.id]
    assert await overview(stores, "ann") == (1, second.id)
    for caller in (user("bob"), SERVER, Caller(SERVER.level, "one", "ann")):
        assert await listed(stores, caller) == [first.id, second.id, third.id]
        assert await stores.messages.get(caller, "x", third.id) == third
    assert await overview(stores, "bob") == (3, third.id)
    event = (await stores.events())[-2].message_hidden
    assert (event.room_id, event.room_uid, event.message_id, event.message_uid, event.user_id) == (
        *("x", third.room_uid, third.id, third.uid, "ann"),
    )


async def test_hidden_messages_do_not_count_as_unread(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = [await stores.send("x", "bob") for _ in range(5)]
    for number in (0, 3):
        await hide(stores, "bob", sent[number])
    for read, unread in ((None, 3), (0, 3), (sent[0].id, 3), (sent[1].id, 2), (sent[3].id, 1), (sent[4].id, 0)):
        if read is not None:
            await stores.cursors.set(SERVER, "bob", "x", read, stores.clock())
        assert await overview(stores, "bob") == (unread, sent[4].id)
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=sent[3].id))
    await stores.cursors.set(SERVER, "bob", "x", 5, stores.clock())
    assert await overview(stores, "bob") == (3, sent[4].id)


async def test_hiding_again_changes_nothing(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await stores.send("x", "bob")
    for request_id in ("", "", "r", "r"):
        await hide(stores, "bob", sent, request_id)
    assert (await stores.kinds()).count("message_hidden") == 1
    await unsend(stores, user("bob"), sent)
    await hide(stores, "bob", sent)
    assert await listed(stores, user("bob"), with_unsent=True) == []


async def test_only_what_a_member_can_see_is_hidden(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.room("bob", "eve", room_id="y", caller=STRANGER)
    sent = await stores.send("x", "bob")
    for uid in (sent.uid, sent.room_uid, "nothing"):
        with refuses("MESSAGE_NOT_FOUND"):
            await hide(stores, "eve", Message(uid=uid))
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.removals.hide(STRANGER, "bob", HideMessageRequest(uid=sent.uid))
    await stores.members.leave(SERVER, LeaveRoomRequest(room_id="x", user_id="bob"))
    with refuses("MESSAGE_NOT_FOUND"):
        await hide(stores, "bob", sent)


async def test_pages_go_on_to_the_end_though_all_of_them_is_hidden(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    first = await stores.send("x", "bob")
    for message in [await stores.send("x", "bob") for _ in range(50)]:
        await hide(stores, "bob", message)
    newest = ListMessagesRequest(room_id="x")
    assert (await stores.messages.page(user("bob"), newest, 3)).messages == [first]


async def test_what_is_hidden_opens_no_attachment(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    sent = await expiring(stores, DAY, "7")
    use = AttachmentUse(message_uid=sent.uid, attachment_id="7")
    await hide(stores, "ann", sent)
    assert await stores.attachments.live_uses("one", [use], "ann") == []
    for user_id in ("bob", ""):
        assert await stores.attachments.live_uses("one", [use], user_id) == [use]


async def test_hidden_marks_go_with_their_room_and_user(stores: Stores) -> None:
    for room_id in ("x", "y"):
        await stores.room("bob", "ann", room_id=room_id)
        sent = await stores.send(room_id, "bob")
        for user_id in ("bob", "ann"):
            await hide(stores, user_id, sent)

    async def marks() -> list[tuple[str]]:
        return await stores.database.read(
            lambda connection: connection.execute("SELECT user_id FROM hidden ORDER BY user_id").fetchall()
        )

    await stores.purges.user("one", "ann")
    assert await marks() == [("bob",)] * 2
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="x"))
    await stores.purges.remains()
    assert await marks() == [("bob",)]
    await stores.purges.instance("one")
    assert await marks() == []


async def test_an_unsent_message_leaves_a_tombstone(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    kept = await stores.send("x", "bob")
    sent = await stores.messages.append(
        user("bob"), "bob", SendMessageRequest(room_id="x", parts=[text("a-secret-word")], reply_to=kept.uid)
    )
    stores.clock.advance(5)
    assert await unsend(stores, user("bob"), sent) is None
    unsent_at = stores.clock()
    stores.clock.advance(5)
    for _ in range(2):
        assert await unsend(stores, user("bob"), sent) is None
        assert await unsend(stores, SERVER, sent) is None
    assert await listed(stores, user("ann")) == [kept.id]
    assert await listed(stores, user("ann"), with_unsent=True) == [kept.id, sent.id]
    page = (await stores.messages.page(SERVER, ListMessagesRequest(room_id="x", with_unsent=True), 1)).messages
    sent.ClearField("parts")
    sent.ClearField("reply_to")
    sent.unsent_at.FromMicroseconds(unsent_at)
    sent.updated_at.FromMicroseconds(unsent_at)
    assert page == [sent]
    assert await overview(stores, "ann") == (1, kept.id)
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.get(user("ann"), "x", 0, sent.uid)
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.edit(user("bob"), EditMessageRequest(uid=sent.uid, parts=[text("back")]))
    assert (await stores.kinds())[-1] == "message_deleted"
    assert (await stores.kinds()).count("message_deleted") == 1
    # A client marks what it shows last, which may be a tombstone.
    assert (await stores.cursors.set(user("ann"), "ann", "x", 0, stores.clock(), sent.uid)).position == sent.id


async def test_only_authors_who_are_members_and_servers_unsend(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    sent = await stores.send("x", "bob")
    await stores.assign("ann", "admin")
    for caller in (user("ann"), user("eve"), STRANGER):
        for message in (sent, Message(uid=sent.room_uid), Message(uid="nothing")):
            with refuses("MESSAGE_NOT_FOUND"):
                await unsend(stores, caller, message)
    await stores.members.remove(SERVER, RemoveMembersRequest(room_id="x", user_ids=["bob"]))
    with refuses("MESSAGE_NOT_FOUND"):
        await unsend(stores, user("bob"), sent)
    assert await listed(stores, SERVER) == [sent.id]
    await unsend(stores, SERVER, sent)
    assert await listed(stores, SERVER) == []


async def test_what_an_author_has_hidden_it_can_still_unsend(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await stores.send("x", "bob")
    await hide(stores, "bob", sent)
    await unsend(stores, user("bob"), sent)
    assert await listed(stores, SERVER) == []


async def test_an_unsent_message_releases_its_attachments_once(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await expiring(stores, DAY, "7")
    assert await unsend(stores, user("bob"), sent, "r") == Owner("one", sent.uid)
    assert await unsend(stores, user("bob"), sent) is None
    assert await stores.releases.of(Owner("one", sent.uid)) == ["7"]


async def test_an_author_edits_by_uid_without_a_permission(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    sent = await stores.send("x", "bob", "before")
    edit = EditMessageRequest(uid=sent.uid, parts=[text("after")], request_id="r")
    for user_id in ("ann", "eve"):
        await stores.assign(user_id, "admin")
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.messages.edit(user(user_id), edit)
    edited = (await stores.messages.edit(user("bob"), edit)).message
    assert (edited.id, edited.parts[0].content, edited.HasField("edited_at")) == (sent.id, "after", True)
    edit.room_id = "what it was resolved to this time"
    assert (await stores.messages.edit(user("bob"), edit)).message == edited
    await stores.members.leave(SERVER, LeaveRoomRequest(room_id="x", user_id="bob"))
    with refuses("MESSAGE_NOT_FOUND"):
        await stores.messages.edit(user("bob"), EditMessageRequest(uid=sent.uid, parts=[text("late")]))


async def test_a_cursor_is_set_to_a_message_of_its_room(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.room("bob", room_id="y")
    sent, other = await stores.send("x", "bob"), await stores.send("y", "bob")
    cursor = await stores.cursors.set(user("bob"), "bob", "x", 5, stores.clock(), sent.uid)
    assert cursor.position == sent.id
    assert await stores.cursors.get(user("bob"), "bob", "x") == cursor
    for uid in (other.uid, "nothing"):
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.cursors.set(user("bob"), "bob", "x", 5, stores.clock(), uid)
    assert await stores.cursors.get(user("bob"), "bob", "x") == cursor


async def test_hiding_and_unsending_at_once(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    for _ in range(20):
        sent = await stores.send("x", "bob")
        calls = [hide(stores, user_id, sent) for user_id in ("ann", "bob", "ann")]
        await asyncio.gather(*calls, unsend(stores, user("bob"), sent), unsend(stores, user("bob"), sent))
    for user_id in ("ann", "bob"):
        assert await overview(stores, user_id) == (0, 0)
        assert await listed(stores, user(user_id), with_unsent=True) == []
    kinds = await stores.kinds()
    assert (kinds.count("message_hidden"), kinds.count("message_deleted")) == (40, 20)
