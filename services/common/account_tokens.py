"""Access tokens of accounts: JWTs that the user service signs with RS256, and every service verifies.

A token names its session (`sid`). It counts until it expires or its session ends, whichever comes first.
"""

from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from roomline.v1.account_pb2 import Account
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import InstanceCredentials

from services.common.errors import RoomlineError

ALGORITHM = "RS256"


def account_token(
    issuer: str, instance_id: str, account: Account, session_id: str, begins: int, expires: int, key: tuple[str, RSAKey]
) -> str:
    """A token of an account's session; times in seconds since the Unix epoch. `key` is the key's id and itself."""
    key_id, private = key
    claims = {
        "iss": issuer,
        "sub": account.user_id,
        "instance": instance_id,
        "sid": session_id,
        "iat": begins,
        "nbf": begins,
        "exp": expires,
        "context": {
            "email": account.email,
            "roles": [],
            "first_name": account.first_name,
            "last_name": account.last_name,
        },
    }
    return jws.serialize_compact(_header(key_id), orjson.dumps(claims), private, algorithms=[ALGORITHM])


def check_account_signature(token: str, credentials: InstanceCredentials) -> None:
    """Raises TOKEN_INVALID unless one of the instance's account keys signed the token.

    The header must be as `account_token` writes it. Its `kid` only chooses among the keys that are here; an unknown one
    makes nobody fetch anything (fault 10).
    """
    try:
        header = jws.extract_compact(token.encode()).headers()
        known = next((key.public_key for key in credentials.account_keys if _header(key.id) == header), None)
        if known is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        # One algorithm, not the token's choice, and a key of that algorithm's kind: no HMAC with a public key.
        jws.deserialize_compact(token, RSAKey.import_key(known), algorithms=[ALGORITHM])
    except (JoseError, ValueError) as error:
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID) from error


def _header(key_id: str) -> dict[str, Any]:
    return {"typ": "JWT", "alg": ALGORITHM, "kid": key_id}


def session_of(claims: dict[str, Any]) -> str:
    """The session that a token names. Raises TOKEN_INVALID if it names none."""
    session_id = claims.get("sid")
    if not isinstance(session_id, str) or not session_id:
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
    return session_id
