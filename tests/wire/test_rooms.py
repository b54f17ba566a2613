"""One room: create, read, update, delete (spec §4.1-§4.5, R1, R2, R4, R5)."""

import re

import pytest

from tests.wire import codes
from tests.wire.client import AUTHORIZER, CURSORS, TIMESTAMP, V2, V6, Server, fresh, inline, pass_a_second

ALWAYS = {"id", "name", "created_by_id", "private", "created_at", "updated_at", "member_user_ids"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UNKNOWN = fresh("nobody-")


def test_a_room_is_created_as_sent(server: Server, alice: str, bob: str) -> None:
    sent = {
        "id": fresh("#"),
        "name": "Lobby",
        "private": True,
        "push_notification_title_override": "News",
        "custom_data": {"a": [1]},
    }
    room = server.su(alice).post("/rooms", {**sent, "user_ids": [bob]}).read(201)
    assert {key: room[key] for key in sent} == sent
    assert room["created_by_id"] == alice
    assert room["member_user_ids"] == [alice, bob]
    assert set(room) == {*sent, *ALWAYS}
    assert server.room(room["id"]) == room


def test_a_plain_room_has_defaults_and_no_unset_fields(server: Server, alice: str) -> None:
    room = server.user(alice).post("/rooms", {"name": "Lobby"}).read(201)
    assert set(room) == ALWAYS
    assert type(room["id"]) is str
    assert (room["name"], room["created_by_id"]) == ("Lobby", alice)
    assert room["private"] is False
    assert room["member_user_ids"] == [alice]
    assert server.user(alice).get(f"/rooms/{room['id']}").read() == room


def test_a_new_room_has_whole_second_timestamps(server: Server, room: str) -> None:
    found = server.room(room)
    assert TIMESTAMP.fullmatch(found["created_at"])
    assert found["updated_at"] == found["created_at"]


def test_the_creator_is_the_subject_whatever_the_body_says(server: Server, alice: str, bob: str) -> None:
    body = {"name": "x", "created_by_id": bob, "CreatorID": bob, "creator_id": bob}
    for caller in (server.user(alice), server.su(alice)):
        room = caller.post("/rooms", body).read(201)
        assert (room["created_by_id"], room["member_user_ids"]) == (alice, [alice])


def test_null_on_create_means_not_given(server: Server, alice: str) -> None:
    optional = ("id", "private", "push_notification_title_override", "custom_data", "user_ids")
    room = server.su(alice).post("/rooms", {"name": "x", **dict.fromkeys(optional)}).read(201)
    assert set(room) == ALWAYS


def test_members_are_listed_once(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, alice, bob, alice)
    assert server.room(room)["member_user_ids"] == [alice, bob]


def test_generated_ids_sort_in_creation_order(server: Server, alice: str) -> None:
    rooms = [server.new_room(alice) for _ in range(20)]
    assert all(UUID.fullmatch(room) for room in rooms)
    assert rooms == sorted(rooms)
    assert len(set(rooms)) == 20


@pytest.mark.parametrize("field", ["id", "name"])
def test_id_and_name_may_have_160_characters(server: Server, alice: str, field: str) -> None:
    long = fresh() + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 124
    room = server.new_room(alice, **{field: long})
    assert server.room(room)[field] == long


@pytest.mark.parametrize("body", [{}, {"name": None}])
def test_a_name_is_required(server: Server, alice: str, body: object) -> None:
    server.su(alice).post("/rooms", body).refuses("name", "required")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", 5),
        ("name", ["x"]),
        ("name", {}),
        ("name", "x" * 161),
        ("private", "true"),
        ("private", 1),
        ("private", []),
        ("push_notification_title_override", 5),
        ("push_notification_title_override", {}),
    ],
)
def test_a_wrong_field_is_refused(server: Server, alice: str, room: str, field: str, value: object) -> None:
    server.su(alice).post("/rooms", {"name": "x", field: value}).refuses(field)
    server.su().put(f"/rooms/{room}", {field: value}).refuses(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", 5),
        ("id", ["x"]),
        ("id", {}),
        ("id", "x" * 161),
        ("user_ids", "x"),
        ("user_ids", {}),
        ("user_ids", [5]),
        ("user_ids", [None]),
        ("user_ids", [["x"]]),
    ],
)
def test_a_wrong_field_is_refused_on_create(server: Server, alice: str, field: str, value: object) -> None:
    server.su(alice).post("/rooms", {"name": "x", field: value}).refuses(field)


def test_a_room_id_can_be_taken_only_once(server: Server, alice: str, bob: str, room: str) -> None:
    server.su(bob).post("/rooms", {"name": "mine", "id": room}).fails(400, codes.DUPLICATE_ROOM)
    assert server.room(room)["created_by_id"] == alice


@pytest.mark.parametrize("creator_exists", [True, False])
def test_unknown_users_are_counted_and_nothing_is_created(
    server: Server, alice: str, bob: str, creator_exists: bool
) -> None:
    room, creator, member = fresh(), *((alice, UNKNOWN) if creator_exists else (UNKNOWN, alice))
    body = {"name": "x", "id": room, "user_ids": [bob, member]}
    description = server.su(creator).post("/rooms", body).fails(400, codes.USERS_NOT_FOUND)
    pattern = r"`?1`? out of `?3`? users \(including the room creator\) could not be found"
    assert re.search(pattern, description)
    server.su().get(f"/rooms/{room}").fails(404, codes.ROOM_NOT_FOUND)


