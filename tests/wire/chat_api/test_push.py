"""Web push: a browser registers, and is told of new messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import PRIVATE_KEY, PUBLIC_KEY, SUBJECT, Browser, sender_of
from tests.support.receiver import receiver
from tests.support.server import running_server
from tests.wire.chat_api.client import (
    NOT_ALLOWED,
    UNAUTHORIZED,
    UUID,
    Api,
    Person,
    done,
    person,
    refused,
    refused_json,
)
from tests.wire.client import Server, fresh

SETTINGS = {
    "ROOMLINE_PUSH_VAPID_KEY": PRIVATE_KEY,
    "ROOMLINE_PUSH_SUBJECT": SUBJECT,
    "ROOMLINE_OUTBOUND_ALLOW_PRIVATE": "true",
}
BROWSER_KEYS = {"id", "endpoint", "created_at", "updated_at", "expires_at"}

pytestmark = pytest.mark.skipif(
    "ROOMLINE_WIRE_URL" in os.environ, reason="needs servers with settings of their own, and one without any"
)


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that sends web pushes."""
    with (
        running_server(tmp_path_factory.mktemp("push"), env=SETTINGS) as running,
        Server(running.http, running.instance_locator, running.key, running.ca_file) as server,
    ):
        yield server


@pytest.fixture
def ada(pushing: Server) -> Person:
    return person(pushing, "Ada")


@pytest.fixture
def bea(pushing: Server) -> Person:
    return person(pushing, "Bea", "Brown")


def subscribe(api: Api, browser: Browser, **fields: object) -> Any:
    """Register a browser; return it as the API shows it."""
    answer = api.post("push.subscribe", {**browser.as_json(), **fields}).read()
    assert set(answer) == {"ok", "subscription"}
    assert set(answer["subscription"]) == BROWSER_KEYS
    return answer["subscription"]


def somewhere() -> Browser:
    """One that nothing can reach."""
    return Browser(f"https://127.0.0.1:9/{fresh()}")


async def test_a_browser_is_told(pushing: Server, ada: Person, bea: Person) -> None:
    key = ada.get("push.key").read()
    assert key == {"ok": True, "key": PUBLIC_KEY}
    async with receiver() as service:
        browser = Browser(f"{service.url}/send/1")
        subscribe(ada, browser)
        cid = ada.open(bea.id)["id"]
        bea.say(cid, "see you at nine")
        (posted,) = await service.until(bool)
        room_id = browser.read(posted)["data"]["chatkit"]["roomId"]
        assert browser.read(posted)["notification"] == {
            "title": "Bea Brown",
            "body": "see you at nine",
            "icon": "https://pusher.com/favicon.ico",
            "deep_link": f"https://pusher.com?ck_room_id={room_id}",
        }
        assert sender_of(posted, key["key"])["sub"] == SUBJECT

        done(ada.post("push.unsubscribe", browser.as_json()))
        other = Browser(f"{service.url}/send/2")
        subscribe(ada, other)
        bea.say(cid, "and at ten")
        await service.until(lambda all_posted: len(all_posted) == 2)
        assert [one.path for one in service.posted] == ["/send/1", "/send/2"]


async def test_a_chatkit_user_is_told_too(pushing: Server) -> None:
    alice, bob = pushing.new_user(fresh("alice-")), pushing.new_user(fresh("bob-"))
    room_id = pushing.new_room(bob, alice, private=True)
    async with receiver() as service:
        browser = Browser(f"{service.url}/send")
        subscribe(Api(pushing, pushing.user_token(alice)), browser)
        pushing.send(room_id, bob)
        (posted,) = await service.until(bool)
        assert browser.read(posted)["data"] == {"chatkit": {"roomId": room_id}}


