"""A user's rooms in v7, and the rooms it could join (spec §3 U8, U9, §4.8, §4.9)."""

from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V6, V7, Server, fresh, path_of
from tests.wire.split_rooms import ROOM_KEYS, membership, split

JOINABLE = ["joinable_rooms", "rooms?joinable=true"]
"""Two ways to ask for the same."""


def by_id(items: list[dict[str, Any]], name: str = "room_id") -> dict[str, dict[str, Any]]:
    found = {item[name]: item for item in items}
    assert len(found) == len(items)
    return found


def listed(server: Server, user: str, what: str) -> Any:
    return server.user(user).get(f"{path_of('users', user)}/{what}", api=V7).read()


@pytest.mark.parametrize("what", JOINABLE)
def test_joinable_rooms_are_public_ones_the_user_is_not_in(server: Server, alice: str, bob: str, what: str) -> None:
    carol = server.new_user()
    public, private = server.new_room(alice, carol, custom_data={"a": 1}), server.new_room(alice, private=True)
    joined = server.new_room(alice, bob)
    found = listed(server, bob, what)
    assert set(found) == {"rooms", "memberships"}
    rooms, memberships = by_id(found["rooms"], "id"), by_id(found["memberships"])
    assert rooms.keys() == memberships.keys()
    assert rooms[public] == split(server.room(public))
    assert memberships[public] == membership(public, alice, carol)
    assert not {private, joined} & rooms.keys()
    assert all(set(room) == ROOM_KEYS and room["private"] is False for room in rooms.values())
    assert not any(bob in one["user_ids"] for one in memberships.values())


def test_joining_and_leaving_move_a_room(server: Server, bob: str, room: str) -> None:
    path = path_of("users", bob, "rooms", room)
    assert room in by_id(listed(server, bob, "joinable_rooms")["memberships"])
    server.user(bob).post(f"{path}/join", api=V7).read(201)
    assert room not in by_id(listed(server, bob, "joinable_rooms")["memberships"])
    assert room in by_id(listed(server, bob, "rooms")["memberships"])
    server.user(bob).post(f"{path}/leave", api=V7).done()
    assert room in by_id(listed(server, bob, "joinable_rooms")["memberships"])


def test_joinable_rooms_follow_privacy_and_deletion(server: Server, bob: str, room: str) -> None:
    path = path_of("rooms", room)
    for private in (True, False):
        server.su().put(path, {"private": private}, api=V7).done()
        found = by_id(listed(server, bob, "joinable_rooms")["rooms"], "id")
        assert (room in found) is not private
    server.su().delete(path, api=V7).done()
    assert room not in by_id(listed(server, bob, "joinable_rooms")["rooms"], "id")


def test_a_joinable_room_has_the_time_of_its_newest_message(server: Server, alice: str, bob: str, room: str) -> None:
    sent_at = server.message(room, server.send(room, alice))["created_at"]
    assert by_id(listed(server, bob, "joinable_rooms")["rooms"], "id")[room]["last_message_at"] == sent_at


@pytest.mark.parametrize("what", ["rooms", "rooms?joinable=false"])
def test_a_users_rooms_have_members_and_read_states_beside_them(
    server: Server, alice: str, bob: str, what: str
) -> None:
    unread, private = server.new_room(alice, bob), server.new_room(bob, private=True, custom_data={})
    sent_at = server.message(unread, server.send(unread, alice))["created_at"]
    server.set_cursor(private, bob, 3)
    found = listed(server, bob, what)
    assert set(found) == {"rooms", "memberships", "read_states"}
    rooms = by_id(found["rooms"], "id")
    assert rooms == {unread: split(server.room(unread), sent_at), private: split(server.room(private))}
    assert by_id(found["memberships"]) == {
        unread: membership(unread, alice, bob),
        private: membership(private, bob),
    }
    cursor = server.user(bob).get(path_of("cursors", "0", "rooms", private, "users", bob), api=CURSORS).read()
    assert by_id(found["read_states"]) == {
        unread: {"room_id": unread, "unread_count": 1},
        private: {"room_id": private, "unread_count": 0, "cursor": cursor},
    }


def test_a_cursor_lowers_the_unread_count(server: Server, alice: str, room: str) -> None:
    first = server.send(room, alice)
    server.send(room, alice)
    server.set_cursor(room, alice, first)
    (state,) = listed(server, alice, "rooms")["read_states"]
    assert (state["unread_count"], state["cursor"]["position"]) == (1, first)


@pytest.mark.parametrize("what", ["rooms", "joinable_rooms"])
def test_all_three_lists_have_one_order(server: Server, alice: str, bob: str, what: str) -> None:
    tail = fresh()
    for start in "cab":
        server.new_room(alice, id=start + tail)
    found = listed(server, alice if what == "rooms" else bob, what)
    order = [(room["created_at"], room["id"].encode()) for room in found["rooms"]]
    assert len(order) >= 3
    assert order == sorted(order)
    for name in found.keys() - {"rooms"}:
        assert [one["room_id"] for one in found[name]] == [room["id"] for room in found["rooms"]]


def test_a_user_without_rooms_has_empty_lists(server: Server) -> None:
    user = server.new_user(fresh("with spaces "))
    assert listed(server, user, "rooms") == {"rooms": [], "memberships": [], "read_states": []}


@pytest.mark.parametrize("what", ["rooms", *JOINABLE])
def test_the_lists_are_the_users_own(server: Server, alice: str, bob: str, what: str) -> None:
    path, nobody = f"{path_of('users', alice)}/{what}", fresh()
    assert set(server.su().get(path, api=V7).read()) >= {"rooms", "memberships"}
    server.user(bob).get(path, api=V7).fails(401, codes.INVALID_SUBJECT)
    server.nobody.get(path, api=V7).fails(401)
    for caller in (server.su(), server.user(nobody)):
        caller.get(f"{path_of('users', nobody)}/{what}", api=V7).fails(404, codes.USER_NOT_FOUND)


@pytest.mark.parametrize("api", [V2, V6])
def test_joinable_rooms_have_a_path_of_their_own_in_v7_only(server: Server, alice: str, api: str) -> None:
    server.su().get(path_of("users", alice, "joinable_rooms"), api=api).fails(404, codes.ROUTE_NOT_FOUND)
