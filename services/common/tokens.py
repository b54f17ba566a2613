"""Access tokens: JWTs, verified in every service and cached.

Four kinds by `iss`, which alone decides about algorithm and key. Signed with HS256 (spec §2): `api_keys/{key id}` for
users and servers of an instance, `roomline/service` for Roomline's own processes, `roomline/operator` for the operator.
Signed with RS256: those of accounts, with the issuer that the credentials of their instance name (`account_tokens`).
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceKey
from roomline.v1.instance_service_pb2 import InstanceCredentials

from services.common.account_tokens import check_account_signature, session_of
from services.common.call import ACCOUNT_LIMITS, DEFAULT_LIMITS, MAX_USER_ID, Caller, Level, effective_limits
from services.common.credentials import Credentials
from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS
from services.common.telemetry import REQUEST_ID_KEY, current_request_id
from services.common.timestamps import from_proto

API_KEY_ISSUER = "api_keys/"
SERVICE_ISSUER = "roomline/service"
OPERATOR_ISSUER = "roomline/operator"

LEEWAY_SECONDS = 60
"""For `iat` and `nbf`; `exp` has none."""
SERVICE_TOKEN_SECONDS = 300
MAX_TOKEN_BYTES = 8192
CACHED_TOKENS = 20_000

Seconds = Callable[[], float]


def sign(claims: dict[str, Any], secret: str) -> str:
    """A JWT over the claims; the key is the raw UTF-8 of the secret."""
    payload = orjson.dumps(claims)
    return jws.serialize_compact({"alg": "HS256", "typ": "JWT"}, payload, OctKey.import_key(secret))


def user_token(
    instance_id: str, key_id: str, secret: str, user_id: str, now: float, lifetime: int, *, su: bool = False
) -> str:
    """A user or server token of an instance; no `sub` if `user_id` is empty. `lifetime` is in seconds."""
    claims: dict[str, Any] = {
        "instance": instance_id,
        "iss": API_KEY_ISSUER + key_id,
        "iat": int(now),
        "exp": int(now) + lifetime,
    }
    if user_id:
        claims["sub"] = user_id
    if su:
        claims["su"] = True
    return sign(claims, secret)


def refresh_token(instance_id: str, key: InstanceKey, user_id: str, now: float) -> str:
    """A refresh token of a user (spec §2.1): it has no `exp`, and no service takes it for an access token."""
    claims = {"instance": instance_id, "iss": API_KEY_ISSUER + key.id, "sub": user_id, "iat": int(now), "refresh": True}
    return sign(claims, key.secret)


def check_refresh_token(token: str, credentials: InstanceCredentials, user_id: str) -> None:
    """Raises REFRESH_TOKEN_INVALID unless a key of the instance that is in force made the token for this user."""
    try:
        claims = _unverified_claims(token)
        key = next((key for key in credentials.keys if claims.get("iss") == API_KEY_ISSUER + key.id), None)
        wanted = {"instance": credentials.instance.id, "sub": user_id, "refresh": True}
        if key is None or any(claims.get(name) != value for name, value in wanted.items()):
            raise _invalid()
        _check_signature(token, key.secret)
    except RoomlineError as error:
        raise RoomlineError(ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID) from error


class ServiceTokens:
    """Mints the short-lived tokens with which one of Roomline's processes, or the operator, calls a service."""

    def __init__(self, issuer: str, secret: str, name: str, now: Seconds = time.time) -> None:
        self._issuer = issuer
        self._secret = secret
        self._name = name
        self._now = now
        self._minted: dict[str, tuple[str, float]] = {}

    def __call__(self, instance_id: str = "") -> str:
        """A token for calls inside the instance; good for at least half of its lifetime."""
        now = self._now()
        token, expires = self._minted.get(instance_id, ("", 0.0))
        if expires - now < SERVICE_TOKEN_SECONDS / 2:
            expires = now + SERVICE_TOKEN_SECONDS
            claims = {"iss": self._issuer, "sub": self._name, "iat": now, "exp": expires}
            if instance_id:
                claims["instance"] = instance_id
            token = sign(claims, self._secret)
            self._minted[instance_id] = (token, expires)
        return token

    def metadata(self, instance_id: str = "") -> tuple[tuple[str, str], ...]:
        """The metadata of such a call; with the request id of the call that it is made for, if there is one."""
        authorization = ("authorization", "Bearer " + self(instance_id))
        request_id = current_request_id()
        return (authorization, (REQUEST_ID_KEY, request_id)) if request_id else (authorization,)


class _Verified(NamedTuple):
    """A token with a good signature, which may be over by now."""

    caller: Caller
    expires: float
    key_ends: float
    """When the key that signed it is in force no longer."""
    version: int


