"""Rooms of v7, which have their members beside them (spec §4.8, R1-R9, §3.1)."""

from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import TIMESTAMP, V2, V6, V7, Caller, Reply, Server, fresh, path_of
from tests.wire.split_rooms import NULLABLE, ROOM_KEYS, membership, split


def get(server: Server, room: str) -> dict[str, Any]:
    found: dict[str, Any] = server.su().get(path_of("rooms", room), api=V7).read()
    return found


def join(caller: Caller, user: str, room: str) -> Reply:
    return caller.post(path_of("users", user, "rooms", room, "join"), api=V7)


def test_creating_answers_with_the_room_and_its_members(server: Server, alice: str, bob: str) -> None:
    sent = {
        "id": fresh("#"),
        "name": "Lobby",
        "private": True,
        "push_notification_title_override": "News",
        "custom_data": {"a": [1]},
    }
    body = {**sent, "user_ids": [bob, alice], "created_by_id": bob}
    created = server.user(alice).post("/rooms", body, api=V7).read(201)
    assert set(created) == {"room", "membership"}
    room = created["room"]
    assert set(room) == ROOM_KEYS
    assert {key: room[key] for key in sent} == sent
    assert room["created_by_id"] == alice
    assert created["membership"] == membership(room["id"], alice, bob)


def test_what_is_unset_is_null_and_the_rest_has_defaults(server: Server, alice: str) -> None:
    created = server.user(alice).post("/rooms", {"name": "Lobby"}, api=V7).read(201)
    room = created["room"]
    assert set(room) == ROOM_KEYS
    assert {key: room[key] for key in (*NULLABLE, "deleted_at")} == dict.fromkeys((*NULLABLE, "deleted_at"))
    assert room["private"] is False
    assert TIMESTAMP.fullmatch(room["created_at"])
    assert room["updated_at"] == room["created_at"]
    assert created["membership"] == membership(room["id"], alice)


def test_empty_values_are_not_null(server: Server, alice: str) -> None:
    empty: dict[str, object] = {"custom_data": {}, "push_notification_title_override": ""}
    assert get(server, server.new_room(alice, **empty)).items() >= empty.items()


def test_joining_answers_with_all_members(server: Server, alice: str, bob: str, room: str) -> None:
    for _ in range(2):  # the second time nothing happens
        joined = join(server.user(bob), bob, room).read(201)
        assert set(joined) == {"room", "membership"}
        assert joined["room"] == split(server.room(room))
        assert joined["membership"] == membership(room, alice, bob)


def test_a_private_room_is_joined_by_its_members_and_servers_only(
    server: Server, alice: str, bob: str, private_room: str
) -> None:
    join(server.user(bob), bob, private_room).fails(403, codes.PRIVATE_ROOM)
    assert join(server.user(alice), alice, private_room).read(201)["membership"] == membership(private_room, alice)
    assert join(server.su(), bob, private_room).read(201)["membership"] == membership(private_room, alice, bob)


def test_a_room_comes_with_its_members(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, custom_data={"a": 1})
    found = server.user(bob).get(path_of("rooms", room), api=V7).read()
    assert found == {**split(server.room(room)), "member_user_ids": [alice, bob]}


def test_a_room_has_the_time_of_its_newest_message(server: Server, alice: str, room: str) -> None:
    message = server.send(room, alice)
    path = path_of("rooms", room, "messages", str(message))
    sent_at = server.message(room, message, V7)["created_at"]
    assert get(server, room)["last_message_at"] == sent_at
    assert join(server.user(alice), alice, room).read(201)["room"] == split(server.room(room), sent_at)
    server.su().delete(path, api=V7).done()
    assert get(server, room)["last_message_at"] is None


def test_rooms_are_listed_without_members(server: Server, alice: str) -> None:
    prefix = fresh()
    first, second, third = (prefix + letter for letter in "abc")
    for room in (first, second, third):
        server.new_room(alice, id=room, private=room == second)

    def listed(query: str) -> list[Any]:
        rooms = server.su().get(f"/rooms?from_id={first}{query}", api=V7).read()
        return [room for room in rooms if room["id"].startswith(prefix)]  # others may have made rooms, too

    assert listed("") == [split(server.room(third))]
    assert listed("&include_private=true") == [split(server.room(room)) for room in (second, third)]


