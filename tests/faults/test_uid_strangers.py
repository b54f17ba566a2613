"""Faults 3, 5 and 7 for what is named by a `uid`: strangers get the answer for what does not exist, on every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from tests.faults.actors import Actor, outcome
from tests.support.cluster import Cluster
from tests.support.talker import Talker

NOTHING = "018a0000-0000-7000-8000-000000000000"


class Den(NamedTuple):
    """A private room with Bob in it, and Ann until a moment ago; both have written there."""

    room: str
    of_bob: str
    of_ann: str
    direct: str
    """A direct room of Bob and Eve's, which is nobody else's."""


@pytest.fixture
async def den(cluster: Cluster, server: Actor) -> Den:
    await cluster.add_users("cid", "dan")
    bob, ann = Talker.user(cluster, "bob"), Talker.user(cluster, "ann")
    room = await bob.opened("ann", "cid")
    of_bob, of_ann = await bob.send(room), await ann.send(room)
    await ann.hide(of_bob.uid)
    await ann.archive(room)
    await server.remove(room, "ann")
    return Den(room, of_bob.uid, of_ann.uid, await bob.opened("cid"))


@pytest.fixture(params=["ann", "dan", "other instance", "other server"])
async def stranger(cluster: Cluster, den: Den, request: pytest.FixtureRequest) -> Talker:
    """A former member, somebody who never was one, and a namesake of Bob's in another instance, and its server."""
    if not request.param.startswith("other"):
        return Talker.user(cluster, request.param)
    await cluster.add_instance("two")
    await cluster.add_users("bob", "cid", instance_id="two")
    as_caller = cluster.as_server if request.param == "other server" else cluster.as_user
    return Talker(cluster, as_caller("bob", instance_id="two"), "bob")


ROOM_ROUTES: dict[str, Callable[[Talker, str], Awaitable[object]]] = {
    "get": lambda who, room: who.get_room(room),
    "view": lambda who, room: who.view(room),
    "members": lambda who, room: who.members(room),
    "all members": lambda who, room: who.members(room, members_only=False),
    "archive": lambda who, room: who.archive(room),
    "discard": lambda who, room: who.discard(room),
    "join": lambda who, room: who.join(room),
    "leave": lambda who, room: who.leave(room),
    "invite": lambda who, room: who.invite(room, "bob"),
    "send": lambda who, room: who.send(room, request_id="key"),
    "replies": lambda who, room: who.replies(room),
    "mark": lambda who, room: who.mark(room, NOTHING),
    "delete": lambda who, room: who.delete_room(room),
}

MESSAGE_ROUTES: dict[str, Callable[[Talker, str], Awaitable[object]]] = {
    "get": lambda who, message: who.get(message),
    "edit": lambda who, message: who.edit(message, "mine"),
    "hide": lambda who, message: who.hide(message),
    "unsend": lambda who, message: who.unsend(message),
}


async def test_a_room_is_like_none(stranger: Talker, den: Den) -> None:
    for name, route in ROOM_ROUTES.items():
        answers = {await outcome(route(stranger, room)) for room in (den.room, den.direct, NOTHING)}
        assert len(answers) == 1, (name, answers)
        assert answers <= {"ROOM_NOT_FOUND", "PERMISSION_MISSING"}, name


async def test_a_message_is_like_none(stranger: Talker, den: Den) -> None:
    for name, route in MESSAGE_ROUTES.items():
        for message in (den.of_bob, den.of_ann, NOTHING):
            assert await outcome(route(stranger, message)) == "MESSAGE_NOT_FOUND", name


async def test_nothing_has_changed(cluster: Cluster, stranger: Talker, den: Den) -> None:
    bob = Talker.user(cluster, "bob")
    before = await bob.replies(den.room), await bob.views()
    for room in (den.room, den.direct):
        for room_route in ROOM_ROUTES.values():
            await outcome(room_route(stranger, room))
    for message in (den.of_bob, den.of_ann):
        for route in MESSAGE_ROUTES.values():
            await outcome(route(stranger, message))
    assert (await bob.replies(den.room), await bob.views()) == before


async def test_a_match_tells_only_of_own_rooms(stranger: Talker, den: Den) -> None:
    for members in (("bob", "cid"), ("bob", "ann", "cid")):
        assert await outcome(stranger.match(*members)) in {"NOT_A_MEMBER", "OK"}
        if stranger.user_id in members:
            assert await stranger.match(*members) == ""


async def test_a_mark_in_an_own_room_tells_nothing_of_others(stranger: Talker, den: Den) -> None:
    own = await stranger.opened(stranger.user_id)
    for message in (den.of_bob, den.of_ann, NOTHING):
        assert await outcome(stranger.mark(own, message)) == "MESSAGE_NOT_FOUND"
