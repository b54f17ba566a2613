"""Faults 3, 7 and 8: strangers and former members get nothing of a private room, by whatever route.

What a caller may not know of is answered like what does not exist, where Chatkit's dialect lets it; where it does not
(reading and writing messages and cursors, joining), the answer is the same whatever there is in the room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.faults.actors import Actor, outcome
from tests.support.cluster import Cluster

Route = Callable[[Actor, str, int], Awaitable[object]]
"""A call of somebody to a room, and a message in it."""


@dataclass(frozen=True)
class Den:
    """A private room with Bob in it, and Ann until a moment ago; both have written and read there."""

    of_bob: int
    """His message."""
    of_ann: int


@pytest.fixture
async def den(cluster: Cluster, server: Actor) -> Den:
    await server.create_room("hall", "ann", "eve")
    await server.create_room("den", "ann", private=True, name="the den")
    ann = Actor(cluster, cluster.as_user("ann"))
    of_ann = await ann.send("den", "a secret of Ann's", request_id="key")
    of_bob = await server.send("den", "a secret of Bob's")
    await ann.set_cursor("den", "ann", of_bob.id)
    await server.set_cursor("den", "bob", of_bob.id)
    await server.remove("den", "ann")
    return Den(of_bob.id, of_ann.id)


@pytest.fixture(params=["ann", "eve"])
def stranger(cluster: Cluster, request: pytest.FixtureRequest) -> Actor:
    """A former member, or somebody who never was one."""
    return Actor(cluster, cluster.as_user(request.param))


HIDDEN: dict[str, Route] = {
    "get_room": lambda who, room, _: who.get_room(room),
    "list_members": lambda who, room, _: who.list_members(room),
    "add": lambda who, room, _: who.add(room, "eve"),
    "remove": lambda who, room, _: who.remove(room, "bob"),
    "rename": lambda who, room, _: who.rename_room(room, "mine"),
    "delete_room": lambda who, room, _: who.delete_room(room),
    "edit": lambda who, room, message: who.edit(room, message, "mine"),
    "delete": lambda who, room, message: who.delete(room, message),
}
"""Routes on which a private room is answered like none at all."""

REFUSED: dict[str, tuple[Route, str]] = {
    "get": (lambda who, room, message: who.get(room, message), "NOT_A_MEMBER"),
    "page": (lambda who, room, _: who.page(room), "NOT_A_MEMBER"),
    "send": (lambda who, room, _: who.send(room, "let me in"), "NOT_A_MEMBER"),
    "get_cursor": (lambda who, room, _: who.get_cursor(room, "bob"), "NOT_A_MEMBER"),
    "get_no_cursor": (lambda who, room, _: who.get_cursor(room, "nobody"), "NOT_A_MEMBER"),
    "cursors_in": (lambda who, room, _: who.cursors_in(room), "NOT_A_MEMBER"),
}
"""Routes on which the dialect wants another refusal."""


async def test_a_private_room_is_like_none(stranger: Actor, den: Den) -> None:
    for name, route in HIDDEN.items():
        unknown = await outcome(route(stranger, "nowhere", den.of_bob))
        assert unknown in {"ROOM_NOT_FOUND", "PERMISSION_MISSING"}, name
        for message in (den.of_bob, 1):
            assert await outcome(route(stranger, "den", message)) == unknown, name


async def test_a_private_room_is_closed(stranger: Actor, den: Den) -> None:
    for name, (route, reason) in REFUSED.items():
        for message in (den.of_bob, den.of_ann, 1):
            assert await outcome(route(stranger, "den", message)) == reason, name


async def test_own_routes_into_a_private_room_are_closed(cluster: Cluster, den: Den) -> None:
    for name in ("ann", "eve"):
        who = Actor(cluster, cluster.as_user(name))
        assert await outcome(who.join("den", name)) == "ROOM_PRIVATE"
        assert await outcome(who.set_cursor("den", name)) == "NOT_A_MEMBER"


async def test_lists_leave_private_rooms_out(cluster: Cluster, server: Actor, den: Den) -> None:
    for name in ("ann", "eve"):
        who = Actor(cluster, cluster.as_user(name))
        assert await who.list_rooms() == await who.list_rooms(include_private=True) == ["hall"]
        assert [room.room.id for room in await who.rooms_of(name)] == ["hall"]
        await who.leave("hall", name)
        assert await who.joinable(name) == ["hall"]
    assert await server.list_rooms(include_private=True) == ["den", "hall"]


async def test_nobody_acts_as_another(cluster: Cluster, server: Actor, den: Den) -> None:
    eve = Actor(cluster, cluster.as_user("eve"))
    for call in (
        eve.set_cursor("hall", "bob"),
        eve.set_cursor("den", "bob"),
        eve.cursors_of("bob"),
        eve.rooms_of("bob"),
        eve.joinable("bob"),
        eve.join("hall", "bob"),
        eve.leave("den", "bob"),
        eve.rooms_of("nobody"),
    ):
        assert await outcome(call) == "SUBJECT_MISMATCH"
    sent = await eve.send("hall", "signed by Bob", sender="bob")
    assert sent.user_id == "eve"
    assert (await server.get_cursor("den", "bob")).position == den.of_bob
    assert await outcome(eve.create_user("mallory")) == "CALLER_NOT_ALLOWED"
    assert await outcome(eve.delete_user("bob")) == "CALLER_NOT_ALLOWED"
    assert await outcome(eve.assign_role("eve", "admin")) == "CALLER_NOT_ALLOWED"


async def test_messages_are_reached_through_their_own_room_only(cluster: Cluster, server: Actor, den: Den) -> None:
    eve = Actor(cluster, cluster.as_user("eve"))
    await server.assign_role("eve", "admin")
    for message in (den.of_bob, 1):
        for call in (eve.get("hall", message), eve.edit("hall", message, "mine"), eve.delete("hall", message)):
            assert await outcome(call) == "MESSAGE_NOT_FOUND"
    assert await server.page("den") == ["a secret of Bob's", "a secret of Ann's"]


async def test_a_role_opens_no_private_room(cluster: Cluster, server: Actor, den: Den) -> None:
    """Not even its owner's former messages, and not which ids there are."""
    for name in ("ann", "eve"):
        who = Actor(cluster, cluster.as_user(name))
        await server.assign_role(name, "admin")
        for message in (den.of_ann, den.of_bob, 1):
            for call in (who.get("den", message), who.edit("den", message, "mine"), who.delete("den", message)):
                assert await outcome(call) == "NOT_A_MEMBER"


