"""Messages to browsers: what they say, and how only that browser can read it (RFC 8291)."""

import os

import http_ece
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from roomline.v1.room_pb2 import Room

from services.common.notifications import LENGTH, Wording, notification, shortened
from services.common.rules import invalid

MAX_BYTES = 4096 - 86 - 17
"""What push services take at least (RFC 8030 §7.2), without the header and what the encryption adds."""
_KEY_BYTES = 65
_UNCOMPRESSED = 4
_SECRET_BYTES = 16


def check_keys(p256dh: bytes, auth: bytes) -> None:
    """Raises FIELD_INVALID if a browser cannot have made them: every push to it would fail."""
    try:
        if len(p256dh) != _KEY_BYTES or p256dh[0] != _UNCOMPRESSED:
            raise ValueError
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), p256dh)
    except ValueError as error:
        raise invalid("p256dh", "an uncompressed point on the curve P-256, 65 bytes") from error
    if len(auth) != _SECRET_BYTES:
        raise invalid("auth", "16 bytes")


def payload(room: Room, said: Wording) -> bytes:
    """The JSON that the browser's service worker gets, with title and body shortened if it would be too large.

    Then it fits: also if each of their characters, and of the room's id, takes the six bytes that JSON needs at most.
    """
    data = orjson.dumps(notification(room, said))
    if len(data) > MAX_BYTES:
        title, body = (shortened(text, LENGTH) for text in said)
        data = orjson.dumps(notification(room, Wording(title, body)))
    return data


def encrypted(data: bytes, p256dh: bytes, auth: bytes) -> bytes:
    """The body of a push, `Content-Encoding: aes128gcm`, for the browser with these keys."""
    body: bytes = http_ece.encrypt(
        data,
        salt=os.urandom(16),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=p256dh,
        auth_secret=auth,
        version="aes128gcm",
    )
    return body