class TokenVerifier:
    """Tells who calls from the `authorization` metadata of a call."""

    def __init__(
        self, credentials: Credentials, service_secret: str, operator_secret: str, now: Seconds = time.time
    ) -> None:
        self._credentials = credentials
        own = {SERVICE_ISSUER: (service_secret, Level.SERVICE), OPERATOR_ISSUER: (operator_secret, Level.OPERATOR)}
        self._own = {issuer: known for issuer, known in own.items() if known[0]}  # nothing is signed with no secret
        self._now = now
        self._cache: dict[str, _Verified] = {}

    async def verify(self, authorization: str | None) -> Caller:
        """The caller. Raises TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED or SESSION_ENDED."""
        if not authorization:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_MISSING)
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_BYTES:
            raise _invalid()
        verified = self._cache.get(token)
        if verified is None or verified.version != self._credentials.version(verified.caller.instance_id):
            verified = await self._verify(token)
            self._cache.pop(token, None)
            while len(self._cache) >= CACHED_TOKENS:
                del self._cache[next(iter(self._cache))]
            self._cache[token] = verified
        now = self._now()
        if verified.key_ends <= now:
            raise _invalid()
        self._check_session(verified.caller)
        # Last: some streams stay open past their token's time, but not past what else ends it.
        if verified.expires <= now:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
        return verified.caller

    async def _verify(self, token: str) -> _Verified:
        claims = _unverified_claims(token)
        issuer = claims.get("iss")
        if not isinstance(issuer, str):
            raise _invalid()
        if issuer in self._own:
            return self._verify_own(token, claims, issuer)
        instance_id = claims.get("instance")
        if not isinstance(instance_id, str) or not instance_id:
            raise _invalid()
        version, credentials = await self._look_up(instance_id)
        if credentials is None:
            raise _invalid()
        level, session_id, ends = Level.USER, "", float("inf")
        if issuer.startswith(API_KEY_ISSUER):
            secret, ends = self._secret(credentials, issuer.removeprefix(API_KEY_ISSUER))
            _check_signature(token, secret)
            level = Level.SERVER if claims.get("su") is True else Level.USER
        elif issuer == credentials.account_issuer:
            check_account_signature(token, credentials)
            session_id = session_of(claims)
        else:
            raise _invalid()
        expires = self._check_times(claims)
        defaults, flags = ACCOUNT_LIMITS if session_id else DEFAULT_LIMITS, credentials.instance.flags
        limits = effective_limits(credentials.instance.limits, defaults)
        caller = Caller(level, instance_id, _subject(claims), limits, flags, session_id)
        if claims.get("refresh") is True or (caller.is_user and not 0 < len(caller.user_id) <= MAX_USER_ID):
            raise _invalid()
        return _Verified(caller, expires, ends, version)

    def _check_session(self, caller: Caller) -> None:
        """Asked for every call: a session that ends leaves the tokens of all others in the cache."""
        if caller.session_id and self._credentials.is_ended(caller.instance_id, caller.session_id):
            raise RoomlineError(ErrorReason.ERROR_REASON_SESSION_ENDED)

    async def _look_up(self, instance_id: str) -> tuple[int, InstanceCredentials | None]:
        """Credentials with their version: looked up again if they change meanwhile, as they do when they are learnt."""
        while True:
            version = self._credentials.version(instance_id)
            credentials = await self._credentials.get(instance_id)
            if self._credentials.version(instance_id) == version:
                return version, credentials

    def _verify_own(self, token: str, claims: dict[str, Any], issuer: str) -> _Verified:
        secret, level = self._own[issuer]
        _check_signature(token, secret)
        expires = self._check_times(claims)
        instance_id = claims.get("instance", "")
        if not isinstance(instance_id, str):
            raise _invalid()
        return _Verified(Caller(level, instance_id), expires, float("inf"), self._credentials.version(instance_id))

    def _secret(self, credentials: InstanceCredentials, key_id: str) -> tuple[str, float]:
        for key in credentials.keys:
            if key.id == key_id:
                ends = from_proto(key.revoked_at) / MICROSECONDS if key.HasField("revoked_at") else float("inf")
                if ends > self._now():
                    return key.secret, ends
        raise _invalid()

    def _check_times(self, claims: dict[str, Any]) -> float:
        now = self._now()
        expires = _number(claims, "exp")
        if expires is None:
            raise _invalid()
        for name in ("iat", "nbf"):
            begins = _number(claims, name)
            if begins is not None and begins > now + LEEWAY_SECONDS:
                raise _invalid()
        return expires


def _invalid() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)


def _unverified_claims(token: str) -> dict[str, Any]:
    """The claims, only to find the key that verifies them."""
    try:
        claims = orjson.loads(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError) as error:
        raise _invalid() from error
    if not isinstance(claims, dict):
        raise _invalid()
    return claims


def _check_signature(token: str, secret: str) -> None:
    try:
        # One algorithm, one key, neither taken from the token; an unknown `crit` is refused (RFC 7515 §4.1.11).
        jws.deserialize_compact(token, OctKey.import_key(secret), algorithms=["HS256"])
    except (JoseError, ValueError) as error:
        raise _invalid() from error


def _subject(claims: dict[str, Any]) -> str:
    subject = claims.get("sub")
    if subject is None:
        return ""
    if not isinstance(subject, str):
        raise _invalid()
    return subject


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _invalid()
    return float(value)
