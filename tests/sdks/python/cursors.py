"""Read cursors."""

from typing import Any

from tests.sdks.python.checks import Sdk, make_room, make_users, raising, same, timeless


def cursor(user_id: str, room_id: str, position: int) -> dict[str, Any]:
    return {"cursor_type": 0, "user_id": user_id, "room_id": room_id, "position": position}


def case_set_and_get(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    same(sdk.get_read_cursor("alice", room_id), None)
    same(sdk.set_user_read_cursors("alice", room_id, 42), {})
    same(timeless(sdk.get_read_cursor("alice", room_id)), cursor("alice", room_id, 42))
    sdk.set_user_read_cursors("alice", room_id, 0)
    same(timeless(sdk.get_read_cursor("alice", room_id)), cursor("alice", room_id, 0))


def case_all_of_a_room_and_all_of_a_user(sdk: Sdk) -> None:
    make_users(sdk, "alice", "bob")
    one, two = (sdk.create_room(name, "alice", user_ids=["bob"])["id"] for name in ("one", "two"))
    for user_id, room_id, position in (("alice", one, 11), ("alice", two, 12), ("bob", one, 21)):
        sdk.set_user_read_cursors(user_id, room_id, position)
    of_room = sorted(sdk.get_room_read_cursor(one), key=lambda found: str(found["user_id"]))
    same([timeless(found) for found in of_room], [cursor("alice", one, 11), cursor("bob", one, 21)])
    of_user = sorted(sdk.get_user_read_cursor("alice"), key=lambda found: int(found["position"]))
    same([timeless(found) for found in of_user], [cursor("alice", one, 11), cursor("alice", two, 12)])


def case_an_unknown_room_is_not_found(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    with raising("PusherNotFound"):
        sdk.set_user_read_cursors("alice", "nowhere", 1)