def test_updating_changes_what_is_given(server: Server, alice: str) -> None:
    room = server.new_room(alice, push_notification_title_override="News", custom_data={"a": 1})
    change = {"name": "new", "private": True, "custom_data": {}}
    server.su().put(path_of("rooms", room), change, api=V7).done()
    found = get(server, room)
    assert found.items() >= {**change, "push_notification_title_override": "News"}.items()


def test_null_clears_the_title_override_and_nothing_else(server: Server, alice: str) -> None:
    room = server.new_room(alice, push_notification_title_override="News", custom_data={"a": 1})
    before = get(server, room)
    server.su().put(path_of("rooms", room), dict.fromkeys((*NULLABLE, "name", "private")), api=V7).done()
    after = get(server, room)
    after["updated_at"] = before["updated_at"]
    assert after == {**before, "push_notification_title_override": None}


def test_leaving_ends_the_membership(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    for _ in range(2):
        server.user(bob).post(path_of("users", bob, "rooms", room, "leave"), api=V7).done()
    assert get(server, room)["member_user_ids"] == [alice]


def test_users_are_added_and_removed(server: Server, alice: str, bob: str, room: str) -> None:
    path = path_of("rooms", room, "users")
    server.su().put(f"{path}/add", {"user_ids": [bob]}, api=V7).done()
    assert get(server, room)["member_user_ids"] == [alice, bob]
    server.su().put(f"{path}/remove", {"user_ids": [alice, bob]}, api=V7).done()
    assert get(server, room)["member_user_ids"] == []


def test_a_deleted_room_is_gone_and_its_id_is_free(server: Server, alice: str, room: str) -> None:
    path = path_of("rooms", room)
    server.su().delete(path, api=V7).done()
    server.su().get(path, api=V7).fails(404, codes.ROOM_NOT_FOUND)
    created = server.su(alice).post("/rooms", {"name": "again", "id": room}, api=V7).read(201)
    assert created["room"]["id"] == room


@pytest.mark.parametrize(("made_in", "read_in"), [(V7, V2), (V7, V6), (V2, V7), (V6, V7)])
def test_rooms_are_the_same_in_every_version(server: Server, alice: str, made_in: str, read_in: str) -> None:
    room = fresh()
    server.su(alice).post("/rooms", {"name": "x", "id": room}, api=made_in).read(201)
    found = server.su().get(path_of("rooms", room), api=read_in).read()
    assert (found["id"], found["member_user_ids"]) == (room, [alice])
    assert ("deleted_at" in found) is (read_in == V7)


def test_refusals_are_those_of_the_other_versions(
    server: Server, alice: str, bob: str, room: str, private_room: str
) -> None:
    nowhere, nobody = path_of("rooms", fresh()), fresh()
    server.su(alice).post("/rooms", {"name": "x", "id": room}, api=V7).fails(400, codes.DUPLICATE_ROOM)
    body = {"name": "x", "user_ids": [nobody]}
    server.su(alice).post("/rooms", body, api=V7).fails(400, codes.USERS_NOT_FOUND)
    server.su(alice).post("/rooms", {}, api=V7).refuses("name", "required")
    members = path_of("rooms", room, "users")
    for how in ("add", "remove"):
        server.su().put(f"{members}/{how}", {"user_ids": []}, api=V7).refuses("user_ids")
        server.su().put(f"{nowhere}/users/{how}", {"user_ids": [alice]}, api=V7).fails(404, codes.ROOM_NOT_FOUND)
    server.su().put(f"{members}/add", {"user_ids": [nobody]}, api=V7).fails(400, codes.USERS_NOT_FOUND)
    server.user(bob).get(path_of("rooms", private_room), api=V7).fails(404, codes.ROOM_NOT_FOUND)
    server.su().put(nowhere, {"name": "x"}, api=V7).fails(404, codes.ROOM_NOT_FOUND)
    server.su().delete(nowhere, api=V7).fails(404, codes.ROOM_NOT_FOUND)
    join(server.su(), alice, fresh()).fails(404, codes.ROOM_NOT_FOUND)
    join(server.su(), nobody, room).fails(404, codes.USER_NOT_FOUND)


def test_permissions_are_those_of_the_other_versions(server: Server, alice: str, bob: str, room: str) -> None:
    path = path_of("rooms", room)
    server.user(alice).put(path, {"name": "x"}, api=V7).fails(401, codes.MISSING_PERMISSION)
    server.user(alice).delete(path, api=V7).fails(401, codes.MISSING_PERMISSION)
    join(server.user(alice), bob, room).fails(401, codes.INVALID_SUBJECT)
    server.nobody.get(path, api=V7).fails(401)
