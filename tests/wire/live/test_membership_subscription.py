"""The membership subscription (spec §10.8)."""

import pytest

from tests.wire import codes
from tests.wire.client import V6, Server, fresh, path_of
from tests.wire.live.client import Subscriber

V7 = "chatkit/v7"


def members_path(room: str) -> str:
    return path_of("rooms", room, "memberships")


def test_members_come_and_go(server: Server, live: Subscriber, alice: str, bob: str, room: str) -> None:
    carol = server.new_user(fresh("carol-"))
    with live.user(members_path(room), alice) as subscription:
        assert subscription.data("initial_state") == {"user_ids": [alice]}
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob, carol, alice]}).done()
        joined = [subscription.event("user_joined") for _ in range(2)]
        assert [event.data for event in joined] == [{"user_id": bob}, {"user_id": carol}]
        assert len({event.id for event in joined}) == 2
        server.user(bob).post(path_of("users", bob, "rooms", room, "leave")).done()
        assert subscription.data("user_left") == {"user_id": bob}
        server.user(bob).post(path_of("users", bob, "rooms", room, "join")).read(201)
        assert subscription.data("user_joined") == {"user_id": bob}
        server.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": [bob]}).done()
        assert subscription.data("user_left") == {"user_id": bob}
        server.su().delete(path_of("users", carol)).done()
        assert subscription.data("user_left") == {"user_id": carol}


def test_what_changes_nothing_is_no_event(server: Server, live: Subscriber, alice: str, bob: str, room: str) -> None:
    with live.user(members_path(room), alice) as subscription:
        subscription.data("initial_state")
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [alice]}).done()
        server.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": [bob]}).done()
        server.send(room, alice)
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob]}).done()
        assert subscription.data("user_joined") == {"user_id": bob}


def test_the_subscriber_is_in_the_state_and_not_announced(
    server: Server, live: Subscriber, alice: str, bob: str, room: str
) -> None:
    server.user(bob).post(path_of("users", bob, "rooms", room, "join")).read(201)
    with live.user(members_path(room), bob) as subscription:
        assert subscription.data("initial_state") == {"user_ids": [alice, bob]}
        carol = server.new_user()
        server.user(carol).post(path_of("users", carol, "rooms", room, "join")).read(201)
        assert subscription.data("user_joined") == {"user_id": carol}


def test_who_joins_can_be_looked_up_at_once(server: Server, live: Subscriber, alice: str, room: str) -> None:
    """As the SDKs do before they tell anybody."""
    carol = server.new_user(fresh("carol-"), name="Carol", custom_data={"a": 1})
    with live.user(members_path(room), alice) as subscription:
        subscription.data("initial_state")
        server.user(carol).post(path_of("users", carol, "rooms", room, "join")).read(201)
        joined = subscription.data("user_joined")["user_id"]
        (user,) = server.user(alice).get(f"/users_by_ids?id={joined}").read()
    assert (user["id"], user["name"], user["custom_data"]) == (carol, "Carol", {"a": 1})


@pytest.mark.parametrize("api", ["chatkit/v2", V6, V7])
def test_every_version_has_it(server: Server, live: Subscriber, alice: str, room: str, api: str) -> None:
    with live.user(members_path(room), alice, api=api, headers={"Last-Event-Id": "5"}) as subscription:
        assert subscription.data("initial_state") == {"user_ids": [alice]}


def test_only_members_and_servers_may(server: Server, live: Subscriber, alice: str, bob: str, room: str) -> None:
    token = server.user_token(bob)
    with live.subscribe(members_path(room), token) as subscription:
        subscription.refuses(403, codes.NOT_A_MEMBER)
    with live.subscribe(members_path(fresh()), token) as subscription:
        subscription.refuses(404, codes.ROOM_NOT_FOUND)
    with live.subscribe(members_path(room), server.server_token()) as subscription:
        assert subscription.opened().data("initial_state") == {"user_ids": [alice]}
