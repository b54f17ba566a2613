"""Refresh tokens: which session, a secret of 256 bits, and a seal that only the session's own key could have made.

A token leads to the next one, by a salt that is drawn for that step: whoever shows it again, because the answer was
lost, gets the same next one, and nobody has to keep it. Of a token that is neither the present nor the previous one,
the seal says whether it was spent before or is made up, without a list of those that were.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from typing import NamedTuple

SECRET_BYTES = 32
_ID_BYTES = 16
_SEAL_BYTES = 16
_BYTES = _ID_BYTES + SECRET_BYTES + _SEAL_BYTES


class RefreshToken(NamedTuple):
    """One token, as its text says."""

    session_id: str
    """A UUID."""
    secret: bytes
    seal: bytes

    @classmethod
    def make(cls, session_id: str, secret: bytes, seal_key: bytes) -> RefreshToken:
        """The token of a session that holds this secret."""
        return cls(session_id, secret, _seal(secret, seal_key))

    @classmethod
    def parse(cls, text: str) -> RefreshToken | None:
        """The token of a text; None if it is none."""
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(data) != _BYTES:
            return None
        secret, seal = data[_ID_BYTES:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        token = cls(str(uuid.UUID(bytes=data[:_ID_BYTES])), secret, seal)
        return token if token.text == text else None  # a token has one text

    @property
    def text(self) -> str:
        """What a client is given; nobody stores it."""
        return base64.urlsafe_b64encode(uuid.UUID(self.session_id).bytes + self.secret + self.seal).decode().rstrip("=")

    @property
    def digest(self) -> bytes:
        """What is stored instead. 256 random bits need no slow hash."""
        return hashlib.sha256(self.secret + self.seal).digest()

    def following(self, salt: bytes, seal_key: bytes) -> RefreshToken:
        """The token after this one."""
        return RefreshToken.make(self.session_id, hmac.digest(salt, self.secret, "sha256"), seal_key)

    def is_sealed(self, seal_key: bytes) -> bool:
        """Whether the token is, or was, one of the session with this key."""
        return hmac.compare_digest(self.seal, _seal(self.secret, seal_key))


def _seal(secret: bytes, seal_key: bytes) -> bytes:
    return hmac.digest(seal_key, secret, "sha256")[:_SEAL_BYTES]
