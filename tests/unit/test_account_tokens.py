"""Access tokens of accounts: what is verified, and the attacks of fault 10."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from joserfc.jwk import RSAKey
from roomline.v1.account_pb2 import Account
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.instance_service_pb2 import AccountKey, InstanceCredentials

from services.common.account_tokens import account_token
from services.common.call import Caller, Level
from services.common.tokens import CACHED_TOKENS, LEEWAY_SECONDS, TokenVerifier
from tests.support.account_parts import pooled_key
from tests.support.refusals import refuses

NOW = 1_560_000_000
KEY, OTHER_KEY = pooled_key(), pooled_key()
ISSUER = "https://chat.example.org"


def pem(key: RSAKey) -> str:
    return key.as_pem(private=False).decode()


class Keys:
    """Credentials of two instances with a key each, which tests change."""

    def __init__(self) -> None:
        self.known = {
            "one": InstanceCredentials(
                instance=Instance(
                    id="one", limits=InstanceLimits(message_parts=3), flags=InstanceFlags(allow_reset=True)
                ),
                keys=[InstanceKey(id="k", secret=pem(KEY))],
                account_keys=[AccountKey(id="r1", public_key=pem(KEY)), AccountKey(id="r2", public_key=pem(OTHER_KEY))],
                account_issuer=ISSUER,
            ),
            "two": InstanceCredentials(
                instance=Instance(id="two"),
                keys=[InstanceKey(id="k", secret="a secret of the second instance")],
            ),
        }
        self.current = 1
        self.asked = 0
        self.ended: set[tuple[str, str]] = set()

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        self.asked += 1
        return self.known.get(instance_id)

    def version(self, instance_id: str) -> int:
        return self.current

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        return (instance_id, session_id) in self.ended


class Verify:
    """A verifier whose clock and keys tests move."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.now = float(NOW)
        self.verifier = TokenVerifier(self.keys, "services' secret", "operator's secret", lambda: self.now)

    async def __call__(self, token: str) -> Caller:
        return await self.verifier.verify("Bearer " + token)


@pytest.fixture
def verify() -> Verify:
    return Verify()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rsa(key: RSAKey) -> Callable[[bytes], bytes]:
    private = key.private_key
    assert isinstance(private, RSAPrivateKey)
    return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def forge(claims: object, header: dict[str, Any] | None = None, sign: Callable[[bytes], bytes] | None = None) -> str:
    """A token made without the product's code."""
    signed = b64(orjson.dumps({"typ": "JWT", "alg": "RS256", "kid": "r1", **(header or {})})) + "."
    signed += b64(orjson.dumps(claims))
    return signed + "." + b64((sign or rsa(KEY))(signed.encode()))


def claims(**changes: object) -> dict[str, object]:
    usual = {
        "iss": ISSUER,
        "sub": "019-ann",
        "instance": "one",
        "sid": "session",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 900,
        "context": {"email": "ann@example.org", "roles": ["admin"], "first_name": "Ann", "last_name": "Lee"},
    }
    return {key: value for key, value in {**usual, **changes}.items() if value is not None}


async def test_an_account_token_is_a_users(verify: Verify) -> None:
    caller = await verify(forge(claims(su=True)))
    assert (caller.level, caller.instance_id, caller.user_id) == (Level.USER, "one", "019-ann")
    assert caller.session_id == "session"
    assert (caller.limits.message_parts, caller.flags.allow_reset) == (3, True)


async def test_our_own_tokens_are_accepted_by_the_key_they_name(verify: Verify) -> None:
    account = Account(user_id="019-ann", email='"é"@example.org', first_name="Ann", last_name="\0" * 79)
    for key in (("r1", KEY), ("r2", OTHER_KEY)):
        caller = await verify(account_token(ISSUER, "one", account, "session", NOW, NOW + 60, key))
        assert caller.user_id == "019-ann"
    with refuses("TOKEN_INVALID"):
        await verify(account_token(ISSUER, "one", account, "session", NOW, NOW + 60, ("r2", KEY)))


@pytest.mark.parametrize(
    "changes",
    [
        *({"iss": iss} for iss in ("chat.example.org", ISSUER + "/", ISSUER[:-1], "x" + ISSUER, ISSUER.upper(), "")),
        *({"iss": iss} for iss in (None, [ISSUER], {"iss": ISSUER}, "api_keys/k", "roomline/service", "roomline")),
        *({"instance": instance} for instance in ("two", "three", "", None, 1, ["one"])),
        *({"sub": sub} for sub in (None, "", 5, {"a": 1}, "x" * 161)),
        *({"sid": sid} for sid in (None, "", 5, ["session"])),
        *({"exp": exp} for exp in (None, "soon", True)),
        *({name: value} for name in ("iat", "nbf") for value in ("now", NOW + LEEWAY_SECONDS + 1)),
        {"refresh": True},
    ],
    ids=str,
)
async def test_bad_claims_are_invalid(verify: Verify, changes: dict[str, object]) -> None:
    with refuses("TOKEN_INVALID"):
        await verify(forge(claims(**changes)))


PUBLIC = pem(KEY).encode()
JWK = {"kty": "RSA", **{name: KEY.as_dict(private=False)[name] for name in ("n", "e")}}


