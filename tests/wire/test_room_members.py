"""Who is in a room: join, leave, add, remove (spec §4.6, R6-R9)."""

import pytest

from tests.wire import codes
from tests.wire.client import Caller, Reply, Server, fresh

UNKNOWN = fresh("nobody-")


def join(caller: Caller, user: str, room: str) -> Reply:
    return caller.post(f"/users/{user}/rooms/{room}/join")


def leave(caller: Caller, user: str, room: str) -> Reply:
    return caller.post(f"/users/{user}/rooms/{room}/leave")


def add(caller: Caller, room: str, *users: object) -> Reply:
    return caller.put(f"/rooms/{room}/users/add", {"user_ids": users})


def remove(caller: Caller, room: str, *users: object) -> Reply:
    return caller.put(f"/rooms/{room}/users/remove", {"user_ids": users})


def members(server: Server, room: str) -> list[str]:
    return list(server.room(room)["member_user_ids"])


def test_joining_answers_with_the_room_and_the_joiner_in_it(server: Server, alice: str, bob: str, room: str) -> None:
    joined = join(server.user(bob), bob, room).read(201)
    assert joined["member_user_ids"] == [alice, bob]
    assert joined == server.room(room)


def test_members_are_the_creator_first_and_then_in_order_of_joining(server: Server, alice: str) -> None:
    users = [server.new_user(fresh(start)) for start in "zbya"]
    room = server.new_room(alice)
    for user in users:
        join(server.user(user), user, room).read(201)
    assert members(server, room) == [alice, *users]


def test_joining_twice_changes_nothing(server: Server, alice: str, bob: str, room: str) -> None:
    for _ in range(2):
        assert join(server.user(bob), bob, room).read(201)["member_user_ids"] == [alice, bob]


def test_a_superuser_may_let_anybody_join(server: Server, alice: str, bob: str, room: str) -> None:
    assert join(server.su(), bob, room).read(201)["member_user_ids"] == [alice, bob]


def test_a_private_room_cannot_be_joined(server: Server, alice: str, bob: str, private_room: str) -> None:
    join(server.user(bob), bob, private_room).fails(403, codes.PRIVATE_ROOM)
    assert members(server, private_room) == [alice]


def test_a_superuser_may_join_a_private_room(server: Server, alice: str, bob: str, private_room: str) -> None:
    assert join(server.su(bob), bob, private_room).read(201)["member_user_ids"] == [alice, bob]


def test_a_member_may_join_its_private_room_again(server: Server, alice: str, private_room: str) -> None:
    assert join(server.user(alice), alice, private_room).read(201)["id"] == private_room


def test_join_and_leave_need_a_room(server: Server, alice: str) -> None:
    join(server.user(alice), alice, UNKNOWN).fails(404, codes.ROOM_NOT_FOUND)
    leave(server.user(alice), alice, UNKNOWN).fails(404, codes.ROOM_NOT_FOUND)


def test_an_unknown_user_cannot_join(server: Server, room: str) -> None:
    for caller in (server.user(UNKNOWN), server.su()):
        join(caller, UNKNOWN, room).fails(404, codes.USER_NOT_FOUND)


def test_leaving_ends_the_membership(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    leave(server.user(bob), bob, room).done()
    assert members(server, room) == [alice]
    assert server.rooms_of(bob) == {}


def test_leaving_a_room_one_is_not_in_succeeds(server: Server, alice: str, bob: str, room: str) -> None:
    leave(server.user(bob), bob, room).done()
    assert members(server, room) == [alice]


def test_the_room_stays_when_the_last_member_leaves(server: Server, alice: str, room: str) -> None:
    leave(server.user(alice), alice, room).done()
    assert members(server, room) == []
    assert server.room(room)["created_by_id"] == alice


def test_users_are_added(server: Server, alice: str, bob: str, room: str) -> None:
    carol = server.new_user()
    add(server.su(), room, carol, bob).done()
    assert members(server, room) == [alice, carol, bob]
    assert room in server.rooms_of(bob)


def test_a_member_may_add_and_remove(server: Server, alice: str, bob: str, private_room: str) -> None:
    add(server.user(alice), private_room, bob).done()
    assert members(server, private_room) == [alice, bob]
    remove(server.user(alice), private_room, bob).done()
    assert members(server, private_room) == [alice]


def test_adding_a_member_again_changes_nothing(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    add(server.su(), room, alice, bob, bob).done()
    assert members(server, room) == [alice, bob]


def test_adding_an_unknown_user_changes_nothing(server: Server, alice: str, bob: str, room: str) -> None:
    add(server.su(), room, bob, UNKNOWN).fails(400, codes.USERS_NOT_FOUND)
    assert members(server, room) == [alice]


def test_ten_users_may_be_added_and_removed_at_once(server: Server, alice: str, room: str) -> None:
    users = [server.new_user() for _ in range(10)]
    add(server.su(), room, *users).done()
    assert members(server, room) == [alice, *users]
    remove(server.su(), room, *users).done()
    assert members(server, room) == [alice]


def test_users_are_removed(server: Server, alice: str, bob: str) -> None:
    carol = server.new_user()
    room = server.new_room(alice, bob, carol)
    remove(server.su(), room, alice, carol).done()
    assert members(server, room) == [bob]
    assert server.rooms_of(alice) == {}


def test_removing_a_non_member_changes_nothing(server: Server, alice: str, bob: str, room: str) -> None:
    remove(server.su(), room, bob).done()
    assert members(server, room) == [alice]


def test_removing_the_last_member_leaves_an_empty_list(server: Server, alice: str, room: str) -> None:
    remove(server.su(), room, alice).done()
    assert members(server, room) == []


@pytest.mark.parametrize("how", ["add", "remove"])
def test_an_unknown_room_has_no_members(server: Server, alice: str, how: str) -> None:
    reply = server.su().put(f"/rooms/{UNKNOWN}/users/{how}", {"user_ids": [alice]})
    reply.fails(404, codes.ROOM_NOT_FOUND)


@pytest.mark.parametrize("how", ["add", "remove"])
@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"user_ids": None},
        {"user_ids": []},
        {"user_ids": [fresh() for _ in range(11)]},
        {"user_ids": "x"},
        {"user_ids": {"0": "x"}},
        {"user_ids": [5]},
        {"user_ids": [["x"]]},
        {"user_ids": [None]},
    ],
    ids=["no body", "empty", "null", "nobody", "eleven", "string", "object", "number", "list", "none"],
)
def test_the_users_are_a_list_of_one_to_ten_ids(server: Server, room: str, how: str, body: object) -> None:
    server.su().put(f"/rooms/{room}/users/{how}", body).refuses("user_ids")


@pytest.mark.parametrize("how", ["add", "remove"])
def test_a_stranger_cannot_change_who_is_in_a_private_room(
    server: Server, alice: str, bob: str, private_room: str, how: str
) -> None:
    target = bob if how == "add" else alice
    reply = server.user(bob).put(f"/rooms/{private_room}/users/{how}", {"user_ids": [target]})
    assert reply.status in {403, 404}
    reply.fails(reply.status)
    assert members(server, private_room) == [alice]
