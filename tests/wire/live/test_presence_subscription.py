"""The presence subscriptions (spec §9.1), with the grace period as clients meet it."""

import time

import pytest

from tests.wire import codes
from tests.wire.client import Server, fresh, path_of
from tests.wire.live.client import Subscriber, Subscription

PRESENCE = "chatkit_presence/v2"
GRACE_SECONDS = 2.0
"""The least (spec §9.1)."""
RECONNECTIONS = 40


def registered(live: Subscriber, user: str) -> Subscription:
    return live.user(path_of("users", user, "register"), user, api=PRESENCE)


def watched(live: Subscriber, user: str, by: str) -> Subscription:
    return live.user(path_of("users", user), by, api=PRESENCE)


def state(subscription: Subscription) -> str:
    data = subscription.data("presence_state")
    assert set(data) == {"state"}
    return str(data["state"])


def test_a_user_comes_and_goes(live: Subscriber, alice: str, bob: str) -> None:
    with watched(live, bob, alice) as watching:
        assert state(watching) == "offline"
        with registered(live, bob):
            assert state(watching) == "online"
            with registered(live, bob):  # in another tab
                pass
            with watched(live, bob, bob) as own:
                assert state(own) == "online"
            left = time.monotonic()
        with watched(live, bob, alice) as late:
            found = state(late)
            assert found == "online" or time.monotonic() - left > GRACE_SECONDS
            assert found == "offline" or state(late) == "offline"
        assert state(watching) == "offline"
        assert time.monotonic() - left > GRACE_SECONDS


@pytest.mark.thorough
def test_connecting_again_at_once_is_not_noticed(live: Subscriber, alice: str, bob: str) -> None:
    """Dozens of times; and each change that is one is told once."""
    with watched(live, bob, alice) as watching:
        assert state(watching) == "offline"
        longest = 0.0
        connected = registered(live, bob)
        for _ in range(RECONNECTIONS):
            left = time.monotonic()
            connected.close()
            connected = registered(live, bob)
            longest = max(longest, time.monotonic() - left)
        connected.close()
        seen = [state(watching), state(watching)]
        with registered(live, bob):
            seen.append(state(watching))
    assert seen == ["online", "offline", "online"] or longest > GRACE_SECONDS  # on so slow a machine it may be


def test_unknown_users_are_offline_and_cannot_register(server: Server, live: Subscriber, alice: str) -> None:
    nobody = fresh("nobody-")
    for user in (alice, nobody):
        with watched(live, nobody, user) as watching:
            assert state(watching) == "offline"
    with live.subscribe(path_of("users", nobody, "register"), server.user_token(nobody), api=PRESENCE) as registering:
        assert registering.refuses(404, codes.USER_NOT_FOUND) == "The requested user does not exist"


def test_users_register_themselves_only(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    path = path_of("users", bob, "register")
    with live.subscribe(path, server.user_token(alice), api=PRESENCE) as registering:
        registering.refuses(401, codes.INVALID_SUBJECT)
    with live.subscribe(path, server.server_token(), api=PRESENCE) as registering:
        registering.opened()
    with live.subscribe(path, "nonsense", api=PRESENCE) as registering:
        registering.refuses(401, codes.JWT_INVALID)


@pytest.mark.parametrize("user_id", ["a b", "a/b#c", "ü🙂"])
def test_ids_hold_anything(server: Server, live: Subscriber, user_id: str) -> None:
    user = server.new_user(fresh(user_id))
    with registered(live, user), live.user(path_of("users", user), user, api="chatkit_presence/v1") as watching:
        assert state(watching) == "online"
