"""The log as it is read: who may follow what, what events show, and from where on."""

from collections.abc import Sequence

import pytest
import structlog
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    HideMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
)
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    DeleteRoomRequest,
    DiscardRoomRequest,
    RemoveMembersRequest,
)

from services.common.call import Caller
from services.message.event_store import Batch, RoomAccess, UserAccess
from services.message.sqlite_log import MOST_LOST_SECONDS, SKIPPED_A_SECOND, SKIPPED_MESSAGE_IDS
from tests.stores.conftest import SERVER, STRANGER, Stores, text, user
from tests.support.refusals import refuses

EVERYTHING = (0, 1000, 10**6)


async def all_of(stores: Stores, after: int = 0, size: int = 1000, max_bytes: int = 10**6) -> Batch:
    return await stores.log.read("one", after, size, max_bytes)


async def shown(stores: Stores, message_id: int) -> Message:
    """A message as its first event shows it."""
    messages = [entry.message for entry in (await all_of(stores)).entries]
    return next(message for message in messages if message is not None and message.id == message_id)


async def access(stores: Stores, caller: Caller, *topics: WatchTopic) -> Sequence[object]:
    """What the caller may follow, or the names of the reasons."""
    found = (await stores.log.open(caller, topics)).topics
    return [ErrorReason.Name(one).removeprefix("ERROR_REASON_") if isinstance(one, int) else one for one in found]


async def test_a_snapshot_says_at_which_place_in_the_log_it_was_taken(stores: Stores) -> None:
    async def positions() -> set[int]:
        page = ListMessagesRequest(room_id="x")
        answers: list[ProtoMessage] = [
            await stores.rooms.get(SERVER, "x"),
            await stores.members.user_rooms("one", "bob", with_last_messages=True),
            await stores.conversations.user_room("one", "bob", "x"),
            await stores.messages.page(SERVER, page, 9),
            await stores.cursors.of_room(SERVER, "x"),
            await stores.cursors.of_user("one", "bob"),
        ]
        return {answer.position for answer in answers}  # type: ignore[attr-defined]

    await stores.room("bob", room_id="x")
    assert await positions() == {1}
    await stores.send("x", "bob")
    assert await positions() == {2}
    await stores.room("bob", room_id="y")
    assert await positions() == {3}
    assert (await stores.cursors.of_user("two", "bob")).position == 0


async def test_who_may_follow_what(stores: Stores) -> None:
    den, hall = await stores.room("bob", "ann", room_id="den", private=True), await stores.room("bob", room_id="hall")
    topics = [
        *(WatchTopic(room_id="den"), WatchTopic(room_uid=den.uid), WatchTopic(room_id="hall")),
        *(WatchTopic(room_id="nothing"), WatchTopic(user_id="ann"), WatchTopic(instance=True)),
    ]
    inside = [RoomAccess(den.uid, private=True, member=True)] * 2
    outside = RoomAccess(hall.uid, private=False, member=False)
    assert await access(stores, user("ann"), *topics) == [
        *(*inside, outside, "ROOM_NOT_FOUND"),
        *(UserAccess({den.uid: [(1, None)]}), "CALLER_NOT_ALLOWED"),
    ]
    assert await access(stores, user("eve"), *topics) == [
        *("NOT_A_MEMBER", "ROOM_NOT_FOUND", outside, "ROOM_NOT_FOUND", "SUBJECT_MISMATCH", "CALLER_NOT_ALLOWED"),
    ]
    assert await access(stores, STRANGER, *topics) == [*["ROOM_NOT_FOUND"] * 4, UserAccess({}), ()]
    server = await access(stores, SERVER, *topics)
    assert server[:2] == [RoomAccess(den.uid, private=True, member=False)] * 2
    assert server[4:] == [UserAccess({den.uid: [(1, None)]}), ()]


