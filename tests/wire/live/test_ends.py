"""What ends a subscription from outside: rooms and users that go, and those who may not follow any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, Server, path_of
from tests.wire.live.client import Subscriber, Subscription

PRESENCE = "chatkit_presence/v2"

Opener = Callable[[Subscriber, str, str], Subscription]
"""Opens a subscription to a room with a user's token."""

OF_ROOMS: dict[str, Opener] = {
    "messages": lambda live, room, user: live.user(path_of("rooms", room) + "?message_limit=0", user),
    "messages as text": lambda live, room, user: live.user(path_of("rooms", room), user, api="chatkit/v2"),
    "members": lambda live, room, user: _started(live.user(path_of("rooms", room, "memberships"), user)),
    "cursors": lambda live, room, user: _started(live.user(path_of("cursors", "0", "rooms", room), user, api=CURSORS)),
}

OF_USERS: dict[str, Opener] = {
    "user": lambda live, _, user: _started(live.user("/users", user)),
    "user v7": lambda live, _, user: _started(live.user("/users", user, api="chatkit/v7")),
    "own cursors": lambda live, _, user: _started(live.user(path_of("cursors", "0", "users", user), user, api=CURSORS)),
    "register": lambda live, _, user: live.user(path_of("users", user, "register"), user, api=PRESENCE),
    "notifications": lambda live, _, user: live.user(path_of("users", user), user, api="chatkit_push_notifications/v1"),
}


def _started(subscription: Subscription) -> Subscription:
    subscription.event("initial_state")
    return subscription


@pytest.fixture(params=OF_ROOMS)
def of_room(request: pytest.FixtureRequest) -> Opener:
    """One sort of subscription to a room."""
    return OF_ROOMS[request.param]


@pytest.fixture(params=[*OF_ROOMS, *OF_USERS])
def of_anything(request: pytest.FixtureRequest) -> Opener:
    """One sort of subscription."""
    return {**OF_ROOMS, **OF_USERS}[request.param]


def test_a_deleted_room(server: Server, live: Subscriber, of_room: Opener, alice: str, room: str) -> None:
    with of_room(live, room, alice) as subscription:
        server.su().delete(path_of("rooms", room)).done()
        assert subscription.ends(404, codes.ROOM_NOT_FOUND).status == 404


@pytest.mark.parametrize("way", ["leave", "remove"])
def test_a_member_who_goes(server: Server, live: Subscriber, of_room: Opener, alice: str, bob: str, way: str) -> None:
    room = server.new_room(alice, bob, private=True)
    with of_room(live, room, bob) as gone, of_room(live, room, alice) as stays:
        if way == "leave":
            server.user(bob).post(path_of("users", bob, "rooms", room, "leave")).done()
        else:
            server.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": [bob]}).done()
        end = gone.receive()
        assert end[0] == 403, end
        assert str(end[1]).endswith("forbidden/not_a_member")
        server.su().delete(path_of("rooms", room)).done()
        while (event := stays.receive())[0] != 404:
            assert event[1] == "user_left"


def test_a_deleted_user(server: Server, live: Subscriber, of_anything: Opener, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    with of_anything(live, room, bob) as subscription:
        server.su().delete(path_of("users", bob)).done()
        assert "does not exist" in subscription.ends(404, codes.USER_NOT_FOUND).description


@pytest.mark.parametrize("api", ["chatkit/v6", "chatkit/v7"])
def test_a_deleted_user_is_told_of_the_end_only_on_every_device(
    server: Server, live: Subscriber, alice: str, bob: str, api: str
) -> None:
    server.new_room(alice, bob)
    with live.user("/users", bob, api=api) as first, live.user("/users", bob, api=api) as second:
        for device in (first, second):
            device.event("initial_state")
        server.su().delete(path_of("users", bob)).done()
        for device in (first, second):
            device.ends(404, codes.USER_NOT_FOUND)


def test_a_server_stays_when_the_user_goes_that_it_acts_as(
    server: Server, live: Subscriber, alice: str, bob: str, room: str
) -> None:
    token = server.server_token(bob)
    with live.subscribe(path_of("rooms", room), token).opened() as subscription:
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob]}).done()
        server.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": [bob]}).done()
        server.su().delete(path_of("users", bob)).done()
        message = server.send(room, alice)
        assert subscription.data("new_message")["id"] == message
