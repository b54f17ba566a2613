"""Keeps instances and their keys in SQLite."""

import sqlite3
from collections.abc import Collection
from typing import Any

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.instance_service_pb2 import (
    CreateInstanceResponse,
    CreateKeyResponse,
    DeleteInstanceResponse,
    InstanceCredentials,
    RevokeKeyResponse,
    RotateKeyResponse,
    UpdateInstanceResponse,
)

from services.common.errors import RoomlineError
from services.common.idempotency import RequestKey, remembered
from services.common.ids import MICROSECONDS, Clock
from services.common.masks import merge
from services.common.sqlite import Database
from services.common.timestamps import to_proto
from services.user.sqlite_account_keys import account_keys
from services.user.sqlite_deletions import add_deletion, drop_user_deletions, refuse_pending
from services.user.store import Deletion, DeletionKind

_COLUMNS = "id, cluster, flags, limits, created_at, updated_at"
_SELECT_ONE = f"SELECT {_COLUMNS} FROM instances WHERE id = ?"
_SELECT_PAGE = f"SELECT {_COLUMNS} FROM instances WHERE id > ? ORDER BY id LIMIT ?"
_SELECT_IDS = "SELECT id FROM instances ORDER BY id"
_SELECT_KEYS = "SELECT id, secret, created_at, revoked_at FROM instance_keys WHERE instance_id = ? ORDER BY sequence"


