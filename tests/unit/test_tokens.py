"""Access tokens: spec §2, and the attacks of fault 10."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.instance_service_pb2 import InstanceCredentials

from services.common.call import Caller, Level
from services.common.ids import MICROSECONDS
from services.common.telemetry import set_request_id
from services.common.tokens import (
    LEEWAY_SECONDS,
    OPERATOR_ISSUER,
    SERVICE_ISSUER,
    ServiceTokens,
    TokenVerifier,
    user_token,
)
from tests.support.refusals import refuses

NOW = 1_560_000_000.0
SECRET = "the+secret/of=the:key"
SERVICE_SECRET = "shared-by-the-services"


class Keys:
    """Credentials of one instance, which tests change."""

    def __init__(self) -> None:
        self.credentials = InstanceCredentials(
            instance=Instance(id="one", limits=InstanceLimits(message_parts=3), flags=InstanceFlags(allow_reset=True)),
            keys=[InstanceKey(id="k", secret=SECRET), InstanceKey(id="k2", secret="the secret of another key")],
        )
        self.current = 1

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        return self.credentials if instance_id == self.credentials.instance.id else None

    def version(self, instance_id: str) -> int:
        return self.current

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        raise AssertionError("none of these tokens has a session")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(claims: object, secret: str = SECRET, header: dict[str, Any] | None = None) -> str:
    """A token made without the product's code."""
    signed = b64(orjson.dumps(header or {"alg": "HS256", "typ": "JWT"})) + "." + b64(orjson.dumps(claims))
    return signed + "." + b64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def claims(**changes: object) -> dict[str, object]:
    usual = {"instance": "one", "iss": "api_keys/k", "sub": "bob", "iat": NOW, "exp": NOW + 100}
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


class Verify:
    """A verifier whose clock and keys tests move."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.now = NOW
        self.verifier = TokenVerifier(self.keys, SERVICE_SECRET, "operator's secret", lambda: self.now)

    async def __call__(self, token: str) -> Caller:
        return await self.verifier.verify("Bearer " + token)


@pytest.fixture
def verify() -> Verify:
    return Verify()


async def test_a_user_token(verify: Verify) -> None:
    caller = await verify(forge(claims(su=False, plan="gold", jti=1)))
    assert (caller.level, caller.instance_id, caller.user_id) == (Level.USER, "one", "bob")
    assert (caller.limits.message_parts, caller.limits.message_bytes) == (3, 5120)
    assert caller.flags.allow_reset


@pytest.mark.parametrize("sub", ["bob", None])
async def test_a_server_token_with_and_without_a_user(verify: Verify, sub: str | None) -> None:
    caller = await verify(forge(claims(su=True, sub=sub)))
    assert (caller.level, caller.user_id) == (Level.SERVER, sub or "")


async def test_our_own_user_tokens_are_accepted(verify: Verify) -> None:
    token = user_token("one", "k", SECRET, "bob", NOW, lifetime=60, su=True)
    assert (await verify(token)).level is Level.SERVER


@pytest.mark.parametrize(
    "changes",
    [
        {"instance": "two"},
        {"instance": 1},
        {"instance": None},
        {"iss": None},
        {"iss": "api_keys/"},
        {"iss": "api_keys/unknown"},
        {"iss": "xapi_keys/k"},
        {"iss": ["api_keys/k"]},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": {"a": 1}},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": "now"},
        {"iat": NOW + LEEWAY_SECONDS + 1},
        {"nbf": NOW + LEEWAY_SECONDS + 1},
        {"refresh": True},
        {"sub": None, "su": 1},
        {"sub": None, "su": "true"},
    ],
    ids=str,
)
async def test_bad_claims_are_invalid(verify: Verify, changes: dict[str, object]) -> None:
    with refuses("TOKEN_INVALID"):
        await verify(forge(claims(**changes)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: forge(claims(), "another secret than the key's"),
        lambda: forge(claims(), "the secret of another key"),
        lambda: forge(claims(), header={"alg": "none"}),
        lambda: forge(claims(), header={"alg": "HS512"}),
        lambda: forge(claims(), header={"alg": "HS256", "crit": ["x"], "x": 1}),
        lambda: forge(claims(), header={"typ": "JWT"}),
        lambda: forge(claims()).rpartition(".")[0] + ".",
        lambda: b64(b'{"alg":"none"}') + "." + b64(orjson.dumps(claims())) + ".",
        lambda: forge(["not", "claims"]),
        lambda: forge(claims(iss=SERVICE_ISSUER)),
        lambda: forge(claims(iss=OPERATOR_ISSUER), SERVICE_SECRET),
        lambda: "a.b.c",
        lambda: "nonsense",
        lambda: "é.é.é",
        lambda: "x" * 10_000,
        lambda: forge(claims(pad="x" * 10_000)),
    ],
)
async def test_forged_tokens_are_invalid(verify: Verify, make: Callable[[], str]) -> None:
    with refuses("TOKEN_INVALID"):
        await verify(make())


@pytest.mark.parametrize("header", ["", None])
async def test_no_token_is_missing(verify: Verify, header: str | None) -> None:
    with refuses("TOKEN_MISSING"):
        await verify.verifier.verify(header)


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "token"])
async def test_another_scheme_is_invalid(verify: Verify, header: str) -> None:
    with refuses("TOKEN_INVALID"):
        await verify.verifier.verify(header)


async def test_the_scheme_is_case_insensitive(verify: Verify) -> None:
    assert (await verify.verifier.verify("bEARER " + forge(claims()))).user_id == "bob"


async def test_expiry_has_no_leeway_and_holds_for_cached_tokens(verify: Verify) -> None:
    token = forge(claims(exp=NOW + 10.5))
    await verify(token)
    verify.now = NOW + 10.4
    await verify(token)
    verify.now = NOW + 10.5
    with refuses("TOKEN_EXPIRED"):
        await verify(token)
    with refuses("TOKEN_EXPIRED"):
        await verify(forge(claims(exp=NOW)))


async def test_a_revoked_key_counts_at_once_for_cached_tokens(verify: Verify) -> None:
    token = forge(claims())
    await verify(token)
    del verify.keys.credentials.keys[0]
    verify.keys.current = 2
    with refuses("TOKEN_INVALID"):
        await verify(token)
    verify.keys.current = 3
    other = await verify(forge(claims(iss="api_keys/k2"), "the secret of another key"))
    assert other.user_id == "bob"


class KeysThatChange(Keys):
    """Credentials that are not known yet, and change while they are fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.current = 0
        self.change: Callable[[], None] | None = None

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        found = InstanceCredentials()
        found.CopyFrom(self.credentials)
        await asyncio.sleep(0)
        self.current = self.current or 1  # known from now on
        if self.change is not None:
            self.change()
            self.current += 1
            self.change = None
        return found


