"""Keeps users in SQLite."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any

from google.protobuf.struct_pb2 import Struct
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import (
    BatchCreateUsersResponse,
    CreateUserResponse,
    DeleteUserResponse,
    NewUser,
    StartUserDeletionResponse,
    UpdateUserResponse,
)

from services.common.errors import RoomlineError
from services.common.idempotency import RequestKey, remembered
from services.common.ids import Clock
from services.common.jobs import new_job
from services.common.masks import merge
from services.common.sqlite import Database
from services.common.timestamps import to_proto
from services.user.account_store import REGISTRATION_ACTOR
from services.user.sqlite_deletions import add_deletion, add_job, refuse_pending
from services.user.store import Age, Deletion, DeletionKind

COLUMNS = "id, uid, name, avatar_url, custom_data, created_at, updated_at"
"""What `user_of` wants."""

_SELECT_ONE = f"SELECT {COLUMNS} FROM users WHERE instance_id = ? AND id = ?"
_SELECT_EMAIL = "SELECT email_key FROM accounts WHERE instance_id = ? AND user_id = ?"
_SELECT_PAGE = (
    f"SELECT {COLUMNS}, sequence FROM users"
    " WHERE instance_id = ? AND (created_at, sequence) > (?, ?) ORDER BY created_at, sequence LIMIT ?"
)


class SqliteUsers:
    """A `UserStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def create(self, instance_id: str, user: NewUser, key: RequestKey | None) -> CreateUserResponse:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> CreateUserResponse:
            return CreateUserResponse(user=self._create(connection, instance_id, [user])[0])

        return await self._database.write(remembered(key, CreateUserResponse, self._clock, work))

    async def create_all(
        self, instance_id: str, users: Sequence[NewUser], key: RequestKey | None
    ) -> BatchCreateUsersResponse:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> BatchCreateUsersResponse:
            return BatchCreateUsersResponse(users=self._create(connection, instance_id, users))

        return await self._database.write(remembered(key, BatchCreateUsersResponse, self._clock, work))

    async def get(self, instance_id: str, user_ids: Collection[str]) -> list[User]:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> list[User]:
            # One look-up by primary key each: that keeps the order and costs microseconds.
            rows = (connection.execute(_SELECT_ONE, (instance_id, id_)).fetchone() for id_ in dict.fromkeys(user_ids))
            return [user_of(row) for row in rows if row is not None]

        return await self._database.read(work)

    async def page(self, instance_id: str, after: Age, limit: int) -> tuple[list[User], Age | None]:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(_SELECT_PAGE, (instance_id, *after, limit + 1)).fetchall()

        rows = await self._database.read(work)
        users = [user_of(row[:-1]) for row in rows[:limit]]
        if len(rows) <= limit:
            return users, None
        *_, created_at, _, sequence = rows[limit - 1]
        return users, Age(created_at, sequence)

    async def update(
        self, instance_id: str, user: User, paths: Collection[str], key: RequestKey | None
    ) -> UpdateUserResponse:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> UpdateUserResponse:
            row = connection.execute(_SELECT_ONE, (instance_id, user.id)).fetchone()
            if row is None:
                raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
            stored = user_of(row)
            if paths:
                merge(user, stored, paths)
                now = self._clock()
                stored.updated_at.CopyFrom(to_proto(now))
                connection.execute(
                    "UPDATE users SET name = ?, avatar_url = ?, custom_data = ?, updated_at = ?"
                    " WHERE instance_id = ? AND id = ?",
                    (*user_values(stored), now, instance_id, user.id),
                )
            return UpdateUserResponse(user=stored)

        return await self._database.write(remembered(key, UpdateUserResponse, self._clock, work))

    async def delete(self, instance_id: str, user_id: str, key: RequestKey | None) -> DeleteUserResponse:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> DeleteUserResponse:
            _delete(connection, Deletion(instance_id, DeletionKind.USER, user_id), self._clock())
            return DeleteUserResponse()

        return await self._database.write(remembered(key, DeleteUserResponse, self._clock, work))

    async def start_deletion(self, instance_id: str, user_id: str, key: RequestKey | None) -> StartUserDeletionResponse:
        """See `UserStore`."""

        def work(connection: sqlite3.Connection) -> StartUserDeletionResponse:
            deletion, now, job_id = Deletion(instance_id, DeletionKind.USER, user_id), self._clock(), self._new_id()
            _delete(connection, deletion, now)
            add_job(connection, deletion, job_id, now)
            return StartUserDeletionResponse(job=new_job(job_id))

        return await self._database.write(remembered(key, StartUserDeletionResponse, self._clock, work))

    def _create(self, connection: sqlite3.Connection, instance_id: str, users: Sequence[NewUser]) -> list[User]:
        return insert_users(connection, instance_id, [(user, self._new_id()) for user in users], self._clock())


def _delete(connection: sqlite3.Connection, deletion: Deletion, now: int) -> None:
    """Removes a user and leaves the deletion. Raises USER_NOT_FOUND."""
    instance_id, _, user_id = deletion
    account = connection.execute(_SELECT_EMAIL, (instance_id, user_id)).fetchone()
    found = connection.execute("DELETE FROM users WHERE instance_id = ? AND id = ?", (instance_id, user_id))
    if not found.rowcount:
        raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
    actors = [user_id, *([REGISTRATION_ACTOR + account[0]] if account else [])]
    connection.executemany(
        "DELETE FROM requests WHERE instance_id = ? AND actor = ?", [(instance_id, actor) for actor in actors]
    )
    add_deletion(connection, deletion, now)


def insert_users(
    connection: sqlite3.Connection, instance_id: str, users: Sequence[tuple[NewUser, str]], now: int
) -> list[User]:
    """Adds users, each with its `uid`, inside a transaction. Raises what `UserStore.create_all` raises."""
    first = draw_sequences(connection, instance_id, len(users))
    for sequence, (user, uid) in enumerate(users, first):
        refuse_pending(connection, Deletion(instance_id, DeletionKind.USER, user.id))
        inserted = connection.execute(
            "INSERT INTO users (instance_id, id, uid, sequence, name, avatar_url, custom_data, created_at,"
            " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (instance_id, id) DO NOTHING",
            (instance_id, user.id, uid, sequence, *user_values(user), now, now),
        )
        if not inserted.rowcount:
            raise RoomlineError(ErrorReason.ERROR_REASON_USER_ALREADY_EXISTS, id=user.id)
    return [user_of(connection.execute(_SELECT_ONE, (instance_id, user.id)).fetchone()) for user, _ in users]


def draw_sequences(connection: sqlite3.Connection, instance_id: str, count: int) -> int:
    """The first of `count` new sequence numbers."""
    row = connection.execute(
        "UPDATE instances SET user_sequence = user_sequence + ? WHERE id = ? RETURNING user_sequence",
        (count, instance_id),
    ).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND)
    return int(row[0]) - count + 1


def user_values(user: NewUser | User) -> tuple[str, str | None, bytes | None]:
    """Name, avatar and custom data as columns."""
    return (
        user.name,
        user.avatar_url if user.HasField("avatar_url") else None,
        user.custom_data.SerializeToString(deterministic=True) if user.HasField("custom_data") else None,
    )


def user_of(row: tuple[Any, ...]) -> User:
    """The message of a row with the columns that `COLUMNS` names."""
    id_, uid, name, avatar_url, custom_data, created_at, updated_at = row
    return User(
        id=id_,
        uid=uid,
        name=name,
        avatar_url=avatar_url,
        custom_data=None if custom_data is None else Struct.FromString(custom_data),
        created_at=to_proto(created_at),
        updated_at=to_proto(updated_at),
    )
