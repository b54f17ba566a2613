"""Tickets: a token for one use, soon, that may stand in a URL (spec §7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

TICKET_SECONDS = 30

_NONCE_BYTES = 16
_REMEMBERED_SECONDS = 120
"""Longer than a ticket counts, also one from a process whose clock is a minute ahead, which Fernet lets pass."""


class Ticket(NamedTuple):
    """What somebody gets for a token."""

    text: str
    expires_at: int
    """Milliseconds since the Unix epoch."""


class Tickets:
    """Tickets are their tokens, sealed: any gateway with the same secret takes them.

    Each process remembers those that it has taken. That a ticket counts once holds for each process by itself: where
    there are several, one that somebody has seen may count once at each of the others, within its 30 seconds.
    `now` is in seconds since the Unix epoch.
    """

    def __init__(self, secret: str, now: Callable[[], float] = time.time) -> None:
        """Without a secret, tickets count in this process only."""
        key = hmac.digest(secret.encode(), b"event tickets", hashlib.sha256) if secret else os.urandom(32)
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        self._now = now
        self._taken: dict[bytes, float] = {}
        """Nonces of tickets, oldest first, and when nobody takes them any more."""

    def issue(self, authorization: str) -> Ticket:
        """A ticket for the value of an `Authorization` header, to be verified when the ticket is used."""
        now = int(self._now())
        sealed = self._seal.encrypt_at_time(os.urandom(_NONCE_BYTES) + authorization.encode(), now)
        return Ticket(sealed.decode().rstrip("="), (now + TICKET_SECONDS) * 1000)

    def redeem(self, text: str) -> str:
        """What the ticket was issued for. Raises TOKEN_INVALID if it is none, too old, or was used here before."""
        now = int(self._now())
        try:
            padded = text.encode() + b"=" * (-len(text) % 4)
            opened = self._seal.decrypt_at_time(padded, TICKET_SECONDS, now)
        except InvalidToken:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID) from None
        self._take(opened[:_NONCE_BYTES], now)
        return opened[_NONCE_BYTES:].decode()

    def _take(self, nonce: bytes, now: float) -> None:
        while self._taken and self._taken[oldest := next(iter(self._taken))] < now:
            del self._taken[oldest]
        if nonce in self._taken:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        self._taken[nonce] = now + _REMEMBERED_SECONDS
