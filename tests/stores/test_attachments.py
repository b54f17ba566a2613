"""What `MessageStore`, `AttachmentStore` and `ReleaseStore` promise of messages with attachments."""

import asyncio

import pytest
from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
)
from roomline.v1.room_service_pb2 import DeleteRoomRequest

from services.common.call import Caller
from services.message.store import Claim, ClaimOutdatedError, Owner
from tests.stores.conftest import SERVER, STRANGER, Stores, file, text, user
from tests.support.refusals import refuses

UID = "0190aaaa-0000-7000-8000-000000000001"
START = Owner("", "")


async def send(
    stores: Stores, *ids: str, uid: str = UID, room_id: str = "x", request_id: str = "", caller: Caller = SERVER
) -> Message:
    """A message with attachments that were claimed just now."""
    request = SendMessageRequest(room_id=room_id, parts=[text("see"), *map(file, ids)], request_id=request_id)
    room_uid = await stores.attachments.room_to_send_to(caller, "bob", request)
    return await stores.messages.append(caller, "bob", request, Claim(uid, room_uid, stores.clock()))


def edit_of(message: Message, *parts: Part, request_id: str = "") -> EditMessageRequest:
    return EditMessageRequest(room_id=message.room_id, id=message.id, parts=parts, request_id=request_id)


async def claim_of(stores: Stores, request: EditMessageRequest) -> Claim:
    seen = await stores.attachments.editable(SERVER, request)
    return Claim(seen.owner.uid, seen.room_uid, stores.clock(), seen.version)


async def released(stores: Stores) -> dict[str, set[str]]:
    """What is to be told, by the uid of its message or room."""
    return {owner.uid: set(await stores.releases.of(owner)) for owner in await stores.releases.owners(START, 100)}


def use(message_uid: str, attachment_id: str) -> AttachmentUse:
    return AttachmentUse(message_uid=message_uid, attachment_id=attachment_id)