class SqliteInstances:
    """An `InstanceStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, instance: Instance, key: InstanceKey, request: RequestKey | None) -> CreateInstanceResponse:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> CreateInstanceResponse:
            now = self._clock()
            refuse_pending(connection, Deletion(instance.id, DeletionKind.INSTANCE))
            inserted = connection.execute(
                "INSERT INTO instances (id, cluster, flags, limits, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (instance.id, instance.cluster, *_settings(instance), now, now),
            )
            if not inserted.rowcount:
                raise RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_ALREADY_EXISTS, id=instance.id)
            stored_key = _add_key(connection, instance.id, key, now)
            return CreateInstanceResponse(instance=_existing(connection, instance.id), key=stored_key)

        return await self._database.write(remembered(request, CreateInstanceResponse, self._clock, work))

    async def get(self, instance_id: str) -> Instance:
        """See `InstanceStore`."""
        return await self._database.read(lambda connection: _existing(connection, instance_id))

    async def page(self, after: str, limit: int) -> list[Instance]:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> list[Instance]:
            return [_instance(row) for row in connection.execute(_SELECT_PAGE, (after, limit))]

        return await self._database.read(work)

    async def update(
        self, instance: Instance, paths: Collection[str], request: RequestKey | None
    ) -> UpdateInstanceResponse:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> UpdateInstanceResponse:
            stored = _existing(connection, instance.id)
            if paths:
                merge(instance, stored, paths)
                connection.execute(
                    "UPDATE instances SET flags = ?, limits = ?, updated_at = ? WHERE id = ?",
                    (*_settings(stored), self._clock(), instance.id),
                )
            return UpdateInstanceResponse(instance=_existing(connection, instance.id))

        return await self._database.write(remembered(request, UpdateInstanceResponse, self._clock, work))

    async def delete(self, instance_id: str, request: RequestKey | None) -> DeleteInstanceResponse:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> DeleteInstanceResponse:
            if not connection.execute("DELETE FROM instances WHERE id = ?", (instance_id,)).rowcount:
                raise RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND)
            drop_user_deletions(connection, instance_id)
            add_deletion(connection, Deletion(instance_id, DeletionKind.INSTANCE), self._clock())
            return DeleteInstanceResponse()

        return await self._database.write(remembered(request, DeleteInstanceResponse, self._clock, work))

    async def create_key(self, instance_id: str, key: InstanceKey, request: RequestKey | None) -> CreateKeyResponse:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> CreateKeyResponse:
            _existing(connection, instance_id)
            return CreateKeyResponse(key=_add_key(connection, instance_id, key, self._clock()))

        return await self._database.write(remembered(request, CreateKeyResponse, self._clock, work))

    async def revoke_key(self, instance_id: str, key_id: str, request: RequestKey | None) -> RevokeKeyResponse:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> RevokeKeyResponse:
            _existing(connection, instance_id)
            found = connection.execute(
                "UPDATE instance_keys SET revoked_at = min(ifnull(revoked_at, ?1), ?1)"
                " WHERE instance_id = ?2 AND id = ?3",
                (self._clock(), instance_id, key_id),
            )
            if not found.rowcount:
                raise RoomlineError(ErrorReason.ERROR_REASON_KEY_NOT_FOUND)
            return RevokeKeyResponse()

        return await self._database.write(remembered(request, RevokeKeyResponse, self._clock, work))

    async def rotate_key(
        self, instance_id: str, key: InstanceKey, grace_seconds: int, request: RequestKey | None
    ) -> RotateKeyResponse:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> RotateKeyResponse:
            _existing(connection, instance_id)
            now = self._clock()
            connection.execute(
                "UPDATE instance_keys SET revoked_at = min(ifnull(revoked_at, ?1), ?1) WHERE instance_id = ?2",
                (now + grace_seconds * MICROSECONDS, instance_id),
            )
            return RotateKeyResponse(key=_add_key(connection, instance_id, key, now))

        return await self._database.write(remembered(request, RotateKeyResponse, self._clock, work))

    async def credentials(self, instance_id: str) -> InstanceCredentials | None:
        """See `InstanceStore`."""
        return await self._database.read(lambda connection: _credentials(connection, instance_id))

    async def all_credentials(self) -> list[InstanceCredentials]:
        """See `InstanceStore`."""

        def work(connection: sqlite3.Connection) -> list[InstanceCredentials]:
            ids = connection.execute(_SELECT_IDS).fetchall()
            found = (_credentials(connection, instance_id) for (instance_id,) in ids)
            return [credentials for credentials in found if credentials is not None]

        return await self._database.read(work)


def _existing(connection: sqlite3.Connection, instance_id: str) -> Instance:
    row = connection.execute(_SELECT_ONE, (instance_id,)).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND)
    return _instance(row)


def _credentials(connection: sqlite3.Connection, instance_id: str) -> InstanceCredentials | None:
    row = connection.execute(_SELECT_ONE, (instance_id,)).fetchone()
    if row is None:
        return None
    keys = connection.execute(_SELECT_KEYS, (instance_id,))
    return InstanceCredentials(
        instance=_instance(row),
        keys=[_key(key_row) for key_row in keys],
        account_keys=account_keys(connection, instance_id),
    )


def _add_key(connection: sqlite3.Connection, instance_id: str, key: InstanceKey, now: int) -> InstanceKey:
    inserted = connection.execute(
        "INSERT INTO instance_keys (instance_id, id, sequence, secret, created_at)"
        " SELECT ?1, ?2, ifnull(max(sequence), 0) + 1, ?3, ?4 FROM instance_keys WHERE instance_id = ?1"
        " ON CONFLICT (instance_id, id) DO NOTHING",
        (instance_id, key.id, key.secret, now),
    )
    if not inserted.rowcount:
        raise RoomlineError(ErrorReason.ERROR_REASON_KEY_ALREADY_EXISTS, id=key.id)
    return _key((key.id, key.secret, now, None))


def _settings(instance: Instance) -> tuple[bytes, bytes]:
    """Flags and limits as columns."""
    return instance.flags.SerializeToString(), instance.limits.SerializeToString()


def _instance(row: tuple[Any, ...]) -> Instance:
    id_, cluster, flags, limits, created_at, updated_at = row
    return Instance(
        id=id_,
        cluster=cluster,
        locator=f"v1:{cluster}:{id_}",
        flags=InstanceFlags.FromString(flags),
        limits=InstanceLimits.FromString(limits),
        created_at=to_proto(created_at),
        updated_at=to_proto(updated_at),
    )


def _key(row: tuple[Any, ...]) -> InstanceKey:
    id_, secret, created_at, revoked_at = row
    return InstanceKey(
        id=id_,
        secret=secret,
        created_at=to_proto(created_at),
        revoked_at=None if revoked_at is None else to_proto(revoked_at),
    )
