"""A browser as far as web push goes: it makes keys, and reads what a push service hands it (RFC 8291, RFC 8292)."""

from __future__ import annotations

import base64
import os
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.receiver import Posted

P256 = ec.SECP256R1()

PRIVATE_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
PUBLIC_KEY = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
"""A server's pair of keys: that of the example in RFC 8291, Appendix A, which is good for tests only."""
SUBJECT = "mailto:operator@example.org"


class Browser:
    """One registration of one browser."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.auth = os.urandom(16)
        self._key = ec.generate_private_key(P256)

    @property
    def p256dh(self) -> bytes:
        """Its public key."""
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def as_json(self) -> dict[str, Any]:
        """What `PushSubscription.toJSON()` gives."""
        keys = {"p256dh": encode(self.p256dh), "auth": encode(self.auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, posted: Posted) -> Any:
        """What a push says to this browser. Raises InvalidTag if it is for another one."""
        assert posted.headers["content-encoding"] == "aes128gcm"
        salt, size = posted.body[:16], posted.body[20]
        assert len(posted.body) <= 4096
        sender, secret = posted.body[21 : 21 + size], posted.body[21 + size :]
        shared = self._key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(P256, sender))
        first = _derived(shared, self.auth, b"WebPush: info\0" + self.p256dh + sender, 32)
        key = _derived(first, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _derived(first, salt, b"Content-Encoding: nonce\0", 12)
        text = AESGCM(key).decrypt(nonce, secret, None)
        assert text[-1] == 2, "the last record says so"
        return orjson.loads(text[:-1])


def sender_of(posted: Posted, public_key: str) -> Any:
    """The verified claims of whoever sent a push, who must have this key."""
    scheme, _, rest = posted.headers["authorization"].partition(" ")
    fields = dict(field.strip().split("=", 1) for field in rest.split(","))
    assert (scheme, set(fields), fields["k"]) == ("vapid", {"t", "k"}, public_key)
    signed, _, signature = fields["t"].rpartition(".")
    header, claims = (orjson.loads(decode(part)) for part in signed.split("."))
    assert header == {"alg": "ES256", "typ": "JWT"}
    raw = decode(signature)
    made = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(P256, decode(public_key))
    key.verify(made, signed.encode(), ec.ECDSA(hashes.SHA256()))
    return claims


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of such a text."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)
