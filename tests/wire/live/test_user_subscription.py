"""The user subscription of v2 to v6 (spec §10.6), unread counts with it (spec §4.9)."""

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V6, Server, fresh, path_of
from tests.wire.live.client import Subscriber, Subscription

STORED = ("id", "name", "created_by_id", "private", "created_at", "updated_at")


def started(live: Subscriber, user: str) -> Subscription:
    """A subscription whose `initial_state` has been taken."""
    subscription = live.user("/users", user)
    subscription.event("initial_state")
    return subscription


def room_of(subscription: Subscription, name: str) -> dict[str, object]:
    """The room in the next event, which has nothing else."""
    data = subscription.data(name)
    assert set(data) == {"room"}
    room: dict[str, object] = data["room"]
    assert set(STORED) | {"unread_count"} <= set(room)
    assert "member_user_ids" not in room
    return room


@pytest.mark.parametrize("api", ["chatkit/v2", "chatkit/v3", "chatkit/v5", V6])
def test_initial_state_has_the_user_its_rooms_and_cursors(
    server: Server, live: Subscriber, alice: str, room: str, api: str
) -> None:
    message = server.send(room, alice)
    server.set_cursor(room, alice, 17)
    with live.user("/users", alice, api=api, headers={"Last-Event-Id": "1"}) as subscription:
        state = subscription.data("initial_state")
    assert set(state) == {"current_user", "rooms", "cursors"}
    assert state["current_user"] == server.su().get(path_of("users", alice)).read()
    known = server.rooms_of(alice)[room]
    del known["member_user_ids"]
    assert state["rooms"] == [known]
    assert known["unread_count"] == 1
    assert known["last_message_at"] == server.message(room, message)["created_at"]
    assert state["cursors"] == server.user(alice).get(path_of("cursors", "0", "users", alice), api=CURSORS).read()
    assert state["cursors"][0]["position"] == 17


def test_a_new_user_has_nothing(live: Subscriber, alice: str) -> None:
    with live.user("/users", alice) as subscription:
        state = subscription.data("initial_state")
    assert (state["rooms"], state["cursors"]) == ([], [])


def test_a_new_message_updates_the_room_once_for_each_member(
    server: Server, live: Subscriber, alice: str, bob: str
) -> None:
    room = server.new_room(alice, bob)
    with started(live, alice) as own, started(live, bob) as other:
        for unread in (1, 2, 3):
            message = server.send(room, alice)
            for subscription in (own, other):
                updated = room_of(subscription, "room_updated")
                assert updated["unread_count"] == unread
                assert updated["last_message_at"] == server.message(room, message)["created_at"]


def test_a_created_room_is_added_for_every_member(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    with started(live, alice) as creator, started(live, bob) as member:
        room = server.new_room(alice, bob, private=True, custom_data={"a": 1}, name="ours")
        for subscription in (creator, member):
            added = room_of(subscription, "added_to_room")
            known = server.rooms_of(alice)[room]
            del known["member_user_ids"]
            assert added == known
            assert added["unread_count"] == 0
            assert "last_message_at" not in added
            assert "push_notification_title_override" not in added


def test_whoever_is_added_gets_the_room_as_it_is(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice)
    message = server.send(room, alice)
    with started(live, alice) as present, started(live, bob) as joiner:
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob]}).done()
        added = room_of(joiner, "added_to_room")
        assert added["id"] == room
        assert added["unread_count"] == 1
        assert added["last_message_at"] == server.message(room, message)["created_at"]
        server.send(room, alice)
        for subscription in (present, joiner):  # who was present hears of the message only
            assert room_of(subscription, "room_updated")["unread_count"] == 2


