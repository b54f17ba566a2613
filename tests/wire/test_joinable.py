"""A user's rooms and the rooms it could join (spec §3 U8, §3.5)."""

import pytest

from tests.wire import codes
from tests.wire.client import Server, fresh, path_of

ROOM = {"id", "name", "created_by_id", "private", "created_at", "updated_at", "member_user_ids"}


def test_a_users_rooms_are_those_it_is_in(server: Server, alice: str, bob: str) -> None:
    joined = {server.new_room(alice, bob), server.new_room(bob), server.new_room(alice, bob, private=True)}
    server.new_room(alice)
    assert set(server.rooms_of(bob)) == joined


@pytest.mark.parametrize("query", ["", "?joinable=false", "?joinable="])
def test_joinable_is_false_unless_said(server: Server, alice: str, room: str, query: str) -> None:
    assert set(server.rooms_of(alice, query)) == {room}


def test_joinable_rooms_are_public_ones_the_user_is_not_in(server: Server, alice: str, bob: str) -> None:
    public, private = server.new_room(alice), server.new_room(alice, private=True)
    joined = server.new_room(alice, bob)
    joinable = server.rooms_of(bob, "?joinable=true")
    assert public in joinable
    assert not {private, joined} & set(joinable)
    assert not any(room["private"] for room in joinable.values())
    assert not any(bob in room["member_user_ids"] for room in joinable.values())


def test_joining_moves_a_room_from_one_list_to_the_other(server: Server, bob: str, room: str) -> None:
    server.user(bob).post(f"/users/{bob}/rooms/{room}/join").read(201)
    assert room in server.rooms_of(bob)
    assert room not in server.rooms_of(bob, "?joinable=true")
    server.user(bob).post(f"/users/{bob}/rooms/{room}/leave").done()
    assert room not in server.rooms_of(bob)
    assert room in server.rooms_of(bob, "?joinable=true")


def test_a_joined_room_has_members_and_a_zero_count(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    found = server.rooms_of(bob)[room]
    assert set(found) == {*ROOM, "unread_count"}
    assert found["member_user_ids"] == [alice, bob]
    assert found["unread_count"] == 0


def test_a_joined_room_has_the_time_of_its_newest_message(server: Server, alice: str, room: str) -> None:
    server.send(room, alice)
    newest = server.send(room, alice)
    found = server.rooms_of(alice)[room]
    assert set(found) == {*ROOM, "unread_count", "last_message_at"}
    assert found["last_message_at"] == server.message(room, newest)["created_at"]


def test_a_joinable_room_has_its_members(server: Server, alice: str, bob: str, room: str) -> None:
    assert server.rooms_of(bob, "?joinable=true")[room]["member_user_ids"] == [alice]


def test_set_fields_of_a_room_are_there(server: Server, alice: str) -> None:
    fields: dict[str, object] = {"push_notification_title_override": "News", "custom_data": {}}
    room = server.new_room(alice, **fields)
    assert server.rooms_of(alice)[room].items() >= fields.items()


@pytest.mark.parametrize("query", ["", "?joinable=true"])
def test_rooms_are_ordered_by_creation_and_then_by_id(server: Server, alice: str, bob: str, query: str) -> None:
    tail = fresh()
    for start in "cab":
        server.new_room(alice, id=start + tail)
    rooms = list(server.rooms_of(bob if query else alice, query).values())
    order = [(room["created_at"], room["id"].encode()) for room in rooms]
    assert len(order) >= 3
    assert order == sorted(order)


def test_a_user_reads_its_own_rooms(server: Server, alice: str, room: str) -> None:
    (found,) = server.user(alice).get(f"/users/{alice}/rooms").read()
    assert found["id"] == room


def test_a_user_with_spaces_in_its_id_has_rooms(server: Server, alice: str) -> None:
    user = server.new_user(fresh("with some spaces "))
    mine, open_one = server.new_room(user), server.new_room(alice)
    assert server.rooms_of(user) == {mine: {**server.room(mine), "unread_count": 0}}
    assert server.rooms_of(user, "?joinable=true")[open_one]["member_user_ids"] == [alice]


def test_a_user_without_rooms_has_an_empty_list(server: Server) -> None:
    user = server.new_user(fresh("with spaces "))
    assert server.user(user).get(path_of("users", user, "rooms")).read() == []


@pytest.mark.parametrize("query", ["", "?joinable=true"])
def test_an_unknown_user_has_no_lists(server: Server, query: str) -> None:
    user = fresh()
    for caller in (server.su(), server.user(user)):
        caller.get(f"/users/{user}/rooms{query}").fails(404, codes.USER_NOT_FOUND)