@pytest.mark.parametrize(
    "make",
    [
        lambda: forge(claims(), {"alg": "none"}, lambda _: b""),
        lambda: forge(claims(), {"alg": "None"}, lambda _: b""),
        lambda: forge(claims(), {"alg": "HS256"}, hs256(PUBLIC)),
        lambda: forge(claims(), {"alg": "HS256"}, hs256(PUBLIC.strip())),
        lambda: forge(claims(), {"alg": "HS256"}, hs256(b"")),
        lambda: forge(claims(), sign=hs256(PUBLIC)),
        lambda: forge(claims(), {"alg": "PS256"}),
        lambda: forge(claims(), {"alg": "RS512"}),
        lambda: forge(claims(), sign=rsa(OTHER_KEY)),
        lambda: forge(claims(), {"kid": "r2"}),
        lambda: forge(claims(), {"kid": "unknown"}),
        lambda: forge(claims(), {"kid": ""}),
        lambda: forge(claims(), {"kid": None}),
        lambda: forge(claims(), {"typ": "at+jwt"}),
        lambda: forge(claims(), {"kid": ["r1"]}),
        lambda: forge(claims(), {"kid": "../r1"}),
        lambda: forge(claims(), {"kid": "unknown", "jwk": JWK}),
        lambda: forge(claims(), {"kid": "unknown", "jku": "https://example.org/jwks.json"}),
        lambda: forge(claims(), {"kid": "unknown", "x5u": "https://example.org/cert.pem"}),
        lambda: forge(claims(), {"crit": ["exp"]}),
        lambda: forge(claims(), {"crit": ["x"], "x": 1}),
        lambda: forge(claims(), {"crit": []}),
        lambda: forge(claims(), {"b64": False, "crit": ["b64"]}),
        lambda: forge(claims()).rpartition(".")[0] + ".",
        lambda: forge(claims())[:-8] + "AAAAAAAA",
        lambda: forge(["not", "claims"]),
        # An instance key signs with HS256 and nothing else, even if its secret is a public key.
        lambda: forge(claims(iss="api_keys/k")),
        lambda: forge(claims(iss="api_keys/r1")),
        lambda: forge(claims(iss="roomline/service")),
        lambda: forge(claims(iss="roomline/operator"), {"alg": "HS256"}, hs256(PUBLIC)),
    ],
)
async def test_forged_tokens_are_invalid(verify: Verify, make: Callable[[], str]) -> None:
    with refuses("TOKEN_INVALID"):
        await verify(make())


async def test_a_token_of_one_instance_is_none_of_another(verify: Verify) -> None:
    """Also if both have accounts, and the same issuer."""
    verify.keys.known["two"].account_issuer = ISSUER
    verify.keys.known["two"].account_keys.add(id="r2", public_key=pem(OTHER_KEY))
    await verify(forge(claims(instance="two"), {"kid": "r2"}, rsa(OTHER_KEY)))
    for header in ({"kid": "r1"}, {"kid": "r2"}):
        with refuses("TOKEN_INVALID"):
            await verify(forge(claims(instance="two"), header))


async def test_an_instance_without_accounts_takes_no_tokens_of_any(verify: Verify) -> None:
    del verify.keys.known["one"].account_keys[:]
    verify.keys.known["one"].account_issuer = ""
    for issuer in (ISSUER, ""):
        with refuses("TOKEN_INVALID"):
            await verify(forge(claims(iss=issuer)))


async def test_a_flood_of_key_ids_asks_for_nothing_and_is_not_kept(verify: Verify) -> None:
    for number in range(300):
        with refuses("TOKEN_INVALID"):
            await verify(forge(claims(), {"kid": f"k{number}"}, lambda _: b"no signature"))
    assert verify.keys.asked == 300  # what is in memory, once for each token
    assert not verify.verifier._cache
    assert CACHED_TOKENS >= 300


async def test_expiry_has_no_leeway(verify: Verify) -> None:
    token = forge(claims())
    verify.now = NOW + 899.9
    await verify(token)
    verify.now = NOW + 900
    with refuses("TOKEN_EXPIRED"):
        await verify(token)
    with refuses("TOKEN_EXPIRED"):
        await verify(forge(claims(jti=1)))


async def test_an_ended_session_counts_at_once_and_for_nobody_else(verify: Verify) -> None:
    token, other = forge(claims()), forge(claims(sid="other"))
    callers = await asyncio.gather(verify(token), verify(other))
    asked = verify.keys.asked
    verify.keys.ended = {("two", "session"), ("one", "another")}
    assert await verify(token) is callers[0]
    verify.keys.ended = {("one", "session")}
    for one in (token, forge(claims(jti=1))):
        with refuses("SESSION_ENDED"):
            await verify(one)
    assert await verify(other) is callers[1]
    assert verify.keys.asked == asked + 1  # all others came from the cache
    with refuses("TOKEN_INVALID"):  # nobody learns of sessions without a token
        await verify(forge(claims(), sign=rsa(OTHER_KEY)))


async def test_a_dropped_key_counts_at_once_for_cached_tokens(verify: Verify) -> None:
    token = forge(claims())
    await verify(token)
    del verify.keys.known["one"].account_keys[0]
    verify.keys.current = 2
    with refuses("TOKEN_INVALID"):
        await verify(token)
    await verify(forge(claims(), {"kid": "r2"}, rsa(OTHER_KEY)))