def test_join_and_leave(server: Server, live: Subscriber, alice: str, bob: str, room: str) -> None:
    with started(live, alice) as present, started(live, bob) as subscription:
        for _ in range(2):
            server.user(bob).post(path_of("users", bob, "rooms", room, "join")).read(201)
        assert room_of(subscription, "added_to_room")["id"] == room
        server.user(bob).post(path_of("users", bob, "rooms", room, "leave")).done()
        assert subscription.data("removed_from_room") == {"room_id": room}
        server.send(room, alice)
        assert room_of(present, "room_updated")["unread_count"] == 1
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob]}).done()
        assert room_of(subscription, "added_to_room")["unread_count"] == 1
        server.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": [bob]}).done()
        assert subscription.data("removed_from_room") == {"room_id": room}


def test_an_update_has_the_whole_room(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, push_notification_title_override="ping")
    server.send(room, alice)
    with started(live, alice) as updater, started(live, bob) as other:
        path = path_of("rooms", room)
        server.su().put(path, {"name": "renamed", "private": True, "custom_data": {}}).done()
        server.su().put(path, {}).done()
        server.su().put(path, {"push_notification_title_override": None}).done()
        for subscription in (updater, other):
            first, second = (room_of(subscription, "room_updated") for _ in range(2))
            assert (first["name"], first["private"], first["custom_data"]) == ("renamed", True, {})
            assert first["push_notification_title_override"] == "ping"
            assert first["unread_count"] == 1
            assert "last_message_at" in first
            known = server.rooms_of(alice)[room]
            del known["member_user_ids"]
            assert second == known


def test_what_is_unset_stays_absent_in_updates(server: Server, live: Subscriber, alice: str, room: str) -> None:
    with started(live, alice) as subscription:
        for change in ({"name": "renamed"}, {"private": True}):
            server.su().put(path_of("rooms", room), change).done()
            updated = room_of(subscription, "room_updated")
            assert updated.items() >= change.items()
            assert set(updated) == {*STORED, "unread_count"}


