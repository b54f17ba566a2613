"""Faults 1 and 27: calls at the same time. There is one winner, and what is stored agrees with itself (`cluster`)."""

from collections import Counter

import pytest
from roomline.v1.user_service_pb2 import BatchCreateUsersRequest, NewUser

from tests.faults.actors import Actor, outcome, race
from tests.faults.chance import CHANCE
from tests.support.cluster import Cluster

ROUNDS = 20


@pytest.fixture
def ann(cluster: Cluster) -> Actor:
    return Actor(cluster, cluster.as_user("ann"))


@pytest.fixture
def bob(cluster: Cluster) -> Actor:
    return Actor(cluster, cluster.as_user("bob"))


async def test_messages_and_the_deletion_of_their_room(server: Actor) -> None:
    for _ in range(ROUNDS):
        await server.create_room("lobby")
        sends = (server.send("lobby", "before") for _ in range(5))
        *sent, deleted = await race(*sends, server.delete_room("lobby"))
        assert deleted == "OK"
        assert set(sent) <= {"OK", "ROOM_NOT_FOUND"}
        await server.create_room("lobby")
        assert await server.page("lobby") == []
        await server.delete_room("lobby")


async def test_messages_and_a_room_that_is_deleted_and_made_again(server: Actor) -> None:
    async def renew() -> None:
        await server.delete_room("lobby")
        await server.create_room("lobby")

    await server.create_room("lobby")
    for number in range(ROUNDS):
        assert await outcome(renew()) == "OK"
        *sent, renewed = await race(*(server.send("lobby", f"{number}") for _ in range(5)), renew())
        assert renewed == "OK"
        assert set(sent) <= {"OK", "ROOM_NOT_FOUND"}
        assert len(await server.page("lobby")) <= sent.count("OK")


async def test_joining_and_being_removed(server: Actor, ann: Actor) -> None:
    await server.create_room("lobby")
    for _ in range(ROUNDS):
        joined, removed, said = await race(
            ann.join("lobby", "ann"), server.remove("lobby", "ann"), ann.send("lobby", "x")
        )
        assert (joined, removed) == ("OK", "OK")
        assert said in {"OK", "NOT_A_MEMBER"}
        is_member = "ann" in await server.list_members("lobby")
        assert await outcome(ann.send("lobby", "x")) == ("OK" if is_member else "NOT_A_MEMBER")


async def test_joining_and_leaving_by_many(cluster: Cluster, server: Actor) -> None:
    names = [f"u{number}" for number in range(10)]
    await cluster.add_users(*names)
    await server.create_room("lobby")
    for _ in range(ROUNDS // 2):
        moves = [CHANCE.choice((server.join, server.leave))("lobby", name) for name in names * 2]
        assert set(await race(*moves)) == {"OK"}


async def test_adding_a_member_and_deleting_the_user(server: Actor) -> None:
    await server.create_room("lobby")
    for _ in range(ROUNDS):
        added, joined, deleted = await race(
            server.add("lobby", "ann", "eve"), server.join("lobby", "ann"), server.delete_user("ann")
        )
        assert deleted == "OK"
        assert added in {"OK", "USERS_NOT_FOUND"}
        assert joined in {"OK", "USER_NOT_FOUND", "USERS_NOT_FOUND"}
        assert "ann" not in await server.list_members("lobby")
        await server.create_user("ann")
        assert await server.rooms_of("ann") == []


async def test_creating_a_room_and_deleting_a_member(server: Actor) -> None:
    for number in range(ROUNDS):
        created, deleted = await race(server.create_room(f"r{number}", "ann"), server.delete_user("ann"))
        assert deleted == "OK"
        assert created in {"OK", "USERS_NOT_FOUND"}
        await server.create_user("ann")
        assert await server.rooms_of("ann") == []


async def test_deleting_a_user_and_creating_it_again(server: Actor) -> None:
    await server.create_room("lobby", "ann")
    for _ in range(ROUNDS):
        *deleted, created = await race(server.delete_user("ann"), server.delete_user("ann"), server.create_user("ann"))
        assert sorted(deleted) in (["OK", "OK"], ["OK", "USER_NOT_FOUND"])
        if await outcome(server.create_user("ann")) == "USER_ALREADY_EXISTS":
            assert created == "OK"
        assert await server.rooms_of("ann") == []
        await server.add("lobby", "ann")
        # Nothing that began earlier may hit the new user.
        assert [room.room.id for room in await server.rooms_of("ann")] == ["lobby"]


async def test_cursors_and_the_deletion_of_their_room_or_user(server: Actor, ann: Actor) -> None:
    for _ in range(ROUNDS):
        await server.create_room("lobby", "ann")
        *cursors, room_deleted, user_deleted = await race(
            server.set_cursor("lobby", "bob"),
            ann.set_cursor("lobby", "ann"),
            server.delete_room("lobby"),
            server.delete_user("ann"),
        )
        assert (room_deleted, user_deleted) == ("OK", "OK")
        assert set(cursors) <= {"OK", "ROOM_NOT_FOUND", "USER_NOT_FOUND", "USERS_NOT_FOUND"}
        await server.create_user("ann")
        assert await server.cursors_of("ann") == []


async def test_the_same_room_id_twice(server: Actor) -> None:
    for number in range(ROUNDS):
        room = f"r{number}"
        outcomes = await race(*(server.create_room(room, "ann", name=name) for name in "abcde"))
        assert Counter(outcomes) == {"OK": 1, "ROOM_ALREADY_EXISTS": 4}
        assert (await server.get_room(room)).name == "abcde"[outcomes.index("OK")]


async def test_batches_with_common_users(cluster: Cluster) -> None:
    async def create(*user_ids: str) -> None:
        request = BatchCreateUsersRequest(users=[NewUser(id=user_id, name="x") for user_id in user_ids])
        await cluster.users.BatchCreateUsers(request, metadata=cluster.as_server())

    for number in range(ROUNDS):
        common = f"c{number}"
        batches = [(f"{letter}{number}", common, f"{letter}{letter}{number}") for letter in "xyz"]
        outcomes = await race(*(create(*batch) for batch in batches))
        assert Counter(outcomes) == {"OK": 1, "USER_ALREADY_EXISTS": 2}
        for batch, result in zip(batches, outcomes, strict=True):
            others = await race(*(create(user_id) for user_id in batch if user_id != common))
            assert set(others) == ({"USER_ALREADY_EXISTS"} if result == "OK" else {"OK"})


async def test_editing_and_deleting_a_message(server: Actor) -> None:
    await server.create_room("lobby")
    for _ in range(ROUNDS):
        sent = await server.send("lobby", "first")
        edited, *deleted = await race(
            server.edit("lobby", sent.id, "second"), server.delete("lobby", sent.id), server.delete("lobby", sent.id)
        )
        assert edited in {"OK", "MESSAGE_NOT_FOUND"}
        assert sorted(deleted) == ["MESSAGE_NOT_FOUND", "OK"]
        assert await server.page("lobby") == []
