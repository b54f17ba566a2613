"""Whether the claim of a message's attachments still holds, in the transaction that stores the message (ADR 5)."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS
from services.message.store import Claim, ClaimOutdatedError

CLAIM_SECONDS = 300
"""How old a claim may be. The media service ends it after twice that, if it finds no message."""


def check_new(connection: sqlite3.Connection, instance_id: str, room_uid: str, claim: Claim, now: int) -> None:
    """Raises SERVICE_UNAVAILABLE, ClaimOutdatedError unless a new message can have what was claimed for it."""
    _check_age(claim, now)
    taken = connection.execute(
        "SELECT 1 FROM messages WHERE instance_id = ? AND uid = ?", (instance_id, claim.message_uid)
    ).fetchone()
    # The uid may be that of an earlier claim with the same request id: one that we have forgotten, or another actor's.
    if taken is not None or room_uid != claim.room_uid:
        raise ClaimOutdatedError


def check_edit(version: int, claim: Claim, now: int) -> None:
    """Raises SERVICE_UNAVAILABLE, ClaimOutdatedError unless the message is still as it was when the claim was made."""
    _check_age(claim, now)
    if version != claim.version:
        raise ClaimOutdatedError


def _check_age(claim: Claim, now: int) -> None:
    if now - claim.claimed_at > CLAIM_SECONDS * MICROSECONDS:
        raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="media")
