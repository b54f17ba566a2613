"""Registration, sessions and tokens (spec §0 rows 1 to 3c, §1 Auth, §8)."""

import time

import pytest

from tests.wire.chat_api.client import (
    PASSWORD,
    UNAUTHORIZED,
    UUID,
    Api,
    Person,
    claims,
    done,
    head,
    log_in,
    person,
    refused,
    refused_json,
    register,
)
from tests.wire.client import Server, fresh


def test_registering_answers_with_ok_alone(nobody: Api) -> None:
    body = {"first_name": "Anna", "last_name": "Smith", "email": f"{fresh()}@example.org", "password": PASSWORD}
    done(nobody.post("auth/register", {**body, "an unknown field": 1}))


def test_an_email_address_has_one_account_in_any_case(server: Server) -> None:
    email = register(server, email=f"Anna.{fresh()}@Example.org")
    body = {"first_name": "A", "last_name": "B", "email": email.upper(), "password": PASSWORD}
    reply = Api(server, server.server_token()).post("auth/register", body)
    assert refused(reply) == (409, "User with that email already exists")
    log_in(server, email.swapcase())


@pytest.mark.parametrize("missing", ["first_name", "last_name", "email", "password"])
def test_what_registering_needs(nobody: Api, missing: str) -> None:
    body = {"first_name": "A", "last_name": "B", "email": f"{fresh()}@example.org", "password": PASSWORD}
    del body[missing]
    assert missing in refused_json(nobody.post("auth/register", body))


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "no-address"},
        {"email": 5},
        {"password": "short"},
        {"password": "x" * 129},
        {"password": None},
        {"first_name": ["A"]},
        {"first_name": "A\0"},
        {"last_name": {}},
    ],
)
def test_what_registering_refuses(nobody: Api, fields: dict[str, object]) -> None:
    body = {"first_name": "A", "last_name": "B", "email": f"{fresh()}@example.org", "password": PASSWORD}
    refused_json(nobody.post("auth/register", {**body, **fields}))


@pytest.mark.parametrize("path", ["auth/register", "auth/login", "auth/refresh"])
@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"5", b"", b'{"email": "\xff"}', b'{"email": "\\ud800"}'])
def test_a_body_that_cannot_be_read(nobody: Api, path: str, body: bytes) -> None:
    refused_json(nobody.post(path, body))


def test_a_stranger_cannot_have_a_large_body_parsed(nobody: Api) -> None:
    body = {"email": "a@example.org", "password": "x" * 100_000}
    assert refused(nobody.post("auth/login", body)) == (413, "payload_too_large")


def test_logging_in_gives_an_access_token_for_fifteen_minutes(server: Server) -> None:
    email = register(server, "Anna", "Smith")
    answer = Api(server).post("auth/login", {"email": email, "password": PASSWORD}).read()
    assert set(answer) == {"ok", "access_token", "refresh_token"}
    header = head(answer["access_token"])
    assert (header["typ"], header["alg"]) == ("JWT", "RS256")
    keys = server.request("GET", "/.well-known/jwks.json", {}, None).read()["keys"]
    assert header["kid"] in {key["kid"] for key in keys}
    payload = claims(answer["access_token"])
    assert payload["exp"] - payload["iat"] == 900
    assert payload["nbf"] <= time.time() + 1
    assert UUID.fullmatch(payload["sub"])
    assert payload["context"] == {"email": email, "roles": [], "first_name": "Anna", "last_name": "Smith"}


def test_a_wrong_login(server: Server, nobody: Api) -> None:
    email = register(server)
    reply = nobody.post("auth/login", {"email": email, "password": "another password"})
    assert refused(reply) == (401, "Invalid email or password")
    reply = nobody.post("auth/login", {"email": f"{fresh()}@example.org", "password": PASSWORD})
    assert refused(reply) == (404, "Not found")


def test_too_many_wrong_logins_must_wait(server: Server, nobody: Api) -> None:
    email = register(server)
    replies = [nobody.post("auth/login", {"email": email, "password": "another password"}) for _ in range(6)]
    assert [reply.status for reply in replies] == [401] * 5 + [429]
    assert refused(replies[-1]) == (429, "rate_limited")
    assert 0 < int(replies[-1].headers["Retry-After"]) <= 900


def test_a_refresh_token_is_spent_once(server: Server, nobody: Api) -> None:
    someone = person(server)
    first = nobody.post("auth/refresh", {"refresh_token": someone.refresh_token}).read()
    assert set(first) == {"ok", "access_token", "refresh_token"}
    Api(server, first["access_token"]).get("conversations.list").read()
    second = nobody.post("auth/refresh", {"refresh_token": first["refresh_token"]}).read()
    # Somebody shows the first one again: one of the two has stolen it, and the session ends.
    assert refused(nobody.post("auth/refresh", {"refresh_token": someone.refresh_token})) == UNAUTHORIZED
    assert refused(nobody.post("auth/refresh", {"refresh_token": second["refresh_token"]})) == UNAUTHORIZED
    assert refused(Api(server, second["access_token"]).get("conversations.list")) == UNAUTHORIZED


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
def test_no_refresh_token(nobody: Api, token: str) -> None:
    assert refused(nobody.post("auth/refresh", {"refresh_token": token})) == UNAUTHORIZED
    refused_json(nobody.post("auth/refresh", {}))


