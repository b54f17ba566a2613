"""Who sends a web push, as push services want to know it (RFC 8292)."""

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.jwk import ECKey
from yarl import URL

from services.common import base64url, vapid_key
from services.common.tokens import Seconds

LIFETIME_SECONDS = 12 * 3600
"""Of a token; push services take no longer ones than 24 hours."""
KEPT_TOKENS = 1000
"""One for each push service. There are a few in the world, but anybody can name others."""


class Vapid:
    """The server's key. `private_key` and `subject` are as the settings have them."""

    def __init__(self, private_key: str, subject: str, now: Seconds) -> None:
        key = ec.derive_private_key(vapid_key.private_number(private_key), ec.SECP256R1())
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key = base64url.encode(point)
        """What browsers subscribe with."""
        self._key = ECKey.import_key(key)
        self._subject = subject
        self._now = now
        self._tokens: dict[str, tuple[str, float]] = {}

    def authorization(self, endpoint: str) -> str:
        """The header `Authorization` of a push to this endpoint."""
        audience, now = str(URL(endpoint).origin()), self._now()
        token, expires = self._tokens.get(audience, ("", 0.0))
        if expires - now < LIFETIME_SECONDS / 2:
            expires = now + LIFETIME_SECONDS
            claims = {"aud": audience, "exp": int(expires), "sub": self._subject}
            token = jws.serialize_compact({"alg": "ES256", "typ": "JWT"}, orjson.dumps(claims), self._key)
            self._tokens.pop(audience, None)
            while len(self._tokens) >= KEPT_TOKENS:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[audience] = token, expires
        return f"vapid t={token}, k={self.public_key}"
