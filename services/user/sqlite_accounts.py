"""Keeps accounts in SQLite."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import RegisterResponse, UpdateProfileResponse
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_service_pb2 import NewUser

from services.common.errors import RoomlineError
from services.common.idempotency import RequestKey, recall, remembered
from services.common.ids import Clock
from services.common.sqlite import Database
from services.user.account_store import NewAccount, ProfileChange, StoredPassword
from services.user.email_address import email_key
from services.user.sqlite_users import insert_users
from services.user.store import Age

_SELECT = (
    "SELECT users.id, users.uid, users.name, first_name, last_name, email, users.created_at, sequence FROM users"
    " LEFT JOIN accounts ON accounts.instance_id = users.instance_id AND accounts.user_id = users.id"
)
_SELECT_BY_ID = f"{_SELECT} WHERE users.instance_id = ? AND users.id = ?"
_SELECT_BY_UID = f"{_SELECT} WHERE users.instance_id = ? AND users.uid = ?"
_SELECT_PAGE = (
    f"{_SELECT} WHERE users.instance_id = ? AND (users.created_at, sequence) > (?, ?)"
    " ORDER BY users.created_at, sequence LIMIT ?"
)
_SELECT_LOGIN = "SELECT user_id, email_key, password FROM accounts WHERE instance_id = ?"


class SqliteAccounts:
    """An `AccountStore`. `new_id` makes the ids of users."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def register(self, instance_id: str, new: NewAccount, key: RequestKey | None) -> RegisterResponse:
        """See `AccountStore`."""

        def work(connection: sqlite3.Connection) -> RegisterResponse:
            now, uid, compared = self._clock(), self._new_id(), email_key(new.email)
            if _password(connection, instance_id, "email_key", compared) is not None:
                raise RoomlineError(ErrorReason.ERROR_REASON_EMAIL_TAKEN)
            user = NewUser(id=uid, name=_full_name(new.first_name, new.last_name))
            insert_users(connection, instance_id, [(user, uid)], now)
            connection.execute(
                "INSERT INTO accounts (instance_id, user_id, email, email_key, first_name, last_name, password,"
                " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (instance_id, uid, new.email, compared, new.first_name, new.last_name, new.password, now, now),
            )
            return RegisterResponse(account=account_of(connection, instance_id, uid))

        return await self._database.write(remembered(key, RegisterResponse, self._clock, work))

    async def registered(self, key: RequestKey | None) -> RegisterResponse | None:
        """See `AccountStore`."""
        return await recall(self._database, key, RegisterResponse)

    async def password_of_email(self, instance_id: str, email_key: str) -> StoredPassword | None:
        """See `AccountStore`."""
        return await self._database.read(lambda connection: _password(connection, instance_id, "email_key", email_key))

    async def password_of_user(self, instance_id: str, user_id: str) -> StoredPassword | None:
        """See `AccountStore`."""
        return await self._database.read(lambda connection: _password(connection, instance_id, "user_id", user_id))

    async def get(self, instance_id: str, uids: Sequence[str], user_ids: Sequence[str]) -> list[Account]:
        """See `AccountStore`."""

        def work(connection: sqlite3.Connection) -> list[Account]:
            asked = [(_SELECT_BY_UID, uid) for uid in uids] + [(_SELECT_BY_ID, user_id) for user_id in user_ids]
            rows = (connection.execute(select, (instance_id, name)).fetchone() for select, name in dict.fromkeys(asked))
            return [_account(row) for row in {row[0]: row for row in rows if row is not None}.values()]

        return await self._database.read(work)

    async def page(self, instance_id: str, after: Age, limit: int) -> tuple[list[Account], Age | None]:
        """See `AccountStore`."""

        def work(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(_SELECT_PAGE, (instance_id, *after, limit + 1)).fetchall()

        rows = await self._database.read(work)
        accounts = [_account(row) for row in rows[:limit]]
        return accounts, Age(*rows[limit - 1][-2:]) if len(rows) > limit else None

    async def update(
        self, instance_id: str, user_id: str, change: ProfileChange, keep_session: str, key: RequestKey | None
    ) -> UpdateProfileResponse:
        """See `AccountStore`."""

        def work(connection: sqlite3.Connection) -> UpdateProfileResponse:
            stored = _password(connection, instance_id, "user_id", user_id)
            if stored is None:
                raise RoomlineError(ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND)
            if change.verified not in {None, stored.hash}:
                raise RoomlineError(ErrorReason.ERROR_REASON_PASSWORD_INVALID)
            now = self._clock()
            if change.password is not None:
                connection.execute(
                    "UPDATE accounts SET password = ?, updated_at = ? WHERE instance_id = ? AND user_id = ?",
                    (change.password, now, instance_id, user_id),
                )
                connection.execute(
                    "DELETE FROM sessions WHERE instance_id = ? AND user_id = ? AND id != ?",
                    (instance_id, user_id, keep_session),
                )
            if change.first_name is not None or change.last_name is not None:
                _rename(connection, instance_id, user_id, change, now)
            return UpdateProfileResponse(account=account_of(connection, instance_id, user_id))

        return await self._database.write(remembered(key, UpdateProfileResponse, self._clock, work))

    async def updated(self, key: RequestKey | None) -> UpdateProfileResponse | None:
        """See `AccountStore`."""
        return await recall(self._database, key, UpdateProfileResponse)


def account_of(connection: sqlite3.Connection, instance_id: str, user_id: str) -> Account:
    """A user, who exists, as an account."""
    return _account(connection.execute(_SELECT_BY_ID, (instance_id, user_id)).fetchone())


def _password(connection: sqlite3.Connection, instance_id: str, column: str, value: str) -> StoredPassword | None:
    row = connection.execute(f"{_SELECT_LOGIN} AND {column} = ?", (instance_id, value)).fetchone()
    return None if row is None else StoredPassword(*row)


def _rename(connection: sqlite3.Connection, instance_id: str, user_id: str, change: ProfileChange, now: int) -> None:
    names = connection.execute(
        "UPDATE accounts SET first_name = ifnull(?, first_name), last_name = ifnull(?, last_name), updated_at = ?"
        " WHERE instance_id = ? AND user_id = ? RETURNING first_name, last_name",
        (change.first_name, change.last_name, now, instance_id, user_id),
    ).fetchone()
    connection.execute(
        "UPDATE users SET name = ?, updated_at = ? WHERE instance_id = ? AND id = ?",
        (_full_name(*names), now, instance_id, user_id),
    )


def _full_name(first_name: str, last_name: str) -> str:
    """The name of the user."""
    return f"{first_name} {last_name}" if last_name else first_name


def _account(row: tuple[Any, ...]) -> Account:
    id_, uid, name, first_name, last_name, email, *_ = row
    if email is None:
        return Account(user_id=id_, user_uid=uid, first_name=name)
    return Account(user_id=id_, user_uid=uid, first_name=first_name, last_name=last_name, email=email)