def test_a_deleted_room(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    with started(live, alice) as first, started(live, bob) as second:
        server.su().delete(path_of("rooms", room)).done()
        other = server.new_room(alice, bob)
        for subscription in (first, second):
            assert subscription.data("room_deleted") == {"room_id": room}
            assert room_of(subscription, "added_to_room")["id"] == other


def test_a_cursor_that_is_set(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    messages = [server.send(room, bob) for _ in range(3)]
    with started(live, alice) as first_device, started(live, alice) as second_device, started(live, bob) as other:
        for position, unread in ((messages[0], 2), (messages[2], 0), (messages[1], 1), (2_000_000_000, 0), (5, 3)):
            server.set_cursor(room, alice, position)
            for subscription in (first_device, second_device):
                cursor = subscription.data("new_cursor")
                assert set(cursor) == {"cursor_type", "room_id", "user_id", "position", "updated_at"}
                assert (cursor["room_id"], cursor["user_id"], cursor["position"]) == (room, alice, position)
                updated = room_of(subscription, "room_updated")
                assert updated["unread_count"] == unread
                assert updated["last_message_at"] == server.message(room, messages[2])["created_at"]
        server.send(room, bob)
        assert room_of(other, "room_updated")["unread_count"] == 4


def test_a_cursor_in_a_room_one_is_not_in(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(bob)
    with started(live, alice) as subscription:
        server.set_cursor(room, alice, 4)
        assert subscription.data("new_cursor")["position"] == 4
        server.set_cursor(room, alice, 5)
        assert subscription.data("new_cursor")["position"] == 5


def test_what_a_cursor_leaves_unread(server: Server, live: Subscriber, alice: str, room: str) -> None:
    with started(live, alice) as subscription:
        first = server.send(room, alice)
        assert room_of(subscription, "room_updated")["unread_count"] == 1
        server.set_cursor(room, alice, first)
        assert subscription.data("new_cursor")["position"] == first
        assert room_of(subscription, "room_updated")["unread_count"] == 0
        server.send(room, alice)
        assert room_of(subscription, "room_updated")["unread_count"] == 1
        server.set_cursor(room, alice, first + 1_000)  # ahead of messages that are still to come
        assert subscription.data("new_cursor")["position"] == first + 1_000
        assert room_of(subscription, "room_updated")["unread_count"] == 0
        server.send(room, alice)
        assert room_of(subscription, "room_updated")["unread_count"] == 0


def test_a_deletion_is_told_with_the_next_change(server: Server, live: Subscriber, alice: str, room: str) -> None:
    with started(live, alice) as subscription:
        kept, deleted = server.send(room, alice), server.send(room, alice)
        assert [room_of(subscription, "room_updated")["unread_count"] for _ in range(2)] == [1, 2]
        server.su().delete(path_of("rooms", room, "messages", str(deleted))).done()
        server.su().put(path_of("rooms", room), {"name": "next"}).done()
        updated = room_of(subscription, "room_updated")
        assert (updated["name"], updated["unread_count"]) == ("next", 1)
        assert updated["last_message_at"] == server.message(room, kept)["created_at"]
        server.su().delete(path_of("rooms", room, "messages", str(kept))).done()
        with live.user("/users", alice) as later:
            (known,) = later.data("initial_state")["rooms"]
            assert known["unread_count"] == 0
            assert "last_message_at" not in known


def test_nothing_follows_the_state_unless_it_happens(
    server: Server, live: Subscriber, alice: str, bob: str, room: str
) -> None:
    server.send(room, alice)
    server.set_cursor(room, alice, 1)
    with started(live, alice) as subscription:
        message = server.send(server.new_room(bob), bob)  # not hers
        server.su().put(path_of("users", alice), {"name": "renamed"}).done()
        server.su(alice).put(path_of("rooms", room, "users", "add"), {"user_ids": [alice]}).done()
        own = server.send(room, alice)
        body = {"parts": [{"type": "text/plain", "content": "edited"}]}
        server.su(alice).put(path_of("rooms", room, "messages", str(own)), body).done()
        assert message < own
        assert room_of(subscription, "room_updated")["unread_count"] == 2
        server.su().put(path_of("rooms", room), {"name": "last"}).done()
        assert room_of(subscription, "room_updated")["name"] == "last"


def test_event_ids_rise(server: Server, live: Subscriber, alice: str, room: str) -> None:
    with live.user("/users", alice) as subscription:
        ids = [int(subscription.event("initial_state").id)]
        server.set_cursor(room, alice, 1)
        ids += [int(subscription.event(name).id) for name in ("new_cursor", "room_updated")]
        with live.user("/users", alice) as second:
            ids.append(int(second.event("initial_state").id))
        server.send(room, alice)
        ids.append(int(subscription.event("room_updated").id))
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("api", ["chatkit/v2", V6, "chatkit/v7"])
def test_an_unknown_user_is_told_so(server: Server, live: Subscriber, api: str) -> None:
    with live.subscribe("/users", server.user_token(fresh()), api=api) as subscription:
        description = subscription.refuses(404, codes.USER_NOT_FOUND)
    assert description == "The requested user does not exist"


@pytest.mark.parametrize("api", [V6, "chatkit/v7"])
def test_a_server_needs_a_user_to_be(server: Server, live: Subscriber, alice: str, api: str) -> None:
    with live.subscribe("/users", server.server_token(), api=api) as subscription:
        subscription.refuses(422, codes.VALIDATION_FAILED)
    with live.subscribe("/users", server.server_token(alice), api=api) as subscription:
        assert subscription.opened().data("initial_state")["current_user"]["id"] == alice


def test_bad_tokens(server: Server, live: Subscriber, alice: str) -> None:
    refused = {
        "rubbish": codes.JWT_INVALID,
        server.user_token(alice, instance="another"): codes.JWT_INVALID,
        server.user_token(alice, refresh=True): codes.JWT_INVALID,
        server.user_token(alice, exp=1): codes.TOKEN_EXPIRED,
    }
    for token, code in refused.items():
        with live.subscribe("/users", token) as subscription:
            subscription.refuses(401, code)
