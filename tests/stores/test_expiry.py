"""What the stores promise of messages that expire, and `RemovalStore` of their end."""

import pytest
from google.protobuf.duration_pb2 import Duration
from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    SendMessageRequest,
)
from roomline.v1.room_service_pb2 import DeleteRoomRequest

from services.common.ids import MICROSECONDS
from services.message.store import Owner
from tests.stores.conftest import SERVER, Stores, file, text, user
from tests.stores.removing import DAY, expiring, hide, listed, overview, unsend
from tests.support.refusals import refuses


async def test_a_message_is_gone_the_moment_it_expires(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    kept = await stores.send("x", "bob")
    sent = await expiring(stores, 60, "7")
    assert sent.expires_at.ToMicroseconds() == stores.clock() + 60 * MICROSECONDS
    assert await stores.messages.get(user("ann"), "x", sent.id) == sent
    await stores.cursors.set(SERVER, "ann", "x", kept.id, stores.clock())
    assert (await overview(stores, "bob"), await overview(stores, "ann")) == ((2, sent.id), (1, sent.id))
    use = AttachmentUse(message_uid=sent.uid, attachment_id="7")
    stores.clock.advance(59.9)
    assert await listed(stores, user("ann")) == [kept.id, sent.id]
    stores.clock.advance(0.1)
    for wiped in (False, True):
        if wiped:
            assert await stores.removals.expire(9) == 1
        for caller in (user("ann"), SERVER):
            assert await listed(stores, caller, with_unsent=True) == [kept.id]
            with refuses("MESSAGE_NOT_FOUND"):
                await stores.messages.get(caller, "x", sent.id)
            with refuses("MESSAGE_NOT_FOUND"):
                await stores.cursors.set(caller, "ann", "x", 0, stores.clock(), sent.uid)
        assert (await overview(stores, "bob"), await overview(stores, "ann")) == ((1, kept.id), (0, kept.id))
        assert await stores.attachments.live_uses("one", [use], "") == []
        for call in (hide(stores, "ann", sent), unsend(stores, user("bob"), sent), unsend(stores, SERVER, sent)):
            with refuses("MESSAGE_NOT_FOUND"):
                await call
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.messages.edit(SERVER, EditMessageRequest(room_id="x", id=sent.id, parts=[text("more")]))
        with refuses("MESSAGE_NOT_FOUND"):
            await stores.messages.delete(SERVER, DeleteMessageRequest(id=sent.id))
        with refuses("FIELD_INVALID", field="reply_to"):
            request = SendMessageRequest(room_id="x", parts=[text("hi")], reply_to=sent.uid)
            await stores.messages.append(SERVER, "bob", request)


async def test_expired_messages_are_wiped(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    kept = await stores.send("x", "bob")
    later = await expiring(stores, 61)
    sent = [await expiring(stores, 60, str(number)) for number in range(3)]
    await hide(stores, "bob", sent[0])
    assert await stores.removals.expire(9) == 0
    stores.clock.advance(60)
    assert [await stores.removals.expire(2) for _ in range(3)] == [2, 1, 0]
    room = (await stores.rooms.get(SERVER, "x")).room
    assert room.last_message_at == later.created_at
    for number, message in enumerate(sent):
        assert await stores.releases.of(Owner("one", message.uid)) == [str(number)]
    deleted = [event.message_deleted for event in await stores.events() if event.HasField("message_deleted")]
    assert [event.message_id for event in deleted] == [message.id for message in sent]
    stores.clock.advance(1)
    assert await stores.removals.expire(9) == 1
    rows = await stores.database.read(lambda connection: connection.execute("SELECT * FROM messages").fetchall())
    assert "a-secret-word" not in repr(rows)
    counted = await stores.database.read(
        lambda connection: connection.execute("SELECT message_count, last_message_at FROM rooms").fetchone()
    )
    assert counted == (1, kept.created_at.ToMicroseconds())


async def test_what_was_unsent_does_not_expire_again(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    sent = await expiring(stores, 60)
    await unsend(stores, user("bob"), sent)
    assert await listed(stores, user("bob"), with_unsent=True) == [sent.id]
    stores.clock.advance(60)
    assert await listed(stores, user("bob"), with_unsent=True) == []
    assert await stores.removals.expire(9) == 0
    assert (await stores.kinds()).count("message_deleted") == 1


async def test_deleted_rooms_leave_nothing_to_wipe(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await expiring(stores, 60)
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="x"))
    stores.clock.advance(60)
    assert await stores.removals.expire(9) == 0
    assert (await stores.kinds())[-1] == "room_deleted"


@pytest.mark.parametrize("seconds", [0, -1, 366 * DAY + 1])
async def test_a_message_expires_within_a_year(stores: Stores, seconds: float) -> None:
    await stores.room("bob", room_id="x")
    with refuses("FIELD_INVALID", field="expires_at"):
        await expiring(stores, seconds)
    request = SendMessageRequest(room_id="x", parts=[file("f")])
    request.expires_at.FromMicroseconds(stores.clock() + int(seconds * MICROSECONDS))
    with refuses("FIELD_INVALID", field="expires_at"):
        await stores.attachments.room_to_send_to(SERVER, "bob", request)
    await expiring(stores, 366 * DAY)


async def test_a_message_may_expire_so_long_after_it_was_sent(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    request = SendMessageRequest(
        room_id="x", parts=[text("once")], request_id="r", expires_in=Duration(seconds=90, nanos=500_000_000)
    )
    first = await stores.messages.append(user("bob"), "bob", request)
    assert first.expires_at.ToMicroseconds() == first.created_at.ToMicroseconds() + 90_500_000
    stores.clock.advance(60)
    assert await stores.messages.append(user("bob"), "bob", request) == first
    assert await listed(stores, user("bob")) == [first.id]
    for other in (Duration(seconds=90), None):
        with refuses("REQUEST_ID_REUSED"):
            again = SendMessageRequest(room_id="x", parts=[text("once")], request_id="r", expires_in=other)
            await stores.messages.append(user("bob"), "bob", again)
    stores.clock.advance(30.5)
    assert await listed(stores, user("bob")) == []


async def test_a_time_to_live_begins_with_the_message_though_the_clock_was_set_back(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.messages.append(user("bob"), "bob", SendMessageRequest(room_id="x", parts=[text("before")]))
    stores.clock.advance(-5)
    request = SendMessageRequest(room_id="x", parts=[text("after")], expires_in=Duration(seconds=90))
    sent = await stores.messages.append(user("bob"), "bob", request)
    assert sent.expires_at.ToMicroseconds() == sent.created_at.ToMicroseconds() + 90 * MICROSECONDS


@pytest.mark.parametrize("duration", [Duration(), Duration(seconds=-1), Duration(seconds=366 * DAY, nanos=1000)])
async def test_a_time_to_live_is_at_most_a_year(stores: Stores, duration: Duration) -> None:
    await stores.room("bob", room_id="x")
    request = SendMessageRequest(room_id="x", parts=[file("f")], expires_in=duration)
    with refuses("FIELD_INVALID", field="expires_in"):
        await stores.messages.append(SERVER, "bob", request)
    with refuses("FIELD_INVALID", field="expires_in"):
        await stores.attachments.room_to_send_to(SERVER, "bob", request)
    await stores.messages.append(
        SERVER, "bob", SendMessageRequest(room_id="x", parts=[text("f")], expires_in=Duration(seconds=366 * DAY))
    )


async def test_a_repeated_send_gets_its_first_answer_though_the_message_has_expired(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    request = SendMessageRequest(room_id="x", parts=[text("once")], request_id="r")
    request.expires_at.FromMicroseconds(stores.clock() + 60 * MICROSECONDS)
    first = await stores.messages.append(user("bob"), "bob", request)
    stores.clock.advance(DAY / 2)
    await stores.removals.expire(9)
    assert await stores.messages.append(user("bob"), "bob", request) == first
