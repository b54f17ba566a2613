"""Access tokens, and every way in which they fail (spec §2.1, §2.2)."""

import base64
import json
import time

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V6, Caller, Reply, Server, fresh, sign

PROBE = "/users?limit=1"


def probe(server: Server, token: str) -> Reply:
    return server.bearer(token).get(PROBE)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_ignores_case(server: Server, alice: str, scheme: str) -> None:
    assert Caller(server, f"{scheme} {server.user_token(alice)}").get(PROBE).status == 200


def test_a_user_token_may_name_a_user_that_does_not_exist(server: Server) -> None:
    assert server.user(fresh()).get(PROBE).status == 200


@pytest.mark.parametrize("sub", ["admin", "super-user", None])
def test_a_superuser_needs_no_existing_user_where_there_is_no_actor(
    server: Server, alice: str, room: str, sub: str | None
) -> None:
    caller = server.su(sub)
    assert caller.get(f"/users/{alice}").status == 200
    caller.put(f"/rooms/{room}", {"name": "new"}).done()
    caller.put(f"/users/{alice}", {"name": "new"}).done()
    caller.delete(f"/rooms/{room}").done()


def test_the_subject_of_a_superuser_is_never_compared_with_the_path(server: Server, bob: str) -> None:
    user = server.new_user(fresh("two words "))
    server.su(user.replace(" ", "%20")).put(f"/users/{user.replace(' ', '%20')}", {"name": "new"}).done()
    assert server.su(bob).get(f"/users/{user.replace(' ', '%20')}/rooms").read() == []


def test_the_subject_of_a_superuser_may_be_longer_than_an_id(server: Server, alice: str, room: str) -> None:
    caller = server.su("%D0%B0" * 160)  # an id as PHP encodes it
    caller.put(f"/users/{alice}", {"name": "new"}).done()
    assert caller.get(f"/rooms/{room}").status == 200
    caller.post("/rooms", {"name": "x"}).fails(422, codes.VALIDATION_FAILED)
    server.user("x" * 161).get(PROBE).fails(401, codes.JWT_INVALID)


@pytest.mark.parametrize("su", [False, "true", 1, "1", None, {}, [True]])
def test_only_the_boolean_true_makes_a_superuser(server: Server, alice: str, su: object) -> None:
    token = server.user_token(alice, su=su)
    server.bearer(token).post("/users", {"id": fresh(), "name": "Ann"}).fails(401)


def test_su_false_is_an_ordinary_user_token(server: Server, alice: str) -> None:
    assert probe(server, server.user_token(alice, su=False)).status == 200


def test_times_may_be_fractional(server: Server, alice: str) -> None:
    now = time.time()
    assert probe(server, server.user_token(alice, iat=now - 0.5, exp=now + 100.25)).status == 200


def test_other_claims_are_ignored(server: Server, alice: str) -> None:
    claims: dict[str, object] = {"service_claims": {"a": [1]}, "aud": "somebody", "refresh": False}
    assert probe(server, server.user_token(alice, **claims)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users", b"{"),
        ("POST", "/users", {"id": 5}),
        ("POST", "/users", {"id": "a", "name": "b", "custom_data": {"a": [[]] * 200_000}}),
        ("POST", "/rooms/r/messages", {"parts": {}}),
        ("PUT", "/rooms/r/users/add", {"user_ids": "a"}),
        ("GET", "/users?limit=x", None),
        ("GET", "/rooms/r/messages/x", None),
    ],
)
def test_a_bad_token_comes_before_bad_input(server: Server, method: str, path: str, body: object) -> None:
    expired = server.server_token(exp=int(time.time()) - 5)
    server.bearer(expired).call(method, path, body).fails(401, codes.TOKEN_EXPIRED)
    server.bearer(server.server_token() + "x").call(method, path, body).fails(401, codes.JWT_INVALID)
    assert server.su().call(method, path, body).status in {400, 404, 422}


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_clock_may_be_a_minute_ahead_and_no_more(server: Server, alice: str, claim: str) -> None:
    now = int(time.time())
    assert probe(server, server.user_token(alice, **{claim: now + 50})).status == 200
    probe(server, server.user_token(alice, **{claim: now + 120})).fails(401, codes.JWT_INVALID)


