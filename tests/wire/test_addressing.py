"""Ids, paths, queries, services and versions (spec §0 rule 12, §1.1-§1.3)."""

import uuid
from urllib.parse import quote_plus

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V6, Server, fresh, path_of

UNUSUAL = {
    "spaces": " two  words ",
    "emoji": "\N{GRINNING FACE}\N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}",
    "circled": "\N{CIRCLED LATIN CAPITAL LETTER A}",
    "cyrillic": "\N{CYRILLIC CAPITAL LETTER ZHE}\N{CYRILLIC SMALL LETTER YA}",
    "hash": "#id",
    "slash": "a/b//c/",
    "dot segments": "../../",
    "plus": "a+b++",
    "single quote": "it's",
    "double quote": 'say "x"',
    "combining mark": "e\N{COMBINING ACUTE ACCENT}",
    "question": "a?b&c=d",
    "percent": "100%2F",
    "backslash": "a\\b",
    "colon": "a:b;c",
}
unusual = pytest.mark.parametrize("start", UNUSUAL.values(), ids=UNUSUAL)

TEXT_VERSIONS = ["v1", "v2"]
PARTS_VERSIONS = ["v3", "v4", "v5", "v6", "v7"]
ROOM_VERSIONS = ["v1", "v2", "v3", "v4", "v5", "v6"]


@unusual
def test_a_user_id_comes_back_byte_for_byte(server: Server, start: str) -> None:
    user = fresh(start)
    assert server.new_user(user) == user
    assert server.su().get(path_of("users", user)).read()["id"] == user


@unusual
def test_a_room_id_comes_back_byte_for_byte(server: Server, alice: str, start: str) -> None:
    room = fresh(start)
    assert server.new_room(alice, id=room) == room
    assert server.room(room)["id"] == room


def test_an_id_may_be_nothing_but_emoji(server: Server) -> None:
    faces = [chr(ord("\N{GRINNING FACE}") + digit) for digit in range(16)]
    user = "".join(faces[int(digit, 16)] for digit in uuid.uuid4().hex)
    assert server.new_user(user) == user
    assert server.su().get(path_of("users", user)).read()["id"] == user


def test_an_id_may_end_with_a_slash(server: Server) -> None:
    user = server.new_user(f"{fresh()}/")
    assert server.su().get(path_of("users", user)).read()["id"] == user


def test_ids_are_not_normalised(server: Server) -> None:
    tail = fresh()
    composed = server.new_user(f"\N{LATIN SMALL LETTER E WITH ACUTE}{tail}")
    decomposed = server.new_user(f"e\N{COMBINING ACUTE ACCENT}{tail}")
    for user in (composed, decomposed):
        assert server.su().get(path_of("users", user)).read()["id"] == user


def test_ids_of_digits_stay_strings(server: Server) -> None:
    user, room = str(uuid.uuid4().int), str(uuid.uuid4().int)
    server.new_user(user)
    server.new_room(user, id=room)
    found = server.room(room)
    assert (found["id"], found["created_by_id"], found["member_user_ids"]) == (room, user, [user])


def test_a_raw_plus_is_taken_literally(server: Server) -> None:
    with_plus = server.new_user(fresh("a+b-"))
    server.new_user(with_plus.replace("+", " "))
    assert server.su().get(f"/users/{with_plus}").read()["id"] == with_plus


def test_a_raw_plus_that_fits_no_user_means_a_space(server: Server) -> None:
    user = server.new_user(fresh("a b "))
    assert server.su().get(f"/users/{quote_plus(user)}").read()["id"] == user


def test_a_raw_plus_that_fits_no_room_means_a_space(server: Server, alice: str) -> None:
    room = server.new_room(alice, id=fresh("a b "))
    assert server.su().get(f"/rooms/{quote_plus(room)}").read()["id"] == room


def test_a_raw_plus_that_fits_no_user_means_a_space_where_nobody_is_fine_too(server: Server, alice: str) -> None:
    user = server.new_user(fresh("a b "))
    room = server.new_room(user, id=fresh("c d "))
    server.set_cursor(room, user, 5)
    as_form, room_as_form = quote_plus(user), quote_plus(room)
    for caller in (server.su(), server.user(alice)):
        path = f"/cursors/0/rooms/{room_as_form}/users/{as_form}"
        assert caller.get(path, api=CURSORS).read()["user_id"] == user
    assert len(server.su().get(f"/cursors/0/users/{as_form}", api=CURSORS).read()) == 1
    server.su().post(f"/users/{as_form}/rooms/{room_as_form}/leave").done()
    assert server.room(room)["member_user_ids"] == []


