"""The feed of a user, with scripted events and answers of services that take their time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import (
    Event,
    MessagesImported,
    RoomCreated,
    RoomDeleted,
    RoomUpdated,
)
from roomline.v1.room_pb2 import Room

from gateway.live.change import Change, ChangeKind
from gateway.live.room_state import RoomState
from gateway.live.user_feed import UserFeed
from services.common.errors import RoomlineError
from tests.gateway.backend import Backend
from tests.gateway.live.feed_scene import ME, START, Scene, Told, added, deleted, read, removed, scene_of, user_room
from tests.gateway.live.script import sent


@pytest.fixture
async def scene(backend: Backend) -> AsyncIterator[Scene]:
    async with scene_of(backend) as running:
        yield running


async def test_messages_count_by_the_cursor_without_a_question(scene: Scene) -> None:
    told = await scene.begin(user_room(unread=2, cursor=3))
    scene.stream.tell(sent(101), sent(102, message_id=3), sent(103), read(104, 103), sent(105), read(106, 200))
    assert await told.take(6) == [
        ("MESSAGE_SENT", 101, 3),
        ("MESSAGE_SENT", 102, 3),
        ("MESSAGE_SENT", 103, 4),
        ("CURSOR_SET", 104, 0),
        ("MESSAGE_SENT", 105, 1),
        ("CURSOR_SET", 106, 0),
    ]
    assert scene.answers.asked.empty()


async def test_a_cursor_in_the_middle_is_counted_by_the_service(scene: Scene) -> None:
    told = await scene.begin(user_room(unread=5))
    scene.stream.tell(read(101, 50), sent(102), sent(103), sent(104))
    await scene.asked()
    assert told.is_all
    scene.answers.say(user_room(unread=4, cursor=50), 102)  # with the first message
    assert await told.take(4) == [
        ("CURSOR_SET", 101, 4),
        ("MESSAGE_SENT", 102, 4),
        ("MESSAGE_SENT", 103, 5),
        ("MESSAGE_SENT", 104, 6),
    ]


async def test_a_deletion_is_counted_when_there_is_something_to_tell(scene: Scene) -> None:
    told = await scene.begin(user_room(unread=5))
    scene.stream.tell(deleted(101, 7))
    await scene.watch.reached(101)
    assert scene.answers.asked.empty()
    scene.stream.tell(sent(102))
    await scene.asked()
    scene.answers.say(user_room(unread=5), 102)
    assert await told.next() == ("MESSAGE_SENT", 102, 5)
    scene.stream.tell(sent(103))
    assert await told.next() == ("MESSAGE_SENT", 103, 6)


async def test_who_joins_late_gets_a_count_that_holds(scene: Scene) -> None:
    early = await scene.begin(user_room(unread=5))
    scene.stream.tell(deleted(101, 7))
    await scene.watch.reached(101)
    joining = asyncio.create_task(scene.listen())
    await scene.asked()
    scene.stream.tell(sent(102))
    await scene.watch.reached(102)
    assert not joining.done()
    assert scene.feed.position == 101, "what waits is not part of its state"
    scene.answers.say(user_room(unread=4), 101)
    late = await joining
    for told in (early, late):
        assert await told.next() == ("MESSAGE_SENT", 102, 5)


async def test_a_room_is_read_when_the_user_is_added(scene: Scene) -> None:
    told = await scene.begin()
    scene.stream.tell(sent(101), added(102, "bob", ME), sent(103), added(104, "carol"), sent(105), removed(106, "bob"))
    await scene.asked()
    scene.answers.say(user_room(unread=2, members=["bob", ME, "carol"]), 104)
    assert await told.take(3) == [("ROOM_ADDED", 102, 2), ("MESSAGE_SENT", 105, 3), ("MEMBER_LEFT", 106, 3)]
    assert scene.feed.rooms["r"].member_ids == [ME, "carol"]


@pytest.mark.parametrize("leaves", [False, True])
async def test_who_is_added_is_told_before_those_who_are_there(scene: Scene, *, leaves: bool) -> None:
    """If it stays for that; for them, the room's other events wait meanwhile."""
    told = await scene.begin()
    there = UserFeed(scene.watch, scene.own, "bob", scene.errors.append)
    there.begin(await scene.watch.begin(), [RoomState.of(user_room(members=("bob",)), START)], START, [], START)
    others = Told()
    await there.join(others, lambda: None, START)
    scene.stream.tell(added(101, ME, "carol"), sent(102))
    await scene.asked()
    await scene.watch.reached(102)
    assert others.is_all
    if leaves:
        scene.feed.close()
    else:
        scene.answers.say(user_room(unread=7), 101)
    assert [kind for kind, _, _ in await others.take(3)] == ["MEMBER_JOINED", "MEMBER_JOINED", "MESSAGE_SENT"]
    assert told.is_all == leaves
    there.close()


