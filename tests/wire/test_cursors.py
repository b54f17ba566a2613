"""Read cursors (spec §8, C1-C4)."""

from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, TIMESTAMP, Caller, Reply, Server, fresh, path_of

UNKNOWN = fresh("nobody-")


def where(room: str, user: str) -> str:
    return "/cursors/0" + path_of("rooms", room, "users", user)


def put(caller: Caller, room: str, user: str, position: object) -> Reply:
    return caller.put(where(room, user), {"position": position}, api=CURSORS)


def cursor_of(server: Server, room: str, user: str) -> Any:
    return server.su().get(where(room, user), api=CURSORS).read()


def cursors(server: Server, path: str) -> set[tuple[str, str, int]]:
    found = server.su().get(f"/cursors/0{path}", api=CURSORS).read()
    return {(cursor["room_id"], cursor["user_id"], cursor["position"]) for cursor in found}


def test_setting_answers_with_an_empty_object(server: Server, alice: str, room: str) -> None:
    for caller in (server.user(alice), server.su(), server.su(alice)):
        reply = put(caller, room, alice, 5)
        assert (reply.status, reply.body) == (201, b"{}")


def test_a_cursor_has_five_fields(server: Server, alice: str, room: str) -> None:
    server.set_cursor(room, alice, 123)
    cursor = cursor_of(server, room, alice)
    updated_at = cursor.pop("updated_at")
    assert TIMESTAMP.fullmatch(updated_at)
    assert cursor == {"cursor_type": 0, "room_id": room, "user_id": alice, "position": 123}
    assert type(cursor["cursor_type"]) is type(cursor["position"]) is int


def test_an_unset_cursor_is_null(server: Server, alice: str, room: str) -> None:
    reply = server.user(alice).get(where(room, alice), api=CURSORS)
    assert reply.read() is None


@pytest.mark.parametrize("position", [0, 7, 42, 123, 4321, 2**31, 2**53 - 1])
def test_any_natural_number_is_a_position(server: Server, alice: str, room: str, position: int) -> None:
    server.set_cursor(room, alice, position)
    assert cursor_of(server, room, alice)["position"] == position


def test_the_last_write_wins_also_backwards(server: Server, alice: str, room: str) -> None:
    for position in (5, 9, 3):
        server.set_cursor(room, alice, position)
    assert cursor_of(server, room, alice)["position"] == 3
    assert cursors(server, f"/rooms/{room}") == {(room, alice, 3)}


@pytest.mark.parametrize("position", [-1, 1.5, "5", "", True, None, [], [5], {}, 10**30], ids=repr)
def test_another_position_is_refused(server: Server, alice: str, room: str, position: object) -> None:
    put(server.user(alice), room, alice, position).fails(422, codes.CURSOR_VALIDATION_FAILED)
    assert cursor_of(server, room, alice) is None


@pytest.mark.parametrize("body", [None, {}])
def test_a_position_is_required(server: Server, alice: str, room: str, body: object) -> None:
    reply = server.user(alice).put(where(room, alice), body, api=CURSORS)
    reply.fails(422, codes.CURSOR_VALIDATION_FAILED)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("kind", ["1", "2", "-1", "read"])
def test_another_cursor_type_is_not_found(server: Server, alice: str, room: str, method: str, kind: str) -> None:
    path = where(room, alice).replace("/cursors/0/", f"/cursors/{kind}/")
    body = {"position": 5} if method == "PUT" else None
    server.user(alice).call(method, path, body, CURSORS).fails(404)


def test_the_room_must_exist(server: Server, alice: str) -> None:
    put(server.user(alice), UNKNOWN, alice, 5).fails(404, codes.ROOM_NOT_FOUND)
    for path in (where(UNKNOWN, alice), f"/cursors/0/rooms/{UNKNOWN}"):
        server.su().get(path, api=CURSORS).fails(404, codes.ROOM_NOT_FOUND)


def test_the_user_must_exist(server: Server, room: str) -> None:
    for caller in (server.user(UNKNOWN), server.su()):
        put(caller, room, UNKNOWN, 5).fails(404, codes.USER_NOT_FOUND)