def test_an_unknown_room_is_not_found(server: Server, alice: str) -> None:
    for caller in (server.su(), server.user(alice)):
        caller.get(f"/rooms/{fresh()}").fails(404, codes.ROOM_NOT_FOUND)
    server.su().put(f"/rooms/{fresh()}", {"name": "x"}).fails(404, codes.ROOM_NOT_FOUND)
    server.su().delete(f"/rooms/{fresh()}").fails(404, codes.ROOM_NOT_FOUND)


def test_a_stranger_sees_a_public_room(server: Server, bob: str, room: str) -> None:
    assert server.user(bob).get(f"/rooms/{room}").read()["id"] == room


def test_a_private_room_looks_unknown_to_a_stranger(server: Server, bob: str, private_room: str) -> None:
    hidden = server.user(bob).get(f"/rooms/{private_room}")
    hidden.fails(404, codes.ROOM_NOT_FOUND)
    assert hidden.body == server.user(bob).get(f"/rooms/{fresh()}").body


def test_a_private_room_is_hidden_from_a_former_member(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, private=True)
    assert server.user(bob).get(f"/rooms/{room}").status == 200
    server.su().put(f"/rooms/{room}/users/remove", {"user_ids": [bob]}).done()
    server.user(bob).get(f"/rooms/{room}").fails(404, codes.ROOM_NOT_FOUND)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "new"),
        ("private", True),
        ("private", False),
        ("push_notification_title_override", "new"),
        ("custom_data", {"new": [1]}),
        ("custom_data", {}),
    ],
)
def test_an_update_changes_only_what_is_given(server: Server, alice: str, bob: str, field: str, value: object) -> None:
    old = {"push_notification_title_override": "old", "custom_data": {"old": 1}, "private": value is False}
    room = server.new_room(alice, bob, **old)
    before = server.room(room)
    server.su().put(f"/rooms/{room}", {field: value}).done()
    after = server.room(room)
    after["updated_at"] = before["updated_at"]
    assert after == {**before, field: value}


@pytest.mark.parametrize("body", [None, {}, {"name": None, "private": None, "custom_data": None}])
def test_an_update_without_values_changes_nothing(server: Server, alice: str, body: object) -> None:
    room = server.new_room(alice, private=True, custom_data={"a": 1})
    before = server.room(room)
    server.su().put(f"/rooms/{room}", body).done()
    assert server.room(room) == before


def test_null_clears_the_title_override(server: Server, alice: str) -> None:
    room = server.new_room(alice, push_notification_title_override="News")
    server.su().put(f"/rooms/{room}", {"push_notification_title_override": None}).done()
    assert "push_notification_title_override" not in server.room(room)


def test_an_update_bumps_only_updated_at(server: Server, room: str) -> None:
    before = server.room(room)
    pass_a_second()
    server.su().put(f"/rooms/{room}", {"name": "new"}).done()
    after = server.room(room)
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]


@pytest.mark.parametrize("api", [V2, V6])
def test_a_deleted_room_is_gone(server: Server, alice: str, bob: str, api: str) -> None:
    earlier, room, later = server.new_room(bob), server.new_room(alice), server.new_room(bob)

    def listed() -> list[str]:
        ids = [found["id"] for found in server.su().get(f"/rooms?from_id={earlier}").read()]
        return ids[: ids.index(later)]  # those that other tests made come afterwards

    assert listed() == [room]
    server.su().delete(f"/rooms/{room}", api=api).done()
    assert listed() == []
    server.su().get(f"/rooms/{room}").fails(404, codes.ROOM_NOT_FOUND)
    server.su().delete(f"/rooms/{room}", api=api).fails(404, codes.ROOM_NOT_FOUND)
    assert server.rooms_of(alice) == {}


def test_the_role_that_was_missing_counts_at_once(server: Server, alice: str, room: str) -> None:
    """The same two calls with the same token, before and after."""
    path, role = f"/rooms/{room}", f"/users/{alice}/roles"
    caller, change = server.user(alice), {"name": "renamed"}
    for _ in range(3):
        for refused in (caller.put(path, change), caller.delete(path)):
            refused.fails(401, codes.MISSING_PERMISSION)
            assert "permission" in refused.body.decode()
        assert server.su().put(role, {"name": "admin"}, api=AUTHORIZER).status == 201
        caller.put(path, change).done()
        assert server.room(room)["name"] == "renamed"
        server.su().delete(role, api=AUTHORIZER).done()
    caller.put(path, change).fails(401, codes.MISSING_PERMISSION)
    assert server.su().put(role, {"name": "admin"}, api=AUTHORIZER).status == 201
    caller.delete(path).done()
    caller.get(path).fails(404, codes.ROOM_NOT_FOUND)


def test_the_id_of_a_deleted_room_is_free_and_nothing_of_it_remains(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, private=True)
    message = server.send(room, alice)
    server.set_cursor(room, alice, message)
    server.su().delete(f"/rooms/{room}").done()
    assert server.su().get(f"/cursors/0/users/{alice}", api=CURSORS).read() == []

    assert server.new_room(alice, id=room) == room
    assert server.room(room)["member_user_ids"] == [alice]
    assert server.su().get(f"/rooms/{room}/messages").read() == []
    assert server.su().get(f"/cursors/0/rooms/{room}", api=CURSORS).read() == []
    server.su().get(f"/rooms/{room}/messages/{message}").fails(404, codes.MESSAGE_NOT_FOUND)


def test_nothing_can_be_sent_to_a_deleted_room(server: Server, alice: str, room: str) -> None:
    server.su().delete(f"/rooms/{room}").done()
    reply = server.user(alice).post(f"/rooms/{room}/messages", {"parts": [inline()]})
    reply.fails(404, codes.ROOM_NOT_FOUND)