def test_registering_listing_and_ending(ada: Person) -> None:
    first, second = somewhere(), somewhere()
    made = subscribe(ada, first, expirationTime=None, more="is ignored")
    assert UUID.fullmatch(made["id"])
    assert (made["endpoint"], made["expires_at"]) == (first.endpoint, None)
    later = subscribe(ada, second, expirationTime=4_102_444_800_000.5)
    assert later["expires_at"] == 4_102_444_800_000
    assert type(later["expires_at"]) is int
    again = subscribe(ada, first)
    assert {**again, "updated_at": made["updated_at"]} == made
    assert ada.get("push.list").read() == [again, later]
    done(ada.post("push.unsubscribe", {"id": made["id"]}))
    done(ada.post("push.unsubscribe", {"id": made["id"]}))
    done(ada.post("push.unsubscribe", {"endpoint": second.endpoint}))
    assert ada.get("push.list").read() == []


def test_a_browser_belongs_to_one_person(ada: Person, bea: Person) -> None:
    browser = somewhere()
    made = subscribe(ada, browser)
    done(bea.post("push.unsubscribe", {"id": made["id"]}))
    done(bea.post("push.unsubscribe", {"endpoint": browser.endpoint}))
    assert ada.get("push.list").read() == [made], "nobody else ends it"
    hers = subscribe(bea, browser)
    assert hers["id"] != made["id"]
    assert ada.get("push.list").read() == []


POINT = "an uncompressed point on the curve P-256, 65 bytes"
GOOD = somewhere().as_json()


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"endpoint": None}, "missing field `endpoint`"),
        ({"endpoint": 7}, "endpoint: expected a string"),
        ({"endpoint": "https://[::1"}, "endpoint: the https URL of a push service on the internet"),
        ({"endpoint": "https://169.254.169.254/"}, "endpoint: the https URL of a push service on the internet"),
        ({"endpoint": "https://example.org/" + "x" * 2048}, "endpoint: at most 2048 characters"),
        ({"keys": None}, "missing field `keys`"),
        ({"keys": []}, "keys: expected an object"),
        ({"keys": {"p256dh": GOOD["keys"]["p256dh"]}}, "missing field `keys.auth`"),
        ({"keys": {**GOOD["keys"], "auth": "not base64!"}}, "keys.auth: expected base64url"),
        ({"keys": {**GOOD["keys"], "auth": "AAAA"}}, "keys.auth: 16 bytes"),
        (
            {"keys": {**GOOD["keys"], "p256dh": "A" * 87}},
            "keys.p256dh: an uncompressed point on the curve P-256, 65 bytes",
        ),
        ({"keys": {**GOOD["keys"], "p256dh": ""}}, "missing field `keys.p256dh`"),
        ({"expirationTime": "tomorrow"}, "expirationTime: expected milliseconds since the Unix epoch"),
        ({"expirationTime": -1}, "expirationTime: expected milliseconds since the Unix epoch"),
        ({"expirationTime": True}, "expirationTime: expected milliseconds since the Unix epoch"),
    ],
)
def test_what_no_browser_gives(ada: Person, change: dict[str, Any], detail: str) -> None:
    assert refused_json(ada.post("push.subscribe", {**GOOD, **change})) == detail


def test_ending_needs_a_name(ada: Person) -> None:
    assert refused_json(ada.post("push.unsubscribe", {})) == "missing field `endpoint`"
    assert refused_json(ada.post("push.unsubscribe", {"id": "7"})) == "id: expected a UUID"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "push.key"), ("GET", "push.list"), ("POST", "push.subscribe"), ("POST", "push.unsubscribe")],
)
def test_strangers_are_refused(pushing: Server, method: str, path: str) -> None:
    assert refused(Api(pushing).call(method, path, GOOD if method == "POST" else None)) == UNAUTHORIZED


def test_a_token_without_a_user_registers_nobody(pushing: Server) -> None:
    assert refused(Api(pushing, pushing.server_token()).post("push.subscribe", GOOD)) == NOT_ALLOWED


def test_a_server_without_a_key_says_so(anna: Person) -> None:
    assert refused(anna.get("push.key")) == (404, "push_not_configured")
    assert refused(anna.post("push.subscribe", GOOD)) == (404, "push_not_configured")
    assert anna.get("push.list").read() == []
