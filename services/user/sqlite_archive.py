"""Users and accounts of archives, on SQLite."""

import sqlite3
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing

from roomline.v1.archive_pb2 import AccountRecord, ArchiveRecord, UserRecord
from roomline.v1.archive_service_pb2 import ExportRecordsResponse, ImportResult
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.archive import (
    FRAME_BYTES,
    conflict,
    frames,
    imported,
    refused,
    size_of,
    time_fault,
    uid_fault,
    unchanged,
)
from services.common.errors import RoomlineError
from services.common.snapshots import pages, snapshot
from services.common.sqlite import Database
from services.common.timestamps import from_proto, to_proto
from services.user.email_address import email_key
from services.user.passwords import NO_PASSWORD, is_usable
from services.user.sqlite_deletions import refuse_pending
from services.user.sqlite_users import COLUMNS, draw_sequences, user_of, user_values
from services.user.store import Deletion, DeletionKind

_USER = ", ".join(f"u.{name}" for name in COLUMNS.split(", "))
_WHOSE = "FROM users u{join} WHERE u.instance_id = :instance_id AND (:user_id = '' OR u.id = :user_id)"
_ACCOUNTS = " LEFT JOIN accounts a ON a.instance_id = u.instance_id AND a.user_id = u.id"
_COUNT = "SELECT count(*) " + _WHOSE.format(join="")
_SELECT = (
    "SELECT a.email, a.first_name, a.last_name, a.password, a.created_at, a.updated_at,"
    f" {_USER} {_WHOSE.format(join=_ACCOUNTS)} ORDER BY u.created_at, u.sequence"
)
# With OR it would look at all users of the instance.
_THERE = (
    "SELECT id, uid FROM users WHERE instance_id = :instance_id AND id = :id"
    " UNION SELECT id, uid FROM users WHERE instance_id = :instance_id AND uid = :uid"
)


class SqliteArchive:
    """An `ArchiveStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def export(self, instance_id: str, user_id: str) -> AsyncGenerator[ExportRecordsResponse]:
        """See `ArchiveStore`."""
        whose = {"instance_id": instance_id, "user_id": user_id}
        async with snapshot(self._database) as taken:
            total = await taken.run(lambda connection: _count(connection, whose))
            if user_id and not total:
                raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
            rows = pages(taken, lambda connection: _records(connection, whose), size_of, FRAME_BYTES)
            async with aclosing(frames(total, rows)) as answers:
                async for answer in answers:
                    yield answer

    async def take(self, instance_id: str, records: Sequence[UserRecord]) -> list[ImportResult]:
        """See `ArchiveStore`."""
        return await self._database.write(
            lambda connection: [_take(connection, instance_id, record) for record in records]
        )


def _count(connection: sqlite3.Connection, whose: dict[str, str]) -> int:
    return int(connection.execute(_COUNT, whose).fetchone()[0])


def _records(connection: sqlite3.Connection, whose: dict[str, str]) -> Generator[ArchiveRecord]:
    with closing(connection.execute(_SELECT, whose)) as rows:
        for email, first_name, last_name, password, created_at, updated_at, *user in rows:
            record = UserRecord(user=user_of(tuple(user)))
            if email is not None:
                account = AccountRecord(
                    email=email,
                    first_name=first_name,
                    last_name=last_name,
                    password_hash=NO_PASSWORD if whose["user_id"] else password,
                    created_at=to_proto(created_at),
                    updated_at=to_proto(updated_at),
                )
                record.account.CopyFrom(account)
            yield ArchiveRecord(user=record)


def _take(connection: sqlite3.Connection, instance_id: str, record: UserRecord) -> ImportResult:
    user = record.user
    fault = uid_fault(user.uid) or time_fault(user, "created_at", "updated_at")
    if fault:
        return refused(fault)
    there = connection.execute(_THERE, {"instance_id": instance_id, "id": user.id, "uid": user.uid}).fetchall()
    if there:
        return unchanged() if (user.id, user.uid) in there else conflict("there is another user of this id or uid")
    refuse_pending(connection, Deletion(instance_id, DeletionKind.USER, user.id))
    connection.execute(
        "INSERT INTO users (instance_id, id, uid, sequence, name, avatar_url, custom_data, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(instance_id, user.id, user.uid, draw_sequences(connection, instance_id, 1), *user_values(user)),
            *(from_proto(user.created_at), from_proto(user.updated_at)),
        ),
    )
    return imported(_add_account(connection, instance_id, record) if record.HasField("account") else [])


def _add_account(connection: sqlite3.Connection, instance_id: str, record: UserRecord) -> list[str]:
    """Lets the user log in, unless somebody else has that e-mail address; returns what is to be said."""
    user, account = record.user, record.account
    key = email_key(account.email)
    taken = connection.execute(
        "SELECT user_id FROM accounts WHERE instance_id = ? AND email_key = ?", (instance_id, key)
    ).fetchone()
    if taken is not None:
        return [f"without its account: the user {taken[0]!r} has the e-mail address"]
    usable = is_usable(account.password_hash)
    connection.execute(
        "INSERT INTO accounts (instance_id, user_id, email, email_key, first_name, last_name, password,"
        " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(instance_id, user.id, account.email, key, account.first_name, account.last_name),
            account.password_hash if usable else NO_PASSWORD,
            from_proto(account.created_at if account.HasField("created_at") else user.created_at),
            from_proto(account.updated_at if account.HasField("updated_at") else user.updated_at),
        ),
    )
    if usable or not account.password_hash:
        return []
    return ["without its password, which is no Argon2 hash: a new one has to be set"]