@pytest.mark.parametrize("seconds", [1, 30, 86_400])
def test_an_expired_token_has_no_leeway(server: Server, alice: str, seconds: int) -> None:
    token = server.user_token(alice, exp=int(time.time()) - seconds)
    probe(server, token).fails(401, codes.TOKEN_EXPIRED)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"iss": None},
        {"iss": "api_keys/"},
        {"iss": "api_keys/unknown"},
        {"iss": ["api_keys/unknown"]},
        {"instance": None},
        {"instance": "another"},
        {"instance": 5},
        {"refresh": True},
        {"refresh": True, "exp": None},
        {"sub": 5},
        {"sub": ["a"]},
        {"sub": {"id": "a"}},
    ],
    ids=repr,
)
def test_wrong_claims_are_an_invalid_token(server: Server, alice: str, claims: dict[str, object]) -> None:
    token = server.token(**{"sub": alice, **claims})
    probe(server, token).fails(401, codes.JWT_INVALID)


@pytest.mark.parametrize("issuer", ["{key}", "api_keys/{key}x", "xapi_keys/{key}", "api_keys/{key}/{key}"])
def test_the_issuer_must_match_as_a_whole(server: Server, alice: str, issuer: str) -> None:
    token = server.user_token(alice, iss=issuer.format(key=server.key_id))
    probe(server, token).fails(401, codes.JWT_INVALID)


def test_a_user_token_needs_a_subject(server: Server) -> None:
    probe(server, server.token()).fails(401)


def claims_of(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(claims, dict)
    return claims


@pytest.mark.parametrize("algorithm", ["none", "None", "HS384", "HS512", "RS256", "ES256", "hs256", None, 5])
def test_no_other_algorithm_is_accepted(server: Server, alice: str, algorithm: object) -> None:
    claims = claims_of(server.user_token(alice))
    token = sign(claims, server.secret, {"alg": algorithm, "typ": "JWT"})
    probe(server, token).fails(401, codes.JWT_INVALID)
    unsigned = token.rpartition(".")[0] + "."
    probe(server, unsigned).fails(401, codes.JWT_INVALID)


def test_an_unknown_critical_header_is_an_invalid_token(server: Server, alice: str) -> None:
    header: dict[str, object] = {"alg": "HS256", "typ": "JWT", "crit": ["unknown"], "unknown": 1}
    token = sign(claims_of(server.user_token(alice)), server.secret, header)
    probe(server, token).fails(401, codes.JWT_INVALID)


def test_a_bad_signature_is_an_invalid_token(server: Server, alice: str) -> None:
    token = sign(claims_of(server.user_token(alice)), b"not the secret")
    probe(server, token).fails(401, codes.JWT_INVALID)


def test_a_signature_of_other_claims_is_an_invalid_token(server: Server, alice: str, bob: str) -> None:
    head, _, signature = server.user_token(alice).split(".")
    _, payload, _ = server.user_token(bob).split(".")
    probe(server, f"{head}.{payload}.{signature}").fails(401, codes.JWT_INVALID)


@pytest.mark.parametrize("token", ["x", "a.b", "a.b.c", "....", "e30.e30.e30", "undefined", "a b", "%00.%00.%00"])
def test_an_unparsable_token_is_invalid(server: Server, token: str) -> None:
    probe(server, token).fails(401, codes.JWT_INVALID)


def test_a_missing_header_has_its_own_code(server: Server) -> None:
    server.nobody.get(PROBE).fails(401, codes.MISSING_TOKEN)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "token"])
def test_other_authorization_is_refused(server: Server, authorization: str) -> None:
    assert Caller(server, authorization).get(PROBE).fails(401)


