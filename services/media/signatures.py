"""Signed URLs: who has one may put or get an attachment's bytes without a token. The row decides whether there are any.

A signature is a JWT (HS256) of keys of the media service's own. Every 30 days a new key signs; an earlier one verifies
until its last signature is over. Signatures without an end have a key of their own, which never changes.
"""

import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock, secret
from services.media.store import KeyStore, SigningKey, Stored

Method = Literal["GET", "PUT"]

UPLOAD_SECONDS = 15 * 60
DOWNLOAD_SECONDS = 24 * 3600
"""How long signatures are valid (spec §6.2, §6.3)."""
RENEW_SECONDS = 30 * 86_400
"""How long a key signs."""


class Signed(NamedTuple):
    """What a signature is for."""

    instance_id: str
    attachment_id: str
    room_uid: str | None
    expires: int | None
    """When it ends, in seconds since the epoch; None if it does not."""


class Signatures:
    """Makes and checks them. `refresh` comes first, and again every now and then."""

    def __init__(self, store: KeyStore, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._keys: dict[str, tuple[SigningKey, OctKey]] = {}
        self._current: dict[bool, str] = {}
        """Whether the key is the permanent one → its id."""

    async def refresh(self) -> None:
        """Reads the keys; makes a new one and drops old ones where that is due."""
        now = self._clock()
        renew_before = now - RENEW_SECONDS * MICROSECONDS
        drop_before = now - max(UPLOAD_SECONDS, DOWNLOAD_SECONDS) * MICROSECONDS
        keys = await self._store.all()
        lasting = [key for key in keys if key.retired_at is None and (key.permanent or key.created_at >= renew_before)]
        dropped = [key for key in keys if key.retired_at is not None and key.retired_at < drop_before]
        if len(lasting) < len(("permanent", "present")) or dropped:  # else nothing is written: the disk may be full
            new, permanent = (self._new_key(now, permanent=permanent) for permanent in (False, True))
            await self._store.rotate(new, permanent, renew_before, drop_before)
            keys = await self._store.all()
        self._keys = {key.id: (key, OctKey.import_key(key.secret)) for key in keys}
        self._current = {key.permanent: key.id for key in keys if key.retired_at is None}

    def sign(self, stored: Stored, method: Method, expires: int | None) -> str:
        """A signature that is valid until that time in seconds since the epoch, or for as long as the row is there."""
        key_id = self._current[expires is None]
        claims: dict[str, Any] = {"sub": stored.attachment.id, "instance": stored.instance_id, "method": method}
        if stored.room_uid is not None:
            claims["room"] = stored.room_uid
        if expires is not None:
            claims["exp"] = expires
        return jws.serialize_compact({"alg": "HS256", "kid": key_id}, orjson.dumps(claims), self._keys[key_id][1])

    def verify(self, signature: str, method: Method) -> Signed:
        """What the signature is for. Raises SIGNATURE_INVALID unless we made it, for this method, and in time."""
        try:
            # Key and algorithm are ours, not the token's; the comparison takes constant time.
            key, octets = self._keys[jws.extract_compact(signature.encode()).headers()["kid"]]
            claims = orjson.loads(jws.deserialize_compact(signature, octets, algorithms=["HS256"]).payload)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _invalid() from error
        # What one of our keys has signed is as `sign` makes it.
        expires = claims.get("exp")
        if claims["method"] != method or key.permanent != (expires is None):
            raise _invalid()
        if expires is not None and expires * MICROSECONDS <= self._clock():
            raise _invalid()
        return Signed(claims["instance"], claims["sub"], claims.get("room"), expires)

    def _new_key(self, now: int, *, permanent: bool) -> SigningKey:
        return SigningKey(self._entropy(8).hex(), secret(self._entropy), permanent, now)


def _invalid() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID)