def test_an_encoded_plus_never_means_a_space(server: Server) -> None:
    user = server.new_user(fresh("a b "))
    reply = server.su().get(path_of("users", user.replace(" ", "+")))
    reply.fails(404, codes.USER_NOT_FOUND)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/users/{user}", 200),
        ("PUT", "/users/{user}", 204),
        ("DELETE", "/users/{user}", 204),
        ("GET", "/users/{user}/rooms", 200),
        ("GET", "/rooms/{room}", 200),
        ("PUT", "/rooms/{room}", 204),
        ("DELETE", "/rooms/{room}", 204),
    ],
)
def test_ids_may_come_as_raw_utf_8(server: Server, method: str, path: str, status: int) -> None:
    user = server.new_user(fresh("Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}\N{GRINNING FACE}"))
    room = server.new_room(user, id=fresh("\N{CYRILLIC SMALL LETTER YA}"))
    body = {"name": "new"} if method == "PUT" else None
    reply = server.su().call(method, path.format(user=user, room=room), body)
    assert reply.status == status


@pytest.mark.parametrize("path", ["//users//{user}", "/users/{user}/", "/users///{user}//"])
def test_extra_slashes_do_not_matter(server: Server, alice: str, path: str) -> None:
    assert server.su().get(path.format(user=alice)).read()["id"] == alice


@pytest.mark.parametrize("query", ["?", "?&a=b", "?from_ts=&limit=", "?limit", "?unknown=1&id=2", "?from_ts&&limit=0"])
def test_empty_and_unknown_parameters_are_ignored(server: Server, alice: str, query: str) -> None:
    users = server.su().get(f"/users{query}").read()
    assert users == server.su().get("/users").read()


@pytest.mark.parametrize(
    ("value", "is_true"),
    [
        ("true", True),
        ("True", True),
        ("1", True),
        ("false", False),
        ("0", False),
        ("", False),
        ("TRUE", False),
        ("yes", False),
    ],
)
def test_booleans_in_a_query(server: Server, bob: str, room: str, value: str, is_true: bool) -> None:
    rooms = server.rooms_of(bob, f"?joinable={value}")
    assert (room in rooms) is is_true


@pytest.mark.parametrize(
    "api",
    ["chatkit/v0", "chatkit/v99", "chatkit/6", "chatkit/latest", "chatkit_nonsense/v1", "chatkit_cursors/v9"],
)
def test_an_unknown_service_or_version_is_not_found(server: Server, api: str) -> None:
    server.su().get("/users", api=api).fails(404, codes.ROUTE_NOT_FOUND)


@pytest.mark.parametrize("version", ROOM_VERSIONS)
def test_every_version_serves_users_and_full_rooms(server: Server, version: str) -> None:
    api, user, room = f"chatkit/{version}", fresh(), fresh()
    assert server.su().post("/users", {"id": user, "name": "Ann"}, api=api).read(201)["id"] == user
    assert server.su(user).post("/rooms", {"name": "x", "id": room}, api=api).read(201)["id"] == room
    server.send(room, user)
    (found,) = server.su().get(f"/users/{user}/rooms", api=api).read()
    assert found["unread_count"] == 1
    assert "last_message_at" in found
    server.su().delete(f"/rooms/{room}", api=api).done()


@pytest.mark.parametrize("version", TEXT_VERSIONS)
def test_the_first_two_versions_speak_text(server: Server, alice: str, room: str, version: str) -> None:
    path, api = f"/rooms/{room}/messages", f"chatkit/{version}"
    server.user(alice).post(path, {"text": "hi"}, api=api).read(201)
    (message,) = server.user(alice).get(path, api=api).read()
    assert message["text"] == "hi"
    assert "parts" not in message


@pytest.mark.parametrize("version", PARTS_VERSIONS)
def test_the_later_versions_speak_parts(server: Server, alice: str, room: str, version: str) -> None:
    path, api = f"/rooms/{room}/messages", f"chatkit/{version}"
    parts = [{"type": "text/plain", "content": "hi"}]
    server.user(alice).post(path, {"parts": parts}, api=api).read(201)
    (message,) = server.user(alice).get(path, api=api).read()
    assert message["parts"] == parts
    assert "text" not in message


@pytest.mark.parametrize("api", [V2, V6])
def test_a_room_made_in_one_version_is_there_in_another(server: Server, alice: str, api: str) -> None:
    room = server.new_room(alice)
    assert server.su().get(f"/rooms/{room}", api=api).read()["id"] == room


@pytest.mark.parametrize("api", ["chatkit_cursors/v1", CURSORS])
def test_cursors_are_served_in_both_versions(server: Server, alice: str, room: str, api: str) -> None:
    path = f"/cursors/0/rooms/{room}/users/{alice}"
    assert server.user(alice).put(path, {"position": 5}, api=api).read(201) == {}
    assert server.user(alice).get(path, api=api).read()["position"] == 5
