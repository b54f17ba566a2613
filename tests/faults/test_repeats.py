"""Fault 1: a reply is lost and the call repeated with its request id, later or at once, as it was or changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.faults.actors import Actor, outcome, race
from tests.faults.invariants import events, opened
from tests.support.cluster import Cluster

Write = Callable[[Actor, str, str], Awaitable[object]]
"""A call with this request id; the last argument is something in its body."""

WRITES: dict[str, Write] = {
    "send": lambda actor, key, word: actor.send("lobby", word, request_id=key),
    "edit": lambda actor, key, word: actor.edit("lobby", 1_000_000, word, request_id=key),
    "delete": lambda actor, key, word: actor.delete("lobby", 1_000_000 + (word == "other"), request_id=key),
    "create_room": lambda actor, key, word: actor.create_room("hall", name=word, request_id=key),
    "create_room_without_id": lambda actor, key, word: actor.create_room("", name=word, request_id=key),
    "rename_room": lambda actor, key, word: actor.rename_room("lobby", word, request_id=key),
    "delete_room": lambda actor, key, word: actor.delete_room("lobby" if word == "word" else word, request_id=key),
    "join": lambda actor, key, word: actor.join("lobby", "eve" if word == "word" else "ann", request_id=key),
    "leave": lambda actor, key, word: actor.leave("lobby", "ann" if word == "word" else "eve", request_id=key),
    "add": lambda actor, key, word: actor.add("lobby", "eve" if word == "word" else "ann", request_id=key),
    "remove": lambda actor, key, word: actor.remove("lobby", "ann" if word == "word" else "eve", request_id=key),
}


def positions(cluster: Cluster) -> int:
    """How many changes there were."""
    with opened(cluster.settings.data_dir / "message.db") as connection:
        return len(events(connection, "one"))


@pytest.fixture
async def lobby(server: Actor) -> None:
    """A room with Bob and Ann, and two messages."""
    await server.create_room("lobby", "ann")
    await server.send("lobby", "first")
    await server.send("lobby", "second")


@pytest.mark.usefixtures("lobby")
@pytest.mark.parametrize("name", WRITES)
async def test_many_at_once_are_one(cluster: Cluster, server: Actor, name: str) -> None:
    before = positions(cluster)
    answers = await asyncio.gather(*(WRITES[name](server, "key", "word") for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert positions(cluster) == before + 1


@pytest.mark.usefixtures("lobby")
@pytest.mark.parametrize("name", WRITES)
async def test_another_body_is_refused(cluster: Cluster, server: Actor, name: str) -> None:
    before = positions(cluster)
    first = await WRITES[name](server, "key", "word")
    assert await outcome(WRITES[name](server, "key", "other")) == "REQUEST_ID_REUSED"
    assert await WRITES[name](server, "key", "word") == first
    assert positions(cluster) == before + 1


@pytest.mark.usefixtures("lobby")
async def test_two_bodies_at_once_have_one_winner(server: Actor) -> None:
    words = [word for word in "abc" for _ in range(3)]
    outcomes = await race(*(server.send("lobby", word, request_id="key") for word in words))
    assert Counter(outcomes) == {"OK": 3, "REQUEST_ID_REUSED": 6}
    winners = {word for word, result in zip(words, outcomes, strict=True) if result == "OK"}
    assert [winners.pop()] == (await server.page("lobby"))[:-2]
    assert not winners


@pytest.mark.usefixtures("lobby")
async def test_request_ids_of_others_are_others(cluster: Cluster, server: Actor) -> None:
    ann = Actor(cluster, cluster.as_user("ann"))
    first = await server.send("lobby", "word", request_id="key")
    assert (await ann.send("lobby", "word", request_id="key")).id != first.id
    await cluster.add_instance("two")
    await cluster.add_users("bob", instance_id="two")
    foreign = Actor(cluster, cluster.as_server("bob", instance_id="two"))
    await foreign.create_room("lobby")
    assert (await foreign.send("lobby", "word", request_id="key")).uid != first.uid


@pytest.mark.usefixtures("lobby")
async def test_users_are_created_and_deleted_once(server: Actor) -> None:
    create = partial(server.create_user, "dan", request_id="create")
    assert set(await race(*(create() for _ in range(5)))) == {"OK"}
    await server.add("lobby", "dan")
    delete = partial(server.delete_user, "dan", request_id="delete")
    assert set(await race(*(delete() for _ in range(5)))) == {"OK"}
    assert "dan" not in await server.list_members("lobby")
    await server.create_user("dan")
    await server.add("lobby", "dan")
    assert await outcome(delete()) == "OK"
    assert "dan" in await server.list_members("lobby"), "a repeated deletion hit the new user"


@pytest.mark.usefixtures("lobby")
async def test_a_repeated_send_is_answered_although_the_sender_has_left(server: Actor) -> None:
    sent = await server.send("lobby", "word", request_id="key")
    await server.remove("lobby", "bob")
    assert await server.send("lobby", "word", request_id="key") == sent
    assert await outcome(server.send("lobby", "word")) == "NOT_A_MEMBER"


@pytest.mark.usefixtures("lobby")
async def test_a_repeated_send_after_a_deletion_brings_nothing_back(server: Actor) -> None:
    sent = await server.send("lobby", "word", request_id="key")
    await server.delete("lobby", sent.id)
    assert (await server.send("lobby", "word", request_id="key")).id == sent.id
    assert "word" not in await server.page("lobby")
    assert await outcome(server.get("lobby", sent.id)) == "MESSAGE_NOT_FOUND"


AFTERWARDS: dict[str, tuple[Callable[..., Awaitable[object]], Callable[[Actor], Awaitable[object]]]] = {
    "create_room": (lambda actor: actor.create_room("hall", "eve", request_id="key"), lambda s: s.delete_user("eve")),
    "add": (lambda actor: actor.add("lobby", "eve", request_id="key"), lambda s: s.delete_user("eve")),
    "add, room": (lambda actor: actor.add("lobby", "eve", request_id="key"), lambda s: s.delete_room("lobby")),
    "join": (lambda actor: actor.join("lobby", "eve", request_id="key"), lambda s: s.delete_user("eve")),
    "join, room": (lambda actor: actor.join("lobby", "eve", request_id="key"), lambda s: s.delete_room("lobby")),
    "leave": (lambda actor: actor.leave("lobby", "ann", request_id="key"), lambda s: s.delete_room("lobby")),
    "send": (lambda actor: actor.send("lobby", "word", request_id="key"), lambda s: s.delete_room("lobby")),
    "edit": (lambda a: a.edit("lobby", 1_000_000, "word", request_id="key"), lambda s: s.delete_room("lobby")),
    "delete": (lambda actor: actor.delete("lobby", 1_000_000, request_id="key"), lambda s: s.delete_room("lobby")),
}


@pytest.mark.usefixtures("lobby")
@pytest.mark.parametrize("name", AFTERWARDS)
async def test_a_repeated_call_gets_the_first_answer_whatever_happened_since(server: Actor, name: str) -> None:
    call, change = AFTERWARDS[name]
    first = await call(server)
    await change(server)
    assert await call(server) == first