async def test_when_somebody_was_a_member(stores: Stores) -> None:
    room = await stores.room("bob", "ann", room_id="x")
    for _ in range(2):
        await stores.members.remove(SERVER, RemoveMembersRequest(room_id="x", user_ids=["ann"]))
        await stores.send("x", "bob")
        await stores.members.add(SERVER, AddMembersRequest(room_id="x", user_ids=["ann"]), stores.clock())
    spans = {room.uid: [(1, 2), (4, 5), (7, None)]}

    async def found() -> dict[str, list[tuple[int, int | None]]]:
        (one,) = await access(stores, user("ann"), WatchTopic(user_id="ann"))
        assert isinstance(one, UserAccess)
        return {uid: sorted(times, key=lambda span: span[0]) for uid, times in one.spans.items()}

    assert await found() == spans
    stores.clock.advance(8 * 86400)
    await stores.purges.trim(days=7, events=3)
    assert await found() == {room.uid: [(4, 5), (7, None)]}
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="x"))
    assert await found() == {}


async def test_messages_are_shown_as_they_are(stores: Stores) -> None:
    await stores.room("bob", "ann", room_id="x")
    edited, deleted = await stores.send("x", "bob"), await stores.send("x", "bob")
    expires_at = Timestamp()
    expires_at.FromMicroseconds(stores.clock() + 10**6)
    request = SendMessageRequest(room_id="x", parts=[text("soon gone")], expires_at=expires_at)
    fleeting = await stores.messages.append(SERVER, "bob", request)
    assert await shown(stores, fleeting.id) == fleeting
    await stores.messages.edit(SERVER, EditMessageRequest(room_id="x", id=edited.id, parts=[text("new")]))
    assert (await shown(stores, edited.id)).parts[0].content == "new"
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=deleted.id))
    stores.clock.advance(1)
    for gone in (deleted, fleeting):
        tombstone = await shown(stores, gone.id)
        assert (tombstone.uid, list(tombstone.parts), tombstone.HasField("unsent_at")) == (gone.uid, [], True)
    await stores.rooms.delete(SERVER, DeleteRoomRequest(room_id="x"))
    tombstone = await shown(stores, edited.id)  # though its row is still there
    assert (tombstone.uid, list(tombstone.parts), tombstone.HasField("unsent_at")) == (edited.uid, [], True)


async def test_who_has_hidden_a_message_is_known(stores: Stores) -> None:
    room = (await stores.open("bob", "ann")).room.room
    first, second = await stores.send(room.id, "bob"), await stores.send(room.id, "ann")
    await stores.removals.hide(user("ann"), "ann", HideMessageRequest(uid=second.uid))
    await stores.messages.edit(SERVER, EditMessageRequest(room_id=room.id, id=first.id, parts=[text("new")]))

    async def hidden() -> list[set[str]]:
        return [entry.hidden_from for entry in (await all_of(stores)).entries if entry.message is not None]

    assert await hidden() == [set(), {"ann"}, set()]
    await stores.conversations.discard(user("bob"), "bob", DiscardRoomRequest(room_id=room.id))
    await stores.send(room.id, "ann")
    assert await hidden() == [{"bob"}, {"ann", "bob"}, {"bob"}, set()]
    assert (await stores.events())[-2].room_discarded.message_id == second.id


