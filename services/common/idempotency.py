"""Request ids (AIP-155): the same id and body give the first answer, the same id with another body is refused."""

import hashlib
import sqlite3
from collections.abc import Collection
from typing import Any, NamedTuple, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.common.naming import uid_fields
from services.common.sqlite import Database, Work

M = TypeVar("M", bound=Message)

SWEEP_ROWS = 5000

_EFFECT = "\0effect "
"""Begins what stands in the place of a request id. Whoever makes such an id of his own is in nobody's way but his."""


class RequestKey(NamedTuple):
    """What a repeated call has in common with the first one."""

    instance_id: str
    actor: str
    request_id: str
    fingerprint: bytes
    """Of the request's type and content, without the request id."""


def request_key(caller: Caller, request: Any, leave_out: Collection[str] = ()) -> RequestKey | None:
    """The key of a request message that has a `request_id` field; None if the caller set none.

    The fields in `leave_out` are not compared. Leave passwords out: the fingerprint is stored, and whoever sees it
    could check guesses in no time.
    """
    if not request.request_id:
        return None
    body = type(request)()
    body.CopyFrom(request)
    for name in ("request_id", *leave_out):
        body.ClearField(name)
    for name in uid_fields(body.DESCRIPTOR):
        if getattr(body, name):  # then `room_id` is what it led to this time, and may lead nowhere the next time
            body.room_id = ""
    digest = hashlib.blake2b(request.DESCRIPTOR.full_name.encode(), digest_size=16)
    digest.update(body.SerializeToString(deterministic=True))
    return RequestKey(caller.instance_id, caller.user_id, request.request_id, digest.digest())


def _first_answer(connection: sqlite3.Connection, key: RequestKey, response_class: type[M]) -> M | None:
    row = connection.execute(
        "SELECT fingerprint, response FROM requests WHERE instance_id = ? AND actor = ? AND request_id = ?", key[:3]
    ).fetchone()
    if row is None:
        return None
    if row[0] != key.fingerprint:
        raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)
    return response_class.FromString(row[1])


async def recall(database: Database, key: RequestKey | None, response_class: type[M]) -> M | None:
    """The first answer to this request, if it was carried out before. Raises REQUEST_ID_REUSED.

    For handlers that ask another service before they write: a repeated call needs no second answer from there.
    """
    if key is None:
        return None
    return await database.read(lambda connection: _first_answer(connection, key, response_class))


def remembered(key: RequestKey | None, response_class: type[M], clock: Clock, work: Work[M]) -> Work[M]:
    """The work, carried out once per key: repeated, it returns the first answer. Raises REQUEST_ID_REUSED.

    Look-up, work and remembering are one transaction. Work that raises is not remembered.
    """
    if key is None:
        return work

    def run(connection: sqlite3.Connection) -> M:
        first = _first_answer(connection, key, response_class)
        if first is not None:
            return first
        response = work(connection)
        _remember(connection, key, response, clock())
        return response

    return run


class Effect:
    """What a request has done, whatever its request id: for those that find nothing to do once it is done.

    It is remembered as long as request ids are.
    """

    def __init__(self, caller: Caller, request: Any) -> None:
        named = type(request)()
        named.CopyFrom(request)
        named.request_id = _EFFECT
        key = request_key(caller, named)
        if key is None:
            raise TypeError("a request with a request id")
        self._key = key._replace(request_id=_EFFECT + key.fingerprint.hex())

    def note(self, connection: sqlite3.Connection, now: int) -> None:
        """Says that it is done, inside the transaction that does it."""
        connection.execute("DELETE FROM requests WHERE instance_id = ? AND actor = ? AND request_id = ?", self._key[:3])
        _remember(connection, self._key, Empty(), now)

    def is_done(self, connection: sqlite3.Connection) -> bool:
        """Whether the same caller has done the same."""
        return _first_answer(connection, self._key, Empty) is not None


def _remember(connection: sqlite3.Connection, key: RequestKey, response: Message, now: int) -> None:
    connection.execute("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)", (*key, response.SerializeToString(), now))


async def forget(database: Database, clock: Clock, hours: int) -> None:
    """Forgets request ids older than the given hours, a piece at a time, so that no other writer waits long."""
    limit = clock() - hours * 3600 * MICROSECONDS
    statement = (
        "DELETE FROM requests WHERE rowid IN"
        " (SELECT rowid FROM (SELECT rowid, created_at FROM requests ORDER BY rowid LIMIT ?) WHERE created_at < ?)"
    )
    while await database.write(lambda connection: connection.execute(statement, (SWEEP_ROWS, limit)).rowcount):
        pass
