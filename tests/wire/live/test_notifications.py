"""The notification subscription and the token beside it (spec §10.12, §10.13)."""

import base64
import json
from typing import Any

from tests.wire import codes
from tests.wire.client import Server, fresh, inline, link, path_of
from tests.wire.live.client import Subscriber, Subscription

PUSH = "chatkit_push_notifications/v1"
BEAMS = "chatkit_beams_token_provider/v1"


def notified(live: Subscriber, user: str) -> Subscription:
    return live.user(path_of("users", user), user, api=PUSH)


def notification(subscription: Subscription, room: str) -> dict[str, Any]:
    """The next notification, which is of the room."""
    data = subscription.data("push_notification")
    assert data["data"] == {"chatkit": {"roomId": room}}
    assert set(data) == {"notification", "data"}
    found: dict[str, Any] = data["notification"]
    assert set(found) == {"title", "body", "icon", "deep_link"}
    assert found["icon"] == "https://pusher.com/favicon.ico"
    assert found["deep_link"] == f"https://pusher.com?ck_room_id={room}"
    return found


def test_two_in_a_room(server: Server, live: Subscriber, alice: str) -> None:
    bob = server.new_user(fresh("bob-"), name="Bob")
    room = server.new_room(alice, bob, private=True, name="ours")
    public = server.new_room(alice, bob)
    with notified(live, alice) as subscription:
        server.send(public, bob)
        server.send(room, alice)
        server.send(room, bob, inline("hello"))
        found = notification(subscription, room)
        assert (found["title"], found["body"]) == ("Bob", "hello")


def test_more_in_a_room(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    carol = server.new_user(fresh("carol-"), name="Carol")
    room = server.new_room(alice, bob, carol, private=True, name="all of us")
    with notified(live, alice) as first, notified(live, bob) as second:
        server.send(room, carol, inline("hello"))
        for subscription in (first, second):
            found = notification(subscription, room)
            assert (found["title"], found["body"]) == ("all of us", "Carol: hello")


def test_the_title_override_replaces_the_title(server: Server, live: Subscriber, alice: str) -> None:
    bob = server.new_user(fresh("bob-"), name="Bob")
    room = server.new_room(alice, bob, private=True, push_notification_title_override="ping")
    with notified(live, alice) as subscription:
        server.send(room, bob, inline("hello"))
        found = notification(subscription, room)
        assert (found["title"], found["body"]) == ("ping", "hello")


def test_the_body_is_the_first_text(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, private=True)
    with notified(live, alice) as subscription:
        server.send(room, bob, link(), inline("<b>", "text/html"), inline("first"), inline("second"))
        server.send(room, bob, link())
        server.send(room, bob, inline("x" * 140))
        server.send(room, bob, inline("x" * 141))
        bodies = [notification(subscription, room)["body"] for _ in range(4)]
    assert bodies == ["first", "📎", "x" * 140, "x" * 140 + "…"]


def test_it_is_for_the_user_itself(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    with live.subscribe(path_of("users", alice), server.user_token(bob), api=PUSH) as subscription:
        subscription.refuses(401, codes.INVALID_SUBJECT)
    unknown = fresh()
    with live.subscribe(path_of("users", unknown), server.user_token(unknown), api=PUSH) as subscription:
        subscription.refuses(404, codes.USER_NOT_FOUND)


def test_a_beams_token(server: Server, alice: str, bob: str) -> None:
    path = f"/beams-tokens?user_id={alice}"
    token = server.user(alice).get(path, api=BEAMS).read()["token"]
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == alice
    server.user(bob).get(path, api=BEAMS).fails(401, codes.INVALID_SUBJECT)
    server.user(alice).get("/beams-tokens", api=BEAMS).fails(400)
    server.nobody.get(path, api=BEAMS).fails(401, codes.MISSING_TOKEN)
    server.bearer(token).get(path, api=BEAMS).fails(401, codes.JWT_INVALID)
    assert server.su().get(path, api=BEAMS).read()["token"]
