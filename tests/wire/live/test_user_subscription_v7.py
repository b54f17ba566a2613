"""The user subscription of v7 (spec §10.7, §4.8)."""

from typing import Any

from tests.wire.client import CURSORS, V7, Server, fresh, pass_a_second, path_of
from tests.wire.live.client import Subscriber, Subscription
from tests.wire.split_rooms import ROOM_KEYS


def started(live: Subscriber, user: str) -> Subscription:
    """A subscription whose `initial_state` has been taken."""
    subscription = live.user("/users", user, api=V7)
    subscription.event("initial_state")
    return subscription


def room_of(subscription: Subscription) -> dict[str, Any]:
    """The room of a `room_updated`, which must come next."""
    data = subscription.data("room_updated")
    assert set(data) == {"room"}
    assert set(data["room"]) == ROOM_KEYS
    room: dict[str, Any] = data["room"]
    return room


def read_of(subscription: Subscription) -> dict[str, Any]:
    """The read state of a `read_state_updated`, which must come next."""
    data = subscription.data("read_state_updated")
    assert set(data) == {"read_state"}
    read_state: dict[str, Any] = data["read_state"]
    return read_state


def test_initial_state(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    empty = server.new_room(alice)
    full = server.new_room(
        bob, alice, private=True, custom_data={"a": [1]}, push_notification_title_override="ping", name="full"
    )
    message = server.send(full, bob)
    server.set_cursor(full, alice, 3)
    with live.user("/users", alice, api=V7) as subscription:
        state = subscription.data("initial_state")
    assert set(state) == {"current_user", "rooms", "read_states", "memberships"}
    assert state["current_user"]["id"] == alice
    rooms = {room["id"]: room for room in state["rooms"]}
    assert set(rooms) == {empty, full}
    for room_id, room in rooms.items():
        known = server.room(room_id)
        assert set(room) == ROOM_KEYS
        assert room["deleted_at"] is None
        for key in ("name", "created_by_id", "private", "created_at", "updated_at"):
            assert room[key] == known[key]
    assert rooms[full]["custom_data"] == {"a": [1]}
    assert rooms[full]["push_notification_title_override"] == "ping"
    assert rooms[full]["last_message_at"] == server.message(full, message)["created_at"]
    for key in ("custom_data", "push_notification_title_override", "last_message_at"):
        assert rooms[empty][key] is None
    memberships = {one["room_id"]: one["user_ids"] for one in state["memberships"]}
    assert memberships == {empty: [alice], full: [bob, alice]}
    reads = {one["room_id"]: one for one in state["read_states"]}
    cursor = server.user(alice).get(path_of("cursors", "0", "rooms", full, "users", alice), api=CURSORS).read()
    assert reads[full] == {"room_id": full, "unread_count": 1, "cursor": cursor}
    assert reads[empty] == {"room_id": empty, "unread_count": 0}


def test_a_new_message_updates_room_then_read_state(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    with started(live, alice) as own, started(live, bob) as other:
        for unread in (1, 2):
            message = server.send(room, alice)
            for subscription in (own, other):
                assert room_of(subscription)["last_message_at"] == server.message(room, message)["created_at"]
                assert read_of(subscription) == {"room_id": room, "unread_count": unread}


def test_a_cursor_only_updates_the_owners_read_state(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    elsewhere = server.new_room(bob)
    message = server.send(room, bob)
    with started(live, alice) as own, started(live, bob) as other:
        server.set_cursor(elsewhere, alice, 3)  # no event: she is not in it
        server.set_cursor(room, alice, message)
        read = read_of(own)
        assert (read["room_id"], read["unread_count"], read["cursor"]["position"]) == (room, 0, message)
        server.su().put(path_of("rooms", room), {"name": "renamed"}).done()
        for subscription in (own, other):
            assert room_of(subscription)["name"] == "renamed"


def test_rooms_come_and_go(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    carol = server.new_user(fresh("carol-"))
    with started(live, alice) as creator, started(live, bob) as joiner:
        room = server.new_room(alice, carol)
        added = creator.data("added_to_room")
        assert set(added) == {"room", "membership", "read_state"}
        assert set(added["room"]) == ROOM_KEYS
        assert added["membership"] == {"room_id": room, "user_ids": [alice, carol]}
        assert added["read_state"] == {"room_id": room, "unread_count": 0}
        server.user(bob).post(path_of("users", bob, "rooms", room, "join")).read(201)
        assert joiner.data("added_to_room")["membership"] == {"room_id": room, "user_ids": [alice, carol, bob]}
        assert creator.data("user_joined_room") == {"room_id": room, "user_id": bob}
        server.user(carol).post(path_of("users", carol, "rooms", room, "leave")).done()
        for subscription in (creator, joiner):
            assert subscription.data("user_left_room") == {"room_id": room, "user_id": carol}
        server.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": [bob]}).done()
        assert joiner.data("removed_from_room") == {"room_id": room}
        assert creator.data("user_left_room") == {"room_id": room, "user_id": bob}
        server.su().delete(path_of("rooms", room)).done()
        assert creator.data("room_deleted") == {"room_id": room}
        other = server.new_room(bob, alice)
        for subscription in (creator, joiner):  # and nothing of the room that he is no longer in
            assert subscription.data("added_to_room")["room"]["id"] == other


def test_several_who_are_added_are_told_one_by_one(server: Server, live: Subscriber, alice: str, room: str) -> None:
    others = [server.new_user() for _ in range(3)]
    with started(live, alice) as subscription:
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": others}).done()
        events = [subscription.event("user_joined_room") for _ in others]
    assert [event.data["user_id"] for event in events] == others
    assert len({event.id for event in events}) == 3


def test_a_deleted_user_leaves_its_rooms(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    rooms = {server.new_room(alice, bob) for _ in range(2)}
    with started(live, alice) as subscription:
        server.su().delete(path_of("users", bob)).done()
        left = [subscription.data("user_left_room") for _ in rooms]
    assert {one["room_id"] for one in left} == rooms
    assert {one["user_id"] for one in left} == {bob}


def test_members_named_at_creation_are_told_of_every_attribute(
    server: Server, live: Subscriber, alice: str, bob: str
) -> None:
    with started(live, alice) as creator, started(live, bob) as member:
        room = server.new_room(alice, bob)
        for subscription in (creator, member):
            assert subscription.data("added_to_room")["membership"] == {"room_id": room, "user_ids": [alice, bob]}
        changes: list[dict[str, object]] = [
            {"name": "renamed"},
            {"private": True},
            {"custom_data": {"a": 1}},
            {"custom_data": {}},
        ]
        for change in changes:
            server.su().put(path_of("rooms", room), change).done()
            for subscription in (creator, member):
                assert room_of(subscription).items() >= change.items()
        with live.user("/users", bob, api=V7) as later:
            (known,) = later.data("initial_state")["rooms"]
        assert (known["name"], known["private"], known["custom_data"]) == ("renamed", True, {})


def test_member_sets_stay_complete(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    """Of who was there: by the state and what came after it. Of who joins: by what it is told on joining."""
    carol, dora = server.new_user(fresh("carol-")), server.new_user(fresh("dora-"))
    room = server.new_room(alice, carol)
    with live.user("/users", alice, api=V7) as present, started(live, bob) as joiner:
        (membership,) = present.data("initial_state")["memberships"]
        members = set(membership["user_ids"])
        server.su().put(path_of("rooms", room), {"name": "renamed"}).done()
        server.send(room, carol)
        room_of(present)
        room_of(present)
        assert read_of(present)["unread_count"] == 1
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob, dora]}).done()
        members |= {present.data("user_joined_room")["user_id"] for _ in range(2)}
        told = set(joiner.data("added_to_room")["membership"]["user_ids"])
        told |= {joiner.data("user_joined_room")["user_id"] for _ in {dora} - told}
    assert members == told == set(server.room(room)["member_user_ids"]) == {alice, bob, carol, dora}


def test_a_second_later_the_last_message_has_another_time(server: Server, live: Subscriber, alice: str) -> None:
    room = server.new_room(alice)
    with started(live, alice) as subscription:
        times = []
        for wait in (pass_a_second, lambda: None):
            server.send(room, alice)
            times.append(room_of(subscription)["last_message_at"])
            read_of(subscription)
            wait()
    assert times[0] < times[1]