async def test_a_key_that_is_revoked_while_it_is_looked_up_counts_no_more() -> None:
    keys = KeysThatChange()
    keys.change = lambda: keys.credentials.keys.__delitem__(0)
    verifier = TokenVerifier(keys, SERVICE_SECRET, "operator's secret", lambda: NOW)
    for _ in range(2):
        with refuses("TOKEN_INVALID"):
            await verifier.verify("Bearer " + forge(claims()))


async def test_a_subject_is_no_longer_than_a_user_id_can_be(verify: Verify) -> None:
    assert (await verify(forge(claims(sub="é" * 160)))).user_id == "é" * 160
    with refuses("TOKEN_INVALID"):
        await verify(forge(claims(sub="é" * 161)))


async def test_a_longer_subject_of_a_server_names_nobody(verify: Verify) -> None:
    caller = await verify(forge(claims(sub="%D0%B0" * 160, su=True)))  # PHP percent-encodes it
    assert caller.level is Level.SERVER
    for fallback in ("", "alice"):
        with refuses("ACTOR_REQUIRED"):
            caller.actor(fallback)


async def test_service_tokens_carry_the_request_id_of_the_call_they_are_for() -> None:
    tokens = ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "message", lambda: NOW)
    assert tokens.metadata("one") == (("authorization", "Bearer " + tokens("one")),)

    async def call() -> tuple[tuple[str, str], ...]:
        set_request_id("r1")
        return tokens.metadata("one")

    _, request_id = await asyncio.create_task(call())
    assert request_id == ("x-request-id", "r1")


async def test_a_key_ends_at_its_time_without_any_news(verify: Verify) -> None:
    token = forge(claims())
    verify.keys.credentials.keys[0].revoked_at.FromMicroseconds(int((NOW + 5) * MICROSECONDS))
    await verify(token)
    verify.now = NOW + 6
    for refused in (token, forge(claims(x=1))):
        with refuses("TOKEN_INVALID"):
            await verify(refused)


async def test_a_token_that_has_expired_is_known_to_have(verify: Verify) -> None:
    token = forge(claims(exp=NOW + 5))
    verify.keys.credentials.keys[0].revoked_at.FromMicroseconds(int((NOW + 20) * MICROSECONDS))
    verify.now = NOW + 6
    for _ in range(2):
        with refuses("TOKEN_EXPIRED"):
            await verify(token)
    verify.now = NOW + 20
    with refuses("TOKEN_INVALID"):
        await verify(token)


async def test_service_and_operator_tokens(verify: Verify) -> None:
    service = ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "message", lambda: verify.now)
    caller = await verify(service("one"))
    assert (caller.level, caller.instance_id) == (Level.SERVICE, "one")
    operator = ServiceTokens(OPERATOR_ISSUER, "operator's secret", "operator", lambda: verify.now)
    assert (await verify(operator())).level is Level.OPERATOR
    first = service("one")
    verify.now += 100
    assert service("one") == first
    verify.now += 100
    assert service("one") != first