def test_another_instance_is_refused_without_a_hint_of_its_existence(server: Server, alice: str) -> None:
    for claimed in (server.instance, "unknown"):
        headers = {"Authorization": f"Bearer {server.user_token(alice, instance=claimed)}"}
        reply = server.request("GET", f"/services/{V6}/unknown{PROBE}", headers, None)
        reply.fails(401, codes.JWT_INVALID)


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("PUT", "/users/{bob}", V6),
        ("GET", "/users/{bob}/rooms", V6),
        ("POST", "/users/{bob}/rooms/{room}/join", V6),
        ("POST", "/users/{bob}/rooms/{room}/leave", V6),
        ("PUT", "/cursors/0/rooms/{room}/users/{bob}", CURSORS),
        ("GET", "/cursors/0/users/{bob}", CURSORS),
    ],
)
def test_the_token_of_another_user_is_refused(
    server: Server, alice: str, bob: str, room: str, method: str, path: str, api: str
) -> None:
    body = {"name": "new", "position": 1} if method == "PUT" else None
    reply = server.user(alice).call(method, path.format(bob=bob, room=room), body, api)
    reply.fails(401, codes.INVALID_SUBJECT)


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("POST", "/users", V6),
        ("POST", "/batch_users", V6),
        ("PUT", "/users/{alice}", V6),
        ("DELETE", "/users/{alice}", V6),
        ("PUT", "/rooms/{room}", V6),
        ("PUT", "/rooms/unknown", V6),
        ("DELETE", "/rooms/{room}", V6),
        ("DELETE", "/rooms/unknown", V2),
        ("PUT", "/rooms/{room}/messages/{message}", V6),
        ("PUT", "/rooms/{room}/messages/{message}", V2),
        ("DELETE", "/rooms/{room}/messages/{message}", V6),
        ("DELETE", "/messages/{message}", V2),
        ("DELETE", "/resources", V6),
    ],
)
def test_what_the_default_role_lacks_is_refused(
    server: Server, alice: str, room: str, method: str, path: str, api: str
) -> None:
    message = server.send(room, alice)
    body = {"name": "new", "text": "new", "parts": [{"type": "text/plain", "content": "new"}]}
    where = path.format(alice=alice, room=room, message=message)
    reply = server.user(alice).call(method, where, body if method != "DELETE" else None, api)
    description = reply.fails(401, codes.MISSING_PERMISSION)
    assert description == "User does not have access to requested resource"
    assert server.message(room, message)["parts"][0]["content"] == "hello"


def test_what_the_default_role_holds_is_allowed(server: Server, alice: str, bob: str) -> None:
    caller = server.user(alice)
    room = caller.post("/rooms", {"name": "x"}).read(201)["id"]
    caller.put(f"/rooms/{room}/users/add", {"user_ids": [bob]}).done()
    caller.put(f"/rooms/{room}/users/remove", {"user_ids": [bob]}).done()
    message = caller.post(f"/rooms/{room}/messages", {"parts": [{"type": "a/b", "content": "x"}]})
    position = message.read(201)["message_id"]
    cursor = f"/cursors/0/rooms/{room}/users/{alice}"
    assert caller.put(cursor, {"position": position}, api=CURSORS).status == 201
    assert caller.get(cursor, api=CURSORS).status == 200
    for path in (f"/rooms/{room}", f"/rooms/{room}/messages", f"/users/{bob}", f"/users/{alice}/rooms"):
        assert caller.get(path).status == 200
    caller.post(f"/users/{alice}/rooms/{room}/leave").done()
    assert caller.post(f"/users/{alice}/rooms/{room}/join").status == 201


@pytest.mark.parametrize("path", ["/rooms", "/rooms/{room}/messages"])
def test_a_call_that_needs_an_actor_needs_a_subject(server: Server, room: str, path: str) -> None:
    body = {"name": "x", "parts": [{"type": "text/plain", "content": "x"}]}
    server.su().post(path.format(room=room), body).fails(422)


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/users/{alice}", V6),
        ("/users/{alice}/rooms", V6),
        ("/rooms", V6),
        ("/rooms/{room}", V6),
        ("/rooms/{room}/messages", V2),
        ("/cursors/0/users/{alice}", CURSORS),
    ],
)
def test_answers_that_depend_on_the_caller_are_not_cacheable(
    server: Server, alice: str, room: str, path: str, api: str
) -> None:
    reply = server.user(alice).get(path.format(alice=alice, room=room), api=api)
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "private, no-store"