def test_membership_is_not_needed_in_a_public_room(server: Server, bob: str, room: str) -> None:
    server.set_cursor(room, bob, 5)
    assert cursor_of(server, room, bob)["position"] == 5


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_private_room_of_others_has_no_cursors_for_a_stranger(
    server: Server, bob: str, private_room: str, method: str
) -> None:
    body = {"position": 5} if method == "PUT" else None
    reply = server.user(bob).call(method, where(private_room, bob), body, CURSORS)
    assert reply.status in {403, 404}
    reply.fails(reply.status)


def test_the_cursors_of_a_private_room_are_hidden_from_a_stranger(
    server: Server, alice: str, bob: str, private_room: str
) -> None:
    server.set_cursor(private_room, alice, 5)
    for path in (where(private_room, alice), f"/cursors/0/rooms/{private_room}"):
        reply = server.user(bob).get(path, api=CURSORS)
        assert reply.status in {403, 404}
        reply.fails(reply.status)


def test_a_user_reads_the_cursor_of_another(server: Server, alice: str, bob: str, room: str) -> None:
    server.set_cursor(room, alice, 5)
    assert server.user(bob).get(where(room, alice), api=CURSORS).read()["position"] == 5


def test_nobody_sets_the_cursor_of_another(server: Server, alice: str, bob: str, room: str) -> None:
    put(server.user(bob), room, alice, 5).fails(401, codes.INVALID_SUBJECT)
    assert cursor_of(server, room, alice) is None


def test_lists_hold_exactly_the_users_and_the_rooms_cursors(server: Server, alice: str, bob: str, room: str) -> None:
    other = server.new_room(bob)
    server.set_cursor(room, alice, 1)
    server.set_cursor(room, bob, 2)
    server.set_cursor(other, bob, 3)
    assert cursors(server, f"/users/{alice}") == {(room, alice, 1)}
    assert cursors(server, f"/users/{bob}") == {(room, bob, 2), (other, bob, 3)}
    assert cursors(server, f"/rooms/{room}") == {(room, alice, 1), (room, bob, 2)}
    assert cursors(server, f"/rooms/{other}") == {(other, bob, 3)}


def test_a_listed_cursor_is_the_cursor(server: Server, alice: str, room: str) -> None:
    server.set_cursor(room, alice, 5)
    expected = [cursor_of(server, room, alice)]
    assert server.user(alice).get(f"/cursors/0/users/{alice}", api=CURSORS).read() == expected
    assert server.user(alice).get(f"/cursors/0/rooms/{room}", api=CURSORS).read() == expected


def test_without_cursors_the_lists_are_empty(server: Server, alice: str, room: str) -> None:
    assert cursors(server, f"/users/{alice}") == cursors(server, f"/rooms/{room}") == set()


def test_a_cursor_goes_with_its_room(server: Server, alice: str, room: str) -> None:
    server.set_cursor(room, alice, 5)
    server.su().delete(f"/rooms/{room}").done()
    assert cursors(server, f"/users/{alice}") == set()


def test_a_cursor_goes_with_its_user(server: Server, alice: str, bob: str, room: str) -> None:
    server.set_cursor(room, bob, 5)
    server.su().delete(f"/users/{bob}").done()
    assert cursors(server, f"/rooms/{room}") == set()


def test_leaving_keeps_the_cursor(server: Server, alice: str, room: str) -> None:
    server.set_cursor(room, alice, 5)
    server.user(alice).post(f"/users/{alice}/rooms/{room}/leave").done()
    assert cursors(server, f"/users/{alice}") == {(room, alice, 5)}


def test_ids_are_decoded(server: Server) -> None:
    user = server.new_user(fresh("a/b +#"))
    room = server.new_room(user, id=fresh("#a/b \N{GRINNING FACE}"))
    server.set_cursor(room, user, 5)
    cursor = cursor_of(server, room, user)
    assert (cursor["room_id"], cursor["user_id"]) == (room, user)