def test_an_access_token_refreshes_nothing(anna: Person, nobody: Api) -> None:
    assert refused(nobody.post("auth/refresh", {"refresh_token": anna.access_token})) == UNAUTHORIZED


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_logging_out_nothing_of_the_session_counts(server: Server, nobody: Api, method: str) -> None:
    someone = person(server)
    other = log_in(server, someone.email)
    someone.get("conversations.list").read()
    done(someone.call(method, "auth/logout"))
    assert refused(someone.get("conversations.list")) == UNAUTHORIZED
    assert refused(someone.get(f"media/content/{someone.id}")) == UNAUTHORIZED
    assert refused(someone.call(method, "auth/logout")) == UNAUTHORIZED
    assert refused(nobody.post("auth/refresh", {"refresh_token": someone.refresh_token})) == UNAUTHORIZED
    other.get("conversations.list").read()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_has_no_session_cannot_log_out(server: Server, nobody: Api, method: str) -> None:
    assert refused(nobody.call(method, "auth/logout")) == UNAUTHORIZED
    user = server.new_user()
    assert refused(Api(server, server.user_token(user)).call(method, "auth/logout")) == UNAUTHORIZED


def test_a_look_at_the_head_logs_nobody_out(server: Server) -> None:
    someone = person(server)
    assert someone.call("HEAD", "auth/logout").status == 405
    done(someone.call("POST", "auth/logout"))


def test_the_key_set_is_public(server: Server) -> None:
    reply = server.request("GET", "/.well-known/jwks.json", {}, None)
    keys = reply.read()["keys"]
    assert keys
    for key in keys:
        assert (key["kty"], key["alg"], key["use"]) == ("RSA", "RS256", "sig")
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)
    assert reply.headers["Cache-Control"].startswith("public")


PATHS = [
    ("GET", "users.list"),
    ("GET", "users.info?uid=00000000-0000-0000-0000-000000000000"),
    ("POST", "users.setProfile"),
    ("GET", "conversations.list"),
    ("GET", "conversations.info"),
    ("GET", "conversations.replies"),
    ("GET", "conversations.members"),
    ("POST", "conversations.open"),
    ("POST", "conversations.match"),
    ("POST", "conversations.archive"),
    ("POST", "conversations.unarchive"),
    ("POST", "conversations.delete"),
    ("POST", "conversations.mark"),
    ("POST", "conversations.join"),
    ("POST", "conversations.leave"),
    ("POST", "conversations.invite"),
    ("POST", "conversations.typing"),
    ("POST", "chat.postMessage"),
    ("POST", "chat.update"),
    ("POST", "chat.remove"),
    ("POST", "chat.unsend"),
    ("POST", "media/content"),
    ("GET", "media/content/00000000-0000-0000-0000-000000000000"),
    ("POST", "media/avatars"),
    ("GET", "media/avatars/00000000-0000-0000-0000-000000000000"),
    ("GET", "media.list"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_call_needs_a_good_token_before_anything_else(server: Server, method: str, path: str) -> None:
    good = server.user_token("somebody")
    for token in (
        None,
        "x",
        good[:-4] + "AAAA",
        server.user_token("somebody", exp=1),
        server.user_token("x", su=True)[:-2],
    ):
        assert refused(Api(server, token).call(method, path, b"{" if method == "POST" else None)) == UNAUTHORIZED


def test_a_token_of_another_instance_is_none(server: Server) -> None:
    token = server.user_token("somebody", instance=fresh())
    assert refused(Api(server, token).get("conversations.list")) == UNAUTHORIZED


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(anna: Person, nobody: Api, scheme: str) -> None:
    nobody.call("GET", "conversations.list", headers={"Authorization": f"{scheme} {anna.token}"}).read()


def test_a_cookie_opens_what_changes_nothing(anna: Person, nobody: Api, server: Server) -> None:
    cookie = {"Cookie": f"theme=dark; access_token={anna.token}"}
    nobody.call("GET", "conversations.list", headers=cookie).read()
    body = {"last_name": "Smith"}
    assert refused(nobody.call("POST", "users.setProfile", body, cookie)) == UNAUTHORIZED
    assert refused(nobody.call("GET", "auth/logout", headers=cookie)) == UNAUTHORIZED
    for origin in ("https://evil.example", "null", f"http://{server.netloc}.evil.example", "http://["):
        reply = nobody.call("POST", "users.setProfile", body, {**cookie, "Origin": origin})
        assert refused(reply) == UNAUTHORIZED
    nobody.call("POST", "users.setProfile", body, {**cookie, "Origin": f"http://{server.netloc}"}).read()


def test_a_header_counts_more_than_a_cookie(anna: Person, nobody: Api) -> None:
    headers = {"Cookie": f"access_token={anna.token}", "Authorization": "Bearer x"}
    assert refused(nobody.call("GET", "conversations.list", headers=headers)) == UNAUTHORIZED


def test_answers_are_not_cacheable(anna: Person) -> None:
    assert anna.get("conversations.list").headers["Cache-Control"] == "private, no-store"