async def test_what_cannot_be_told_is_no_reason_to_keep_the_rest(scene: Scene) -> None:
    def stumble(change: Change) -> None:
        if change.kind is ChangeKind.ROOM_ADDED:
            raise ZeroDivisionError

    await scene.begin()
    scene.feed.listeners = {stumble: None}
    told = await scene.listen()
    scene.stream.tell(added(101, ME), sent(102), added(103, ME, room_id="s"))
    await scene.asked()
    await scene.watch.reached(103)
    with structlog.testing.capture_logs() as logs:
        scene.answers.say(user_room(unread=7), 101)
        await scene.asked("s")
    assert await told.next() == ("MESSAGE_SENT", 102, 8)
    assert [(line["event"], line["kind"]) for line in logs] == [("delivery_failed", "members_added")]
    scene.answers.say(user_room("s"), 103)


async def test_a_room_that_the_user_has_left_again_is_not_named(scene: Scene) -> None:
    told = await scene.begin()
    scene.stream.tell(added(101, ME), sent(102), removed(103, ME), sent(104), added(105, ME))
    await scene.asked()
    scene.answers.refuse(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
    await scene.asked()
    scene.answers.say(user_room(unread=9), 105)
    assert await told.next() == ("ROOM_ADDED", 105, 9)
    scene.stream.tell(removed(106, ME), removed(107, "bob"), sent(108), added(109, "bob"), read(110, 1, "another"))
    assert await told.take(2) == [("ROOM_REMOVED", 106, -1), ("CURSOR_SET", 110, -1)]


async def test_a_count_of_a_room_that_the_user_is_about_to_leave(scene: Scene) -> None:
    told = await scene.begin(user_room(unread=3))
    scene.stream.tell(read(101, 1), sent(102), removed(103, ME))
    await scene.asked()
    scene.answers.refuse(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
    assert [one[:2] for one in await told.take(3)] == [
        ("CURSOR_SET", 101),
        ("MESSAGE_SENT", 102),
        ("ROOM_REMOVED", 103),
    ]


async def test_a_new_room_needs_no_question(scene: Scene) -> None:
    told = await scene.begin()
    room = Room(id="r", name="a room", member_user_ids=["bob", ME])
    renamed = Room(id="r", name="renamed")
    scene.stream.tell(
        Event(position=101, room_created=RoomCreated(room=room)),
        sent(102),
        Event(position=103, room_updated=RoomUpdated(room=renamed)),
        Event(position=104, room_deleted=RoomDeleted(room_id="r", member_user_ids=["bob", ME])),
    )
    assert [one[:2] for one in await told.take(4)] == [
        ("ROOM_ADDED", 101),
        ("MESSAGE_SENT", 102),
        ("ROOM_UPDATED", 103),
        ("ROOM_DELETED", 104),
    ]
    assert scene.feed.rooms == {}


async def test_an_imported_room_is_read_with_its_cursor(scene: Scene) -> None:
    told = await scene.begin()
    room = Room(id="r", name="a room", member_user_ids=["bob", ME])
    scene.stream.tell(Event(position=101, room_created=RoomCreated(room=room, imported=True)), sent(102), sent(103))
    await scene.asked()
    scene.answers.say(user_room(unread=4, cursor=7), 102)
    assert await told.take(2) == [("ROOM_ADDED", 101, 4), ("MESSAGE_SENT", 103, 5)]
    assert scene.feed.cursors["r"].position == 7


async def test_an_imported_room_that_the_user_has_left_again_is_not_named(scene: Scene) -> None:
    told = await scene.begin()
    room = Room(id="r", name="a room", member_user_ids=["bob", ME])
    scene.stream.tell(
        Event(position=101, room_created=RoomCreated(room=room, imported=True)), removed(102, ME), read(103, 1, "other")
    )
    await scene.asked()
    scene.answers.refuse(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
    assert await told.next() == ("CURSOR_SET", 103, -1)


async def test_imported_messages_are_counted_when_there_is_something_to_tell(scene: Scene) -> None:
    told = await scene.begin(user_room(unread=1))
    scene.stream.tell(Event(position=101, messages_imported=MessagesImported(room_id="r", count=3)))
    await scene.watch.reached(101)
    assert scene.answers.asked.empty()
    scene.stream.tell(sent(102))
    await scene.asked()
    scene.answers.say(user_room(unread=5), 102)
    assert await told.next() == ("MESSAGE_SENT", 102, 5)


async def test_a_new_name_leaves_the_newest_message_alone(scene: Scene) -> None:
    room = user_room(unread=1)
    room.room.last_message_at.CopyFrom(Timestamp(seconds=5))
    told = await scene.begin(room)
    scene.stream.tell(Event(position=101, room_updated=RoomUpdated(room=Room(id="r", name="renamed"))))
    assert await told.next() == ("ROOM_UPDATED", 101, 1)
    state = scene.feed.rooms["r"]
    assert (state.room.name, state.room.last_message_at.seconds) == ("renamed", 5)


async def test_a_service_that_fails_ends_the_feed(scene: Scene) -> None:
    await scene.begin(user_room(unread=3))
    scene.stream.tell(read(101, 1))
    await scene.asked()
    joining = asyncio.create_task(scene.listen())
    await asyncio.sleep(0)
    scene.answers.refuse(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="message")
    with pytest.raises(RoomlineError):
        await joining
    assert [error.reason for error in scene.errors] == [ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE]
    with pytest.raises(RoomlineError):
        await scene.listen()
