"""Faults 1, 7 and 27 in conversations: one winner, and what is stored agrees with itself (`cluster`)."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.faults.actors import Actor, outcome, race
from tests.support.cluster import Cluster
from tests.support.talker import Talker

ROUNDS = 20


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


@pytest.fixture
def eve(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "eve")


async def test_two_opens_of_one_pair(server: Actor, bob: Talker, ann: Talker) -> None:
    for _ in range(50):
        first, second = await asyncio.gather(bob.open("ann"), ann.open("bob"))
        assert first.room.room.uid == second.room.room.uid
        assert first.created != second.created
        await server.delete_room(first.room.room.id)


async def test_opens_with_one_request_id(bob: Talker) -> None:
    for number in range(ROUNDS):
        answers = await asyncio.gather(*(bob.open("ann", "eve", request_id=f"{number}") for _ in range(3)))
        assert answers[0] == answers[1] == answers[2]
    assert await bob.match("bob", "ann", "eve") == answers[0].room.room.uid


async def test_opening_and_deleting_a_member(server: Actor, bob: Talker) -> None:
    for number in range(ROUNDS):
        others = ("ann",) if number % 2 else ("ann", "eve")
        *opened, deleted = await race(bob.open(*others), bob.open(*others), server.delete_user("ann"))
        assert deleted == "OK"
        assert set(opened) <= {"OK", "USERS_NOT_FOUND"}
        await server.create_user("ann")
        assert await bob.match("bob", *others) == ""
        assert (await bob.open(*others)).created


async def test_opening_and_deleting_the_room(server: Actor, bob: Talker, ann: Talker) -> None:
    for _ in range(ROUNDS):
        room = (await bob.open("ann")).room.room
        *opened, deleted = await race(bob.open("ann"), ann.open("bob"), server.delete_room(room.id))
        assert [*opened, deleted] == ["OK"] * 3
        assert (await bob.open("ann")).room.room.uid == (await ann.open("bob")).room.room.uid


async def test_opening_a_group_while_its_members_change(bob: Talker, eve: Talker) -> None:
    room = await bob.opened("ann", "eve")
    for _ in range(ROUNDS):
        opened, left, invited = await race(bob.open("ann", "eve"), eve.leave(room), bob.invite(room, "eve"))
        assert (opened, left, invited) == ("OK", "OK", "OK")
        await bob.invite(room, "eve")
        assert await bob.match("bob", "ann", "eve") == room  # the oldest of those with this set


async def test_posting_and_discarding(bob: Talker, ann: Talker) -> None:
    for _ in range(ROUNDS):
        room = await bob.opened("ann", "eve")
        *sent, discarded = await race(*(ann.send(room) for _ in range(4)), bob.discard(room))
        assert discarded == "OK"
        assert set(sent) <= {"OK", "ROOM_NOT_FOUND"}
        assert await outcome(ann.replies(room)) == "ROOM_NOT_FOUND"


async def test_posting_and_hiding_a_history(bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(ROUNDS):
        assert set(await race(*(ann.send(room) for _ in range(4)), bob.discard(room))) == {"OK"}
        seen = await bob.replies(room)
        view = await bob.view(room)
        assert view.unread_count == len(seen)
        assert view.last_message.uid == (seen[-1].uid if seen else "")
        assert view.archived == (not seen)
    assert len(await ann.replies(room)) == 4 * ROUNDS


async def test_joining_and_being_removed(server: Actor, bob: Talker, ann: Talker) -> None:
    room = await bob.opened("bob")
    for _ in range(ROUNDS):
        joined, removed, said, archived = await race(
            ann.join(room), server.remove(room, "ann"), ann.send(room), ann.archive(room)
        )
        assert (joined, removed) == ("OK", "OK")
        assert {said, archived} <= {"OK", "NOT_A_MEMBER"}
        is_member = "ann" in await bob.members(room)
        assert await outcome(ann.view(room)) == ("OK" if is_member else "ROOM_NOT_FOUND")
        assert (await bob.match("bob") == room) == (not is_member)


async def test_hiding_and_unsending(bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(ROUNDS):
        sent = await bob.send(room)
        outcomes = await race(ann.hide(sent.uid), ann.hide(sent.uid), bob.unsend(sent.uid), bob.unsend(sent.uid))
        assert set(outcomes) == {"OK"}
    assert await ann.replies(room) == []
    tombstones = await bob.replies(room)
    assert len(tombstones) == ROUNDS
    assert all(message.HasField("unsent_at") and not message.parts for message in tombstones)


async def test_marking_and_unsending(bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(ROUNDS):
        sent = await bob.send(room)
        assert await race(ann.mark(room, sent.uid), bob.unsend(sent.uid)) == ["OK", "OK"]
        assert (await ann.view(room)).unread_count == 0


async def test_marking_and_hiding(bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(ROUNDS):
        sent = await bob.send(room)
        marked, hidden = await race(ann.mark(room, sent.uid), ann.hide(sent.uid))
        assert hidden == "OK"
        assert marked in {"OK", "MESSAGE_NOT_FOUND"}
        view = await ann.view(room)
        assert (view.cursor.position == sent.id) == (marked == "OK")
        assert view.unread_count == 0


async def test_marking_and_deleting_the_room(server: Actor, bob: Talker, ann: Talker) -> None:
    for _ in range(ROUNDS):
        room = await bob.opened("ann", "eve")
        sent = await bob.send(room)
        marked, hidden, deleted = await race(ann.mark(room, sent.uid), ann.hide(sent.uid), server.delete_room(room))
        assert deleted == "OK"
        assert marked in {"OK", "ROOM_NOT_FOUND", "MESSAGE_NOT_FOUND"}
        assert hidden in {"OK", "MESSAGE_NOT_FOUND"}


async def test_editing_and_unsending(bob: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(ROUNDS):
        sent = await bob.send(room)
        edited, *unsent = await race(bob.edit(sent.uid, "again"), bob.unsend(sent.uid), bob.unsend(sent.uid))
        assert edited in {"OK", "MESSAGE_NOT_FOUND"}
        assert unsent == ["OK", "OK"]
    assert Counter(len(message.parts) for message in await bob.replies(room)) == {0: ROUNDS}


async def test_archiving_and_posting(bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(ROUNDS):
        assert await race(bob.archive(room), ann.send(room)) == ["OK", "OK"]
        await ann.send(room)
        assert not (await bob.view(room)).archived
        await bob.archive(room)
        assert (await bob.view(room)).archived


async def test_messages_expire_under_those_who_change_them(bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(5):
        sent = [await bob.send(room, seconds=0.4) for _ in range(4)]
        await asyncio.sleep(0.36)  # the moment of the expiry is what this is about
        calls = [call(message.uid) for message in sent for call in (bob.unsend, ann.hide, ann.get)]
        assert set(await race(*calls)) <= {"OK", "MESSAGE_NOT_FOUND"}
    async with asyncio.timeout(5):
        while await bob.replies(room):
            pass
    view = await ann.view(room)
    assert (view.unread_count, view.HasField("last_message")) == (0, False)