async def test_the_log_is_read_in_pieces(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    for number in range(5):
        await stores.send("x", "bob", str(number) * 1000)
    everything = await all_of(stores)
    assert [entry.position for entry in everything.entries] == [1, 2, 3, 4, 5, 6]
    assert (everything.start, everything.end, everything.as_of, everything.was_reset) == (0, 6, 6, False)
    piece = await all_of(stores, after=1, size=2)
    assert ([entry.position for entry in piece.entries], piece.start, piece.end, piece.as_of) == ([2, 3], 1, 3, 6)
    for most, end in ((0, 2), (2500, 3), (10**6, 6)):  # content counts
        assert (await all_of(stores, after=1, max_bytes=most)).end == end
    assert await all_of(stores, after=6) == ([], 6, 6, 6, False)
    assert await stores.log.read("two", *EVERYTHING) == ([], 0, 0, 0, False)


async def test_an_event_that_cannot_be_read_is_left_out(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.send("x", "bob")
    await stores.database.write(
        lambda connection: connection.execute("UPDATE events SET event = x'ffff' WHERE position = 1")
    )
    with structlog.testing.capture_logs() as logs:
        batch = await all_of(stores)
    assert ([entry.position for entry in batch.entries], batch.end) == ([2], 2)
    assert [(line["event"], line["position"]) for line in logs] == [("event_unreadable", 1)]


async def test_an_event_about_a_message_that_cannot_be_read_is_left_out(stores: Stores) -> None:
    """Fault 24: else nobody in the instance would be told anything any more."""
    await stores.room("bob", room_id="x")
    damaged, deleted = await stores.send("x", "bob"), await stores.send("x", "bob")
    await stores.messages.delete(SERVER, DeleteMessageRequest(room_id="x", id=deleted.id))
    await stores.send("x", "bob", "fine")
    await stores.database.write(
        lambda connection: connection.execute(
            "UPDATE messages SET content = x'ffff' WHERE id IN (?, ?)", (damaged.id, deleted.id)
        )
    )
    with structlog.testing.capture_logs() as logs:
        batch = await all_of(stores)
    assert ([entry.position for entry in batch.entries], batch.end) == ([1, 4, 5], 5)
    assert batch.entries[1].event.message_deleted.message_id == deleted.id
    assert [(line["event"], line["message"]) for line in logs] == [
        ("message_unreadable", damaged.id),
        ("message_unreadable", deleted.id),
    ]


@pytest.mark.parametrize("events", [2, 4])
async def test_it_is_known_how_far_the_log_reaches_back(stores: Stores, events: int) -> None:
    await stores.room("bob", room_id="x")
    for _ in range(5):
        await stores.send("x", "bob")
    assert (await stores.log.open(SERVER, ())).start == 0
    stores.clock.advance(8 * 86400)
    await stores.purges.trim(days=7, events=events)
    opened = await stores.log.open(SERVER, ())
    assert (opened.start, opened.position) == (6 - events, 6)
    batch = await all_of(stores)
    assert (batch.start, batch.end, len(batch.entries), batch.was_reset) == (6 - events, 6, events, False)
    await stores.purges.trim(days=7, events=events)
    assert (await stores.log.open(SERVER, ())).start == 6 - events


async def test_a_reset_ends_the_log_and_begins_it_anew(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.purges.instance("one")
    opened = await stores.log.open(SERVER, ())
    assert (opened.start, opened.position) == (2, 2)
    stores.clock.advance(1)
    await stores.room("bob", room_id="x")
    batch = await all_of(stores)
    assert ([entry.position for entry in batch.entries], batch.start, batch.was_reset) == ([3], 2, True)
    assert not (await all_of(stores, after=2)).was_reset
    stores.clock.advance(8 * 86400)
    await stores.purges.trim(days=7, events=1)
    assert (await stores.log.open(SERVER, ())).start == 2


async def test_a_restored_backup_is_another_log(stores: Stores) -> None:
    epochs = [(await stores.log.open(SERVER, ())).epoch for _ in range(2)]
    assert (epochs[0] == epochs[1], len(epochs[0])) == (True, 32)
    await stores.room("bob", room_id="x")
    before = await stores.send("x", "bob")
    await stores.log.renew_epoch(3600)
    assert (await stores.log.open(STRANGER, ())).epoch != epochs[0]
    after = await stores.send("x", "bob")
    assert after.id == before.id + SKIPPED_MESSAGE_IDS + 3600 * SKIPPED_A_SECOND + 1
    assert [event.position for event in await stores.events()] == [1, 2, 3]


@pytest.mark.parametrize(("lost", "counted"), [(-3600, 0), (MOST_LOST_SECONDS * 50, MOST_LOST_SECONDS)])
async def test_a_clock_that_is_wrong_wastes_no_ids(stores: Stores, lost: int, counted: int) -> None:
    await stores.room("bob", room_id="x")
    before = await stores.send("x", "bob")
    await stores.log.renew_epoch(lost)
    assert (await stores.send("x", "bob")).id == before.id + SKIPPED_MESSAGE_IDS + counted * SKIPPED_A_SECOND + 1


async def test_typing_is_for_members(stores: Stores) -> None:
    room = await stores.room("bob", room_id="x", private=True)
    typed = await stores.log.typed(user("bob"), "bob", "x")
    assert (typed.room_id, typed.room_uid, typed.user_id) == ("x", room.uid, "bob")
    for caller, sender, reason in (
        (user("eve"), "eve", "ROOM_NOT_FOUND"),
        (SERVER, "eve", "NOT_A_MEMBER"),
        (STRANGER, "bob", "ROOM_NOT_FOUND"),
    ):
        with refuses(reason):
            await stores.log.typed(caller, sender, "x")
    assert await stores.kinds() == ["room_created"]
