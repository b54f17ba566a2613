"""What browsers need: preflights and headers on every answer (spec §12.1)."""

from collections.abc import Mapping

import pytest

from tests.wire.client import AUTHORIZER, CURSORS, SCHEDULER, V2, V6, Caller, Reply, Server
from tests.wire.files import FILES

PROVIDER = "chatkit_token_provider/v1"
APP = "https://app.example"
DAY = "86400"

METHODS = {"GET", "POST", "PUT", "DELETE", "SUBSCRIBE", "OPTIONS"}
REQUEST_HEADERS = {
    *("authorization", "content-type", "accept", "last-event-id"),
    *("x-sdk-product", "x-sdk-version", "x-sdk-language", "x-sdk-platform"),
    *("x-heartbeat-interval", "x-initial-heartbeat-size"),
}
EXPOSED = {"retry-after", "date", "location"}


def items(reply: Reply, name: str) -> set[str]:
    """Split a list header; header names are compared in lower case."""
    return {item.strip() for item in str(reply.headers.get(name, "")).split(",")}


def lower(words: set[str]) -> set[str]:
    return {word.lower() for word in words}


def preflight(server: Server, path: str, api: str, method: str, asked: str, origin: str = "null") -> Reply:
    headers: Mapping[str, str] = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked,
    }
    return server.nobody.call("OPTIONS", path, None, api, headers)


@pytest.mark.parametrize(
    ("path", "api", "method"),
    [
        ("/users", V6, "POST"),
        ("/users/unknown", V6, "PUT"),
        ("/users", V6, "SUBSCRIBE"),
        ("/rooms/unknown", V2, "DELETE"),
        ("/rooms/a%2Fb/messages", V2, "POST"),
        ("/cursors/0/rooms/unknown/users/unknown", CURSORS, "PUT"),
        ("/cursors/0/rooms/unknown", CURSORS, "SUBSCRIBE"),
        ("/users/unknown/register", "chatkit_presence/v2", "SUBSCRIBE"),
        ("/users/unknown", "chatkit_push_notifications/v1", "SUBSCRIBE"),
        ("/beams-tokens?user_id=unknown", "chatkit_beams_token_provider/v1", "GET"),
        ("/rooms/unknown/users/unknown/files/a.png", FILES, "POST"),
        ("/users/unknown/roles", AUTHORIZER, "PUT"),
        ("/users/unknown", SCHEDULER, "PUT"),
        ("/resources", V6, "DELETE"),
    ],
)
def test_a_preflight_needs_no_token_and_allows_all(server: Server, path: str, api: str, method: str) -> None:
    reply = preflight(server, path, api, method, "authorization,content-type,x-sdk-product")
    assert reply.status in {200, 204}
    assert reply.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert items(reply, "Access-Control-Allow-Methods") >= METHODS
    assert lower(items(reply, "Access-Control-Allow-Headers")) >= REQUEST_HEADERS
    assert reply.headers["Access-Control-Max-Age"] == DAY


@pytest.mark.parametrize("origin", ["null", APP])
def test_every_origin_may_read_an_answer(server: Server, alice: str, origin: str) -> None:
    reply = server.user(alice).call("GET", f"/users/{alice}", headers={"Origin": origin})
    assert reply.status == 200
    assert reply.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert lower(items(reply, "Access-Control-Expose-Headers")) >= EXPOSED


def test_credentials_are_not_allowed(server: Server, alice: str) -> None:
    reply = server.user(alice).call("GET", f"/users/{alice}", headers={"Origin": APP})
    assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "api", "status"),
    [
        ("GET", "/users/unknown", V6, 404),
        ("GET", "/nonsense", V6, 404),
        ("GET", "/users", "chatkit/v99", 404),
        ("PATCH", "/users", V6, 405),
        ("POST", "/users", V6, 422),
        ("POST", "/users", V2, 422),
    ],
)
def test_errors_carry_the_same_headers(server: Server, method: str, path: str, api: str, status: int) -> None:
    assert_readable_error(server.su().call(method, path, None, api, {"Origin": APP}), status)


def test_malformed_and_oversize_bodies_carry_them_too(server: Server) -> None:
    for body, status in ((b"{", 400), (b" " * (1024 * 1024 + 1), 413)):
        assert_readable_error(server.su().call("POST", "/users", body, headers={"Origin": APP}), status)


@pytest.mark.parametrize("authorization", [None, "Bearer x"])
def test_failed_authentication_carries_them_too(server: Server, authorization: str | None) -> None:
    caller = Caller(server, authorization)
    assert_readable_error(caller.call("GET", "/users", headers={"Origin": "null"}), 401)


def assert_readable_error(reply: Reply, status: int) -> None:
    reply.fails(status)
    assert reply.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert lower(items(reply, "Access-Control-Expose-Headers")) >= EXPOSED


@pytest.mark.parametrize("origin", ["null", APP])
def test_the_token_provider_echoes_headers_and_origin_for_credentials(server: Server, origin: str) -> None:
    asked = "content-type,x-custom-one,x-custom-two"
    reply = preflight(server, "/token?user_id=x", PROVIDER, "POST", asked, origin)
    assert reply.status in {200, 204}
    assert {"POST", "OPTIONS"} <= items(reply, "Access-Control-Allow-Methods")
    assert lower(items(reply, "Access-Control-Allow-Headers")) >= set(asked.split(","))
    assert_credentials_allowed(reply, origin)


@pytest.mark.parametrize("origin", ["null", APP])
@pytest.mark.parametrize(("query", "status"), [("?user_id=x", 200), ("", 400)])
def test_the_token_provider_answers_with_credentials(server: Server, origin: str, query: str, status: int) -> None:
    headers = {"Origin": origin, "Content-Type": "application/x-www-form-urlencoded"}
    body = b"grant_type=client_credentials"
    reply = server.nobody.call("POST", f"/token{query}", body, PROVIDER, headers)
    assert reply.status == status
    assert_credentials_allowed(reply, origin)


def assert_credentials_allowed(reply: Reply, origin: str) -> None:
    assert reply.headers.get_all("Access-Control-Allow-Origin") == [origin]
    assert reply.headers["Access-Control-Allow-Credentials"] == "true"
    assert "origin" in lower(items(reply, "Vary"))