async def test_a_former_member_of_a_public_room_changes_nothing_in_it(cluster: Cluster, server: Actor) -> None:
    await server.create_room("hall", "ann")
    ann = Actor(cluster, cluster.as_user("ann"))
    await server.assign_role("ann", "admin")
    sent = await ann.send("hall", "mine")
    await server.remove("hall", "ann")
    assert await ann.page("hall") == ["mine"]
    for call in (ann.send("hall", "x"), ann.edit("hall", sent.id, "x"), ann.delete("hall", sent.id)):
        assert await outcome(call) == "NOT_A_MEMBER"


async def test_a_repeated_call_shows_nothing_that_came_after_the_membership(
    cluster: Cluster, server: Actor, den: Den
) -> None:
    await server.edit("den", den.of_ann, "a secret that Ann has not seen", editor="bob")
    ann = Actor(cluster, cluster.as_user("ann"))
    again = await ann.send("den", "a secret of Ann's", request_id="key")
    assert again.id == den.of_ann
    assert [part.content for part in again.parts] in ([], ["a secret of Ann's"])


async def test_a_room_made_private_is_closed_at_once(cluster: Cluster, server: Actor) -> None:
    await server.create_room("hall")
    await server.send("hall", "public")
    eve = Actor(cluster, cluster.as_user("eve"))
    assert await eve.page("hall") == ["public"]
    await server.make_private("hall")
    assert await outcome(eve.page("hall")) == "NOT_A_MEMBER"
    assert await outcome(eve.get_room("hall")) == "ROOM_NOT_FOUND"
    assert await eve.list_rooms() == []
