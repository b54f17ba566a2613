"""The form of the key that signs web pushes (RFC 8292), without cryptography: every process reads the settings."""

from services.common import base64url

_BYTES = 32
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256."""


def private_number(text: str) -> int:
    """The private key. Raises ValueError."""
    data = base64url.decode(text)
    number = int.from_bytes(data)
    if len(data) != _BYTES or not 0 < number < _ORDER:
        raise ValueError("no private key")
    return number


def is_private(text: str) -> bool:
    """Whether it is a private key."""
    try:
        private_number(text)
    except ValueError:
        return False
    return True


def encode_private(number: int) -> str:
    """The text that `private_number` reads."""
    return base64url.encode(number.to_bytes(_BYTES))
