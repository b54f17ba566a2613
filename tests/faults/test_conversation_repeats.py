"""Fault 1 in conversations: a reply is lost and the call repeated with its request id, at once, later, or changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from tests.faults.actors import outcome
from tests.faults.invariants import events, opened
from tests.support.cluster import Cluster
from tests.support.talker import Talker


class Place(NamedTuple):
    """Bob's group with Ann and Eve, a direct room with Ann, and two of his messages in the group."""

    group: str
    direct: str
    first: str
    second: str


Write = Callable[[Talker, Place, str, bool], Awaitable[object]]
"""A call of Bob's with this request id, and with one body or another."""

WRITES: dict[str, tuple[Write, int]] = {
    "open": (lambda bob, _, key, other: bob.open("ann", "eve" if other else "cid", request_id=key), 1),
    "open again": (lambda bob, _, key, other: bob.open("eve" if other else "ann", request_id=key), 0),
    "archive": (lambda bob, place, key, other: bob.archive(place.group, archived=not other, request_id=key), 0),
    "discard": (lambda bob, place, key, other: bob.discard(place[other], request_id=key), 1),
    "discard a direct room": (lambda bob, place, key, other: bob.discard(place[not other], request_id=key), 1),
    "hide": (lambda bob, place, key, other: bob.hide(place[2 + other], request_id=key), 1),
    "unsend": (lambda bob, place, key, other: bob.unsend(place[2 + other], request_id=key), 1),
    "edit": (lambda bob, place, key, other: bob.edit(place.first, f"{other}", request_id=key), 1),
    "send": (lambda bob, place, key, other: bob.send(place[other], request_id=key), 1),
    "leave": (lambda bob, place, key, other: bob.leave(place[other], request_id=key), 1),
    "invite": (lambda bob, place, key, other: bob.invite(place.group, "eve" if other else "cid", request_id=key), 1),
}
"""With how many events it leaves."""


@pytest.fixture
async def bob(cluster: Cluster) -> Talker:
    await cluster.add_users("cid")
    return Talker.user(cluster, "bob")


@pytest.fixture
async def place(bob: Talker) -> Place:
    group = await bob.opened("ann", "eve")
    first, second = await bob.send(group), await bob.send(group)
    return Place(group, await bob.opened("ann"), first.uid, second.uid)


def positions(cluster: Cluster) -> int:
    with opened(cluster.settings.data_dir / "message.db") as connection:
        return len(events(connection, "one"))


@pytest.mark.parametrize("name", WRITES)
async def test_many_at_once_are_one(cluster: Cluster, bob: Talker, place: Place, name: str) -> None:
    write, changes = WRITES[name]
    before = positions(cluster)
    answers = await asyncio.gather(*(write(bob, place, "key", False) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    assert await write(bob, place, "key", False) == answers[0]
    assert positions(cluster) == before + changes


@pytest.mark.parametrize("name", WRITES)
async def test_another_body_is_refused(cluster: Cluster, bob: Talker, place: Place, name: str) -> None:
    write, changes = WRITES[name]
    before = positions(cluster)
    first = await write(bob, place, "key", False)
    assert await outcome(write(bob, place, "key", True)) == "REQUEST_ID_REUSED"
    assert await write(bob, place, "key", False) == first
    assert positions(cluster) == before + changes
