"""Whatever comes in, the server answers with a good answer or a good error, and goes on (spec §11)."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V6, Caller, Reply, Server, fresh, inline, link, path_of
from tests.wire.files import FILES

pytestmark = pytest.mark.thorough


PROVIDER = "chatkit_token_provider/v1"
MEBIBYTE = 1024 * 1024

fuzz = settings(
    max_examples=40 if os.environ.get("REQUIRE_ALL") == "1" else 8,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Place:
    """The entities that paths name."""

    alice: str
    bob: str
    room: str
    message: int

    def fill(self, path: str) -> str:
        """Put the ids into a path."""
        return path.format(alice=self.alice, bob=self.bob, room=self.room, message=self.message)


def nowhere() -> Place:
    """Name entities that do not exist."""
    return Place(fresh(), fresh(), fresh(), 2**31 - 1)


@pytest.fixture
def place(server: Server, alice: str, bob: str, room: str) -> Place:
    return Place(alice, bob, room, server.send(room, alice))


@pytest.fixture(autouse=True)
def _goes_on(server: Server) -> Iterator[None]:
    """Check after each test that the server still does its work."""
    yield
    server.new_user()


def check(reply: Reply) -> None:
    """Accept a success, or a refusal with the exact error body."""
    if 200 <= reply.status < 300:
        if reply.status != 204:
            reply.read(reply.status)
    else:
        assert 400 <= reply.status < 500
        reply.fails(reply.status)


WRITES = [
    ("POST", V6, "/users"),
    ("POST", V6, "/batch_users"),
    ("PUT", V6, "/users/{alice}"),
    ("DELETE", V6, "/users/{bob}"),
    ("POST", V6, "/rooms"),
    ("PUT", V6, "/rooms/{room}"),
    ("POST", V6, "/users/{bob}/rooms/{room}/join"),
    ("POST", V6, "/users/{bob}/rooms/{room}/leave"),
    ("PUT", V6, "/rooms/{room}/users/add"),
    ("PUT", V6, "/rooms/{room}/users/remove"),
    ("POST", V2, "/rooms/{room}/messages"),
    ("POST", V6, "/rooms/{room}/messages"),
    ("PUT", V2, "/rooms/{room}/messages/{message}"),
    ("PUT", V6, "/rooms/{room}/messages/{message}"),
    ("DELETE", V6, "/rooms/{room}/messages/{message}"),
    ("DELETE", V2, "/messages/{message}"),
    ("PUT", CURSORS, "/cursors/0/rooms/{room}/users/{alice}"),
    ("POST", V6, "/rooms/{room}/attachments"),
    ("POST", FILES, "/rooms/{room}/users/{alice}/files/x"),
    ("POST", PROVIDER, "/token"),
]
READS = [
    (V6, "/users"),
    (V6, "/users_by_ids"),
    (V6, "/users/{alice}"),
    (V6, "/users/{alice}/rooms"),
    (V6, "/rooms"),
    (V6, "/rooms/{room}"),
    (V2, "/rooms/{room}/messages"),
    (V6, "/rooms/{room}/messages"),
    (V6, "/rooms/{room}/messages/{message}"),
    (V6, "/rooms/{room}/attachments/{message}"),
    (CURSORS, "/cursors/0/rooms/{room}/users/{alice}"),
    (CURSORS, "/cursors/0/users/{alice}"),
    (CURSORS, "/cursors/0/rooms/{room}"),
]
JSON_WRITES = [write for write in WRITES if write[0] != "DELETE" and write[1] != FILES]
every_write = pytest.mark.parametrize(("method", "api", "path"), WRITES)

USER_FIELDS = ["id", "name", "avatar_url", "custom_data", "users"]
ROOM_FIELDS = ["private", "push_notification_title_override", "user_ids", "position"]
MESSAGE_FIELDS = ["text", "attachment", "resource_link", "type", "parts", "content", "url", "sender_id"]
FILE_FIELDS = ["content_type", "content_length", "customData"]
TOKEN_FIELDS = ["user_id", "grant_type", "refresh_token"]
FIELDS = st.sampled_from(USER_FIELDS + ROOM_FIELDS + MESSAGE_FIELDS + FILE_FIELDS + TOKEN_FIELDS)
LISTING = ["from_ts", "limit", "id", "user_ids", "joinable", "from_id", "include_private"]
PARAMETERS = st.sampled_from([*LISTING, "initial_id", "direction", "user_id", "unknown"])
CLAIMS = st.sampled_from(["instance", "iss", "sub", "su", "iat", "exp", "nbf", "refresh"])
TEXTS = st.text(st.characters(), max_size=12)
"""Any text, with lone surrogates and NUL."""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS | TEXTS, inner, max_size=5)
)


@every_write
@fuzz
@given(body=VALUES)
def test_any_json_is_answered(server: Server, place: Place, method: str, api: str, path: str, body: object) -> None:
    check(server.su(place.alice).call(method, place.fill(path), json.dumps(body).encode(), api))


@every_write
@fuzz
@given(changes=st.dictionaries(FIELDS, VALUES, min_size=1, max_size=2))
def test_a_good_body_with_any_changes_is_answered(
    server: Server, place: Place, method: str, api: str, path: str, changes: dict[str, object]
) -> None:
    # Unknown fields are ignored, so one body is good for every call.
    user = {"id": fresh(), "name": "x"}
    message = {"text": "x", "parts": [inline(), link()], "position": 1}
    token = {"user_id": place.alice, "grant_type": "client_credentials"}
    good = {**user, "users": [user], "user_ids": [place.bob], **message, **token}
    check(server.su(place.alice).call(method, place.fill(path), {**good, **changes}, api))


@every_write
@fuzz
@given(body=st.binary(max_size=40))
def test_any_bytes_are_answered(server: Server, place: Place, method: str, api: str, path: str, body: bytes) -> None:
    check(server.su(place.alice).call(method, place.fill(path), body, api))


@pytest.mark.parametrize(("api", "path"), READS)
@fuzz
@given(pairs=st.lists(st.tuples(PARAMETERS, st.binary(max_size=12)), max_size=4))
def test_any_query_is_answered(
    server: Server, place: Place, api: str, path: str, pairs: list[tuple[str, bytes]]
) -> None:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    check(server.user(place.alice).get(f"{place.fill(path)}?{query}", api=api))


@pytest.mark.parametrize(
    ("api", "path"),
    [(V6, "/"), (V6, "/users/"), (V6, "/rooms/"), (V6, "/rooms/{room}/messages/"), (CURSORS, "/cursors/0/rooms/")],
)
@fuzz
@given(segments=st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=3))
def test_any_path_is_answered(server: Server, place: Place, api: str, path: str, segments: list[bytes]) -> None:
    tail = "/".join(quote(segment, safe="") for segment in segments)
    check(server.su().get(place.fill(path) + tail, api=api))


@fuzz
@given(authorization=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_any_authorization_is_refused(server: Server, authorization: str) -> None:
    Caller(server, authorization.strip()).get("/users").fails(401)


@fuzz
@given(claims=st.dictionaries(CLAIMS, VALUES))
def test_any_claims_are_answered(server: Server, claims: dict[str, object]) -> None:
    check(server.bearer(server.token(**claims)).get("/users?limit=1"))


@every_write
def test_unknown_ids_are_answered(server: Server, alice: str, method: str, api: str, path: str) -> None:
    body = {"name": "x", "user_ids": [fresh()], "text": "x", "position": 1}
    check(server.su(alice).call(method, nowhere().fill(path), body, api))


@pytest.mark.parametrize(("api", "path"), READS)
def test_unknown_ids_are_answered_on_reads(server: Server, api: str, path: str) -> None:
    check(server.su().get(nowhere().fill(path), api=api))


@every_write
def test_wrong_versions_are_not_found(server: Server, method: str, api: str, path: str) -> None:
    for version in ("v0", "v99", "", "vX"):
        wrong_api = re.sub(r"[^/]*$", version, api)
        reply = server.su(fresh()).call(method, nowhere().fill(path), {}, wrong_api)
        reply.fails(404)


@pytest.mark.parametrize(("method", "api", "path"), JSON_WRITES)
def test_a_body_of_more_than_a_mebibyte_is_too_large(server: Server, method: str, api: str, path: str) -> None:
    reply = server.su(fresh()).call(method, nowhere().fill(path), b" " * (MEBIBYTE + 1), api)
    reply.fails(413, codes.REQUEST_TOO_LARGE)


def test_a_body_in_chunks_has_the_same_limit(server: Server) -> None:
    head = (
        f"POST {server.target(V6, '/users')} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {server.server_token()}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with server.open_socket() as connection:
        connection.sendall(head.encode())
        # The answer may come, and the connection end, before all of it is sent.
        with suppress(ConnectionError):
            for _ in range(17):
                connection.sendall(b"10000\r\n%b\r\n" % (b" " * 0x10000))
            connection.sendall(b"0\r\n\r\n")
        with HTTPResponse(connection) as response:
            response.begin()
            assert response.status == 413
            assert json.loads(response.read())["error"] == codes.REQUEST_TOO_LARGE


@every_write
def test_deep_nesting_is_answered(server: Server, place: Place, method: str, api: str, path: str) -> None:
    for body in (
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"custom_data":' * 50_000,
        b'{"id":"x","name":"x","parts":' + b'[{"a":' * 900 + b"1" + b"}]" * 900 + b"}",
    ):
        check(server.su(place.alice).call(method, place.fill(path), body, api))


@pytest.mark.parametrize("odd", ["\ud800", "\udfff\ud800", "a\x00b", "\x00", "\x7f\x1b", "\ufeff\ufffe"], ids=ascii)
def test_odd_characters_are_refused_or_kept(server: Server, alice: str, room: str, odd: str) -> None:
    def refused_or_kept(reply: Reply, path: str, *keys: str | int) -> None:
        check(reply)
        if reply.status < 300:
            value: Any = server.su().get(path).read()
            for key in keys:
                value = value[key]
            assert value == odd

    messages = f"/rooms/{room}/messages"
    su = server.su(alice)
    refused_or_kept(su.put(f"/users/{alice}", {"name": odd}), f"/users/{alice}", "name")
    refused_or_kept(su.put(f"/users/{alice}", {"avatar_url": odd}), f"/users/{alice}", "avatar_url")
    refused_or_kept(su.put(f"/rooms/{room}", {"name": odd}), f"/rooms/{room}", "name")
    custom_data = {"custom_data": {"a": odd}}
    refused_or_kept(su.put(f"/rooms/{room}", custom_data), f"/rooms/{room}", "custom_data", "a")
    parts = {"parts": [{"type": "text/plain", "content": odd}]}
    refused_or_kept(su.post(messages, parts), messages, 0, "parts", 0, "content")
    refused_or_kept(su.post(messages, {"text": odd}, api=V2), messages, 0, "parts", 0, "content")


@pytest.mark.parametrize("odd", ["\ud800", "\x00"], ids=ascii)
def test_odd_ids_are_refused_or_kept(server: Server, alice: str, odd: str) -> None:
    wanted = fresh(odd)
    for path, body in (("users", {"id": wanted, "name": "x"}), ("rooms", {"id": wanted, "name": "x"})):
        reply = server.su(alice).post(f"/{path}", body)
        check(reply)
        if reply.status == 201:
            assert server.su().get(path_of(path, wanted)).read()["id"] == wanted
