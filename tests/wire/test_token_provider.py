"""The hosted test token provider (spec §2.3, §2.4)."""

import base64
import json
from urllib.parse import urlencode

import pytest

from tests.wire import codes
from tests.wire.client import Reply, Server, fresh

PROVIDER = "chatkit_token_provider/v1"
GRANT = {"grant_type": "client_credentials"}


def ask(server: Server, query: dict[str, str], form: dict[str, str] | None = None) -> Reply:
    """Ask for a token as the SDKs do: a user in the query, the grant in a form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(GRANT if form is None else form).encode()
    return server.nobody.call("POST", f"/token?{urlencode(query)}", body, PROVIDER, headers)


def test_the_answer_has_a_token_and_what_belongs_to_it(server: Server, alice: str) -> None:
    answer = ask(server, {"user_id": alice}).read()
    assert set(answer) == {"access_token", "token_type", "expires_in", "user_id", "refresh_token"}
    assert answer["token_type"] == "bearer"
    assert answer["expires_in"] == 86_400
    assert answer["user_id"] == alice


def test_the_token_is_a_user_token_for_a_day(server: Server, alice: str) -> None:
    payload = ask(server, {"user_id": alice}).json["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == alice
    assert claims["instance"] == server.instance
    assert claims["iss"] == f"api_keys/{server.key_id}"
    assert claims.get("su", False) is False
    assert claims["exp"] - claims["iat"] == 86_400


def test_the_token_opens_the_server(server: Server, alice: str) -> None:
    caller = server.bearer(ask(server, {"user_id": alice}).json["access_token"])
    assert caller.get(f"/users/{alice}/rooms").read() == []
    caller.post("/users", {"id": fresh(), "name": "Ann"}).fails(401, codes.MISSING_PERMISSION)


def test_the_user_need_not_exist(server: Server) -> None:
    user = fresh("caf\N{LATIN SMALL LETTER E WITH ACUTE} #+/ ")
    assert ask(server, {"user_id": user}).read()["user_id"] == user


def test_the_locator_and_the_instance_may_be_in_the_query(server: Server, alice: str) -> None:
    query = {"instance_locator": server.locator, "instance_id": server.instance, "user_id": alice}
    assert ask(server, query).read()["user_id"] == alice


def test_the_user_may_be_in_the_form(server: Server, alice: str) -> None:
    assert ask(server, {}, {**GRANT, "user_id": alice}).read()["user_id"] == alice


def test_the_user_may_be_in_a_json_body(server: Server, alice: str) -> None:
    reply = server.nobody.post("/token", {**GRANT, "user_id": alice}, api=PROVIDER)
    assert reply.read()["user_id"] == alice


@pytest.mark.parametrize("query", [{}, {"user_id": ""}])
def test_a_missing_user_is_a_bad_request(server: Server, query: dict[str, str]) -> None:
    ask(server, query).fails(400)


@pytest.mark.parametrize("user", [5, True, ["a"], {"id": "a"}, None])
def test_a_user_that_is_no_string_is_refused(server: Server, user: object) -> None:
    reply = server.nobody.post("/token", {**GRANT, "user_id": user}, api=PROVIDER)
    assert reply.status in {400, 422}
    reply.fails(reply.status)


@pytest.mark.parametrize("grant", ["password", "authorization_code", "CLIENT_CREDENTIALS"])
def test_another_grant_type_is_refused(server: Server, alice: str, grant: str) -> None:
    ask(server, {"user_id": alice}, {"grant_type": grant}).fails(422, codes.INVALID_GRANT_TYPE)


@pytest.mark.parametrize("token", ["x", "a.b.c", ""])
def test_a_bad_refresh_token_is_refused(server: Server, alice: str, token: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    ask(server, {"user_id": alice}, form).fails(401, codes.INVALID_REFRESH_TOKEN)


def test_an_access_token_is_no_refresh_token(server: Server, alice: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": server.user_token(alice)}
    ask(server, {"user_id": alice}, form).fails(401, codes.INVALID_REFRESH_TOKEN)


def test_the_refresh_token_of_another_user_is_refused(server: Server, alice: str, bob: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": ask(server, {"user_id": bob}).json["refresh_token"]}
    ask(server, {"user_id": alice}, form).fails(401, codes.INVALID_REFRESH_TOKEN)


def test_a_refresh_token_gives_a_new_access_token(server: Server, alice: str) -> None:
    refresh_token = ask(server, {"user_id": alice}).json["refresh_token"]
    answer = ask(server, {"user_id": alice}, {"grant_type": "refresh_token", "refresh_token": refresh_token})
    assert server.bearer(answer.read()["access_token"]).get(f"/users/{alice}").status == 200


def test_a_refresh_token_is_no_access_token(server: Server, alice: str) -> None:
    refresh_token = ask(server, {"user_id": alice}).json["refresh_token"]
    server.bearer(refresh_token).get(f"/users/{alice}").fails(401, codes.JWT_INVALID)


def test_an_unknown_instance_is_not_found(server: Server, alice: str) -> None:
    target = f"/services/{PROVIDER}/unknown/token?user_id={alice}"
    body = urlencode(GRANT).encode()
    server.request("POST", target, {"Content-Length": str(len(body))}, body).fails(404)


def test_tokens_are_not_cacheable(server: Server, alice: str) -> None:
    assert ask(server, {"user_id": alice}).headers["Cache-Control"] == "private, no-store"