async def test_a_message_has_the_uid_that_its_attachments_were_claimed_for(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await send(stores, "a", "b")
    assert sent.uid == UID
    assert await stores.messages.get(SERVER, "x", sent.id) == sent
    assert [part.attachment.id for part in sent.parts] == ["", "a", "b"]


async def test_what_append_would_refuse_is_refused_before_the_claim(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    request = SendMessageRequest(room_id="x", parts=[file("a")])
    with refuses("NOT_A_MEMBER"):
        await stores.attachments.room_to_send_to(user("eve"), "eve", request)
    with refuses("ROOM_NOT_FOUND"):
        await stores.attachments.room_to_send_to(STRANGER, "bob", request)
    request.reply_to = "unknown"
    with refuses("FIELD_INVALID", field="reply_to"):
        await stores.attachments.room_to_send_to(SERVER, "bob", request)


async def test_an_old_claim_is_refused_and_nothing_is_stored(stores: Stores) -> None:
    room = await stores.room("bob", room_id="x")
    sent = await stores.send("x", "bob")
    send_request = SendMessageRequest(room_id="x", parts=[file("a")])
    edit_request = edit_of(sent, file("a"))
    send_claim, edit_claim = Claim(UID, room.uid, stores.clock()), await claim_of(stores, edit_request)
    stores.clock.advance(301)
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await stores.messages.append(SERVER, "bob", send_request, send_claim)
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await stores.messages.edit(SERVER, edit_request, edit_claim)
    stores.clock.advance(-1)
    await stores.messages.append(SERVER, "bob", send_request, send_claim)
    await stores.messages.edit(SERVER, edit_request, edit_claim)
    assert await stores.kinds() == ["room_created", "message_sent", "message_sent", "message_edited"]


async def test_a_claim_for_a_taken_uid_or_another_room_is_outdated(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await send(stores, "a")
    with pytest.raises(ClaimOutdatedError):
        await send(stores, "b")
    await stores.messages.delete(SERVER, DeleteMessageRequest(id=sent.id))
    with pytest.raises(ClaimOutdatedError):  # the tombstone still has it
        await send(stores, "b")
    other = await stores.room("bob", room_id="y")
    request = SendMessageRequest(room_id="x", parts=[file("b")])
    with pytest.raises(ClaimOutdatedError):
        await stores.messages.append(SERVER, "bob", request, Claim("another", other.uid, stores.clock()))
    assert (await stores.messages.page(SERVER, ListMessagesRequest(room_id="x"), 9)).messages == []


async def test_a_repeated_send_is_stored_once_whatever_was_claimed(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    first, second = await asyncio.gather(
        send(stores, "a", request_id="r"), send(stores, "a", request_id="r", uid="another")
    )
    assert first == second
    assert (await stores.kinds()).count("message_sent") == 1


async def test_an_edit_releases_what_it_drops_and_nothing_else(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await send(stores, "a", "b", "c")
    request = edit_of(sent, file("b"), text("new"), file("d"), file("d"), request_id="e")
    edited = await stores.messages.edit(SERVER, request, await claim_of(stores, request))
    assert edited.released == Owner("one", UID)
    assert await released(stores) == {UID: {"a", "c"}}
    again = await stores.messages.edit(SERVER, request)
    assert (again.message, again.released) == (edited.message, None)
    without = await stores.messages.edit(SERVER, edit_of(sent, text("none")))
    assert without.released == Owner("one", UID)
    assert await released(stores) == {UID: {"a", "b", "c", "d"}}
    assert (await stores.messages.edit(SERVER, edit_of(sent, text("still none")))).released is None


async def test_an_edit_that_was_overtaken_is_refused(stores: Stores) -> None:
    """Even if the overtaker changed the message back, at the same moment: its release may have hit the claim."""
    await stores.room("bob", room_id="x")
    sent = await send(stores, "a")
    request = edit_of(sent, file("a"), file("b"))
    claim = await claim_of(stores, request)
    for parts in ([text("gone")], [file("a")]):
        other = edit_of(sent, *parts)
        await stores.messages.edit(SERVER, other, await claim_of(stores, other))
    with pytest.raises(ClaimOutdatedError):
        await stores.messages.edit(SERVER, request, claim)
    await stores.messages.edit(SERVER, request, await claim_of(stores, request))


async def test_what_an_edit_has_to_know(stores: Stores) -> None:
    room = await stores.room("bob", "ann", room_id="x")
    sent = await send(stores, "a", "b")
    with refuses("PERMISSION_MISSING", permission="message:edit"):
        await stores.attachments.editable(user("bob"), edit_of(sent))
    for user_id in ("bob", "ann"):
        await stores.assign(user_id, "admin")
    seen = await stores.attachments.editable(user("bob"), edit_of(sent))
    assert (seen.owner, seen.sender, seen.room_uid) == (Owner("one", UID), "bob", room.uid)
    assert (seen.attachment_ids, seen.releasing) == (frozenset({"a", "b"}), False)
    await stores.messages.edit(SERVER, edit_of(sent, text("none")))
    later = await stores.attachments.editable(SERVER, edit_of(sent))
    assert (later.attachment_ids, later.releasing) == (frozenset(), True)
    assert later.version > seen.version
    await stores.releases.finished(seen.owner, ["a"])
    assert (await stores.attachments.editable(SERVER, edit_of(sent))).releasing
    await stores.releases.finished(seen.owner, ["b"])
    assert not (await stores.attachments.editable(SERVER, edit_of(sent))).releasing
    with refuses("PERMISSION_MISSING", permission="message:edit"):
        await stores.attachments.editable(user("ann"), edit_of(sent))
    with refuses("ROOM_NOT_FOUND"):
        await stores.attachments.editable(STRANGER, edit_of(sent))


async def test_a_deleted_message_releases_its_attachments_once(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await send(stores, "a", "b")
    plain = await stores.send("x", "bob")
    request = DeleteMessageRequest(id=sent.id, request_id="d")
    assert await stores.messages.delete(SERVER, request) == Owner("one", UID)
    assert await stores.messages.delete(SERVER, request) is None
    assert await stores.messages.delete(SERVER, DeleteMessageRequest(id=plain.id)) is None
    assert await released(stores) == {UID: {"a", "b"}}


async def test_a_deleted_room_releases_all_that_was_in_it(stores: Stores) -> None:
    room = await stores.room("bob", room_id="x")
    await send(stores, "a")
    request = DeleteRoomRequest(room_id="x", request_id="d")
    assert await stores.rooms.delete(SERVER, request) == Owner("one", room.uid)
    assert await stores.rooms.delete(SERVER, request) is None
    assert await released(stores) == {room.uid: {""}}


async def test_a_wiped_instance_has_nothing_to_release(stores: Stores) -> None:
    for caller in (SERVER, STRANGER):
        room = await stores.room("bob", room_id="x", caller=caller)
        await stores.rooms.delete(caller, DeleteRoomRequest(room_id="x"))
    await stores.purges.instance("one")
    assert await stores.releases.owners(START, 9) == [Owner("two", room.uid)]


async def test_releases_are_listed_in_pages(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    for n in range(5):
        sent = await send(stores, "a", "b", uid=f"uid-{n}")
        await stores.messages.delete(SERVER, DeleteMessageRequest(id=sent.id))
    first = await stores.releases.owners(START, 2)
    rest = await stores.releases.owners(first[-1], 9)
    assert [owner.uid for owner in (*first, *rest)] == [f"uid-{n}" for n in range(5)]
    await stores.releases.finished(first[0], ["a", "b", "unknown"])
    assert await stores.releases.of(first[0]) == []
    assert len(await stores.releases.owners(START, 9)) == 4


async def test_uses_by_live_messages(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.room("bob", room_id="y")
    messages = {name: await send(stores, "a", "b", uid=name) for name in ("kept", "deleted", "edited", "expired")}
    await send(stores, "a", uid="gone", room_id="y")
    await stores.messages.delete(SERVER, DeleteMessageRequest(id=messages["deleted"].id))
    await stores.messages.edit(SERVER, edit_of(messages["edited"], file("b")))
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="y"))
    await stores.database.write(
        lambda connection: connection.execute(
            "UPDATE messages SET expires_at = ? WHERE uid = 'expired'", (stores.clock(),)
        )
    )
    asked = [use(uid, "a") for uid in (*messages, "gone", "unknown")]
    asked += [use("edited", "b"), use("kept", "b"), use("kept", "c")]
    held = [use("kept", "a"), use("edited", "b"), use("kept", "b")]
    assert await stores.attachments.live_uses("one", asked, "") == held
    assert await stores.attachments.live_uses("two", asked, "") == []
    stores.clock.advance(-1)
    assert await stores.attachments.live_uses("one", [use("expired", "a")], "") == [use("expired", "a")]


async def test_uses_whose_release_is_to_come(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    gone = await stores.room("bob", room_id="y")
    kept, deleted, edited, expired = [await send(stores, "a", "b", uid=f"uid-{n}") for n in range(4)]
    await stores.messages.delete(SERVER, DeleteMessageRequest(id=deleted.id))
    await stores.messages.edit(SERVER, edit_of(edited, file("b")))
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="y"))
    await stores.database.write(
        lambda connection: connection.execute(
            "UPDATE messages SET expires_at = ? WHERE uid = 'uid-3'", (stores.clock() + 1,)
        )
    )
    asked = [use(uid, id_) for uid in (kept.uid, deleted.uid, edited.uid, expired.uid, "?") for id_ in ("a", "b", "c")]
    rooms = [gone.uid, kept.room_uid, "?"]
    pending = [use(deleted.uid, "a"), use(deleted.uid, "b"), use(edited.uid, "a")]
    assert await stores.attachments.releasing("one", asked, rooms) == (pending, [gone.uid])
    assert await stores.attachments.releasing("two", asked, rooms) == ([], [])
    for owner in await stores.releases.owners(START, 9):
        await stores.releases.finished(owner, await stores.releases.of(owner))
    stores.clock.advance(1)  # expired, but not wiped yet
    dying = [use(expired.uid, "a"), use(expired.uid, "b")]
    assert await stores.attachments.releasing("one", asked, rooms) == (dying, [])


async def test_uses_that_a_user_can_read(stores: Stores) -> None:
    await stores.room("bob", room_id="open")
    await stores.room("bob", room_id="closed", private=True)
    for name in ("open", "closed"):
        await send(stores, "a", uid=name, room_id=name)
    asked = [use("open", "a"), use("closed", "a")]
    assert await stores.attachments.live_uses("one", asked, "bob") == asked
    assert await stores.attachments.live_uses("one", asked, "eve") == asked[:1]
    assert await stores.attachments.live_uses("one", asked, "bob", members_only=True) == asked
    assert await stores.attachments.live_uses("one", asked, "eve", members_only=True) == []
