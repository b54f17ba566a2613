"""Rooms: create, read, list, search, update, delete, and who is in them."""

from typing import Any

from tests.sdks.python.checks import Sdk, ids_of, make_room, make_users, raising, same, timeless

CUSTOM_DATA = {"topic": "food", "limits": {"members": 12}}


def members_of(sdk: Sdk, room_id: str) -> list[Any]:
    return sorted(sdk.get_room(room_id)["member_user_ids"])


def case_create_with_the_token_of_its_creator(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    room = sdk.create_room("my room", "alice")
    expected = {
        "id": room["id"],
        "name": "my room",
        "created_by_id": "alice",
        "private": False,
        "member_user_ids": ["alice"],
    }
    same(timeless(room), expected)
    same(sdk.get_room(room["id"]), room)


def case_create_private_with_members_and_custom_data(sdk: Sdk) -> None:
    make_users(sdk, "alice", "bob")
    room = sdk.create_room("my room", "alice", private=True, user_ids=["bob"], custom_data=CUSTOM_DATA)
    same(room["private"], True)
    same(room["custom_data"], CUSTOM_DATA)
    same(members_of(sdk, room["id"]), ["alice", "bob"])


def case_create_with_an_unknown_member_is_refused(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    with raising("PusherBadRequest", "services/chatkit/bad_request/users_not_found"):
        sdk.create_room("my room", "alice", user_ids=["nobody"])


def case_update_replaces_what_is_given(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    same(sdk.update_room(room_id, name="renamed", private=True, custom_data=CUSTOM_DATA), None)
    expected = {
        "id": room_id,
        "name": "renamed",
        "created_by_id": "alice",
        "private": True,
        "custom_data": CUSTOM_DATA,
        "member_user_ids": ["alice"],
    }
    same(timeless(sdk.get_room(room_id)), expected)


def case_update_of_nothing_sends_no_body(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    room = sdk.get_room(room_id)
    same(sdk.update_room(room_id), None)
    same(timeless(sdk.get_room(room_id)), timeless(room))


def case_unknown_ids_are_not_found(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    for call in (sdk.get_room, sdk.delete_room, sdk.update_room, sdk.get_room_messages):
        with raising("PusherNotFound"):
            call("nowhere")
    with raising("PusherNotFound"):
        sdk.add_users_to_room("nowhere", ["alice"])


def case_list_from_an_id_and_with_private_ones(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    first, second = (sdk.create_room(name, "alice") for name in ("first", "second"))
    hidden = sdk.create_room("hidden", "alice", private=True)
    rooms = sdk.get_rooms()
    same(ids_of(rooms), [first["id"], second["id"]])
    same([room for room in rooms if "member_user_ids" in room], [])
    same(ids_of(sdk.get_rooms(from_id=first["id"])), [second["id"]])
    same(ids_of(sdk.get_rooms(from_id=first["id"], include_private=True)), [second["id"], hidden["id"]])


def case_user_rooms_and_joinable_rooms(sdk: Sdk) -> None:
    make_users(sdk, "alice", "bob")
    mine = sdk.create_room("mine", "alice", private=True)
    theirs = sdk.create_room("theirs", "bob")
    sdk.create_room("hidden", "bob", private=True)
    same(sdk.get_user_rooms("alice"), [{**mine, "unread_count": 0}])
    joinable = sdk.get_user_joinable_rooms("alice")
    same([(room["id"], room["member_user_ids"]) for room in joinable], [(theirs["id"], ["bob"])])


def case_add_and_remove_users(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    make_users(sdk, "bob", "carol")
    same(sdk.add_users_to_room(room_id, ["bob", "carol"]), None)
    same(members_of(sdk, room_id), ["alice", "bob", "carol"])
    same(sdk.remove_users_to_room(room_id, ["alice", "bob"]), None)
    same(members_of(sdk, room_id), ["carol"])


def case_search_by_name(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    sdk.create_room("another", "alice")
    hidden = sdk.create_room("hidden", "alice", private=True)
    same(sdk.search_rooms_by_name("hidden")["id"], hidden["id"])
    same(sdk.search_rooms_by_name("unheard of"), None)


def case_delete(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    same(sdk.delete_room(room_id), None)
    with raising("PusherNotFound"):
        sdk.get_room(room_id)
    same(sdk.get_rooms(include_private=True), [])
