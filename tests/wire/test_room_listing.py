"""The list of all rooms (spec §4.7, R3)."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.wire.client import Server, fresh


@pytest.fixture
def prefix() -> str:
    """Name a place in the order of ids where only this test's rooms are."""
    return fresh("~")


def listed(server: Server, prefix: str, query: str = "", from_id: str | None = None) -> list[Any]:
    """List the rooms under the prefix: all others come before it or after the last of its own."""
    start = prefix if from_id is None else from_id
    rooms = server.su().get(f"/rooms?from_id={quote(start)}{query}").read()
    return [room for room in rooms if room["id"].startswith(prefix)]


def ids(rooms: list[Any]) -> list[str]:
    return [room["id"] for room in rooms]


def test_rooms_come_in_the_byte_order_of_their_ids(server: Server, alice: str, prefix: str) -> None:
    tails = ["-", "1", "10", "2", "B", "a", "\N{LATIN SMALL LETTER E WITH ACUTE}"]
    tails += ["\N{FULLWIDTH TILDE}", "\N{GRINNING FACE}"]
    for tail in reversed(tails):
        server.new_room(alice, id=prefix + tail)
    assert ids(listed(server, prefix)) == [prefix + tail for tail in tails]


def test_from_id_is_exclusive(server: Server, alice: str, prefix: str) -> None:
    first, second = (server.new_room(alice, id=prefix + tail) for tail in "ab")
    assert ids(listed(server, prefix, from_id=first)) == [second]
    assert listed(server, prefix, from_id=second) == []


def test_from_id_need_not_exist(server: Server, alice: str, prefix: str) -> None:
    room = server.new_room(alice, id=prefix + "b")
    assert ids(listed(server, prefix, from_id=prefix + "a")) == [room]


def test_generated_ids_page_in_creation_order(server: Server, alice: str) -> None:
    first, second = server.new_room(alice), server.new_room(alice)
    assert ids(listed(server, "", from_id=first))[0] == second


def test_a_page_has_a_hundred_rooms(server: Server, alice: str, prefix: str) -> None:
    rooms = [server.new_room(alice, id=f"{prefix}{number:03}") for number in range(101)]
    assert ids(listed(server, prefix)) == rooms[:100]
    assert ids(listed(server, prefix, from_id=rooms[99])) == rooms[100:]


def test_private_rooms_are_listed_only_on_demand(server: Server, alice: str, prefix: str) -> None:
    public = server.new_room(alice, id=prefix + "a")
    private = server.new_room(alice, id=prefix + "b", private=True)
    assert ids(listed(server, prefix)) == [public]
    assert ids(listed(server, prefix, "&include_private=false")) == [public]
    assert ids(listed(server, prefix, "&include_private=true")) == [public, private]


def test_a_listed_room_has_neither_members_nor_counts(server: Server, alice: str, prefix: str) -> None:
    room = server.new_room(alice, id=prefix + "a", custom_data={"a": 1})
    server.send(room, alice)
    expected = server.room(room)
    del expected["member_user_ids"]
    assert listed(server, prefix) == [expected]


def test_an_unexpected_parameter_is_ignored(server: Server, alice: str, prefix: str) -> None:
    room = server.new_room(alice, id=prefix + "a")
    assert ids(listed(server, prefix, "&id=unknown")) == [room]


def test_a_user_may_list_the_public_rooms(server: Server, bob: str, alice: str, prefix: str) -> None:
    room = server.new_room(alice, id=prefix + "a")
    found = server.user(bob).get(f"/rooms?from_id={prefix}").read()
    assert room in ids(found)


def test_a_user_cannot_list_private_rooms_of_others(server: Server, bob: str, alice: str, prefix: str) -> None:
    room = server.new_room(alice, id=prefix + "a", private=True)
    reply = server.user(bob).get(f"/rooms?from_id={prefix}&include_private=true")
    assert room.encode() not in reply.body
