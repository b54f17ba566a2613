"""Webhooks on SQLite."""

import base64
import json
import sqlite3
from collections.abc import Callable, Collection
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.webhook_pb2 import Webhook
from roomline.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    CreateWebhookResponse,
    DeleteWebhookRequest,
    DeleteWebhookResponse,
    RotateWebhookSecretRequest,
    RotateWebhookSecretResponse,
    UpdateWebhookRequest,
    UpdateWebhookResponse,
)

from services.common import timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import MICROSECONDS, Clock
from services.common.masks import merge
from services.common.sqlite import Database, Work, announce
from services.message import sqlite_log, sqlite_log_readers, sqlite_purges
from services.message.webhook_store import MAX_WEBHOOKS, WEBHOOKS, Active, Target, consumer_of

M = TypeVar("M", bound=ProtoMessage)


class _Row(NamedTuple):
    id: str
    url: str
    description: str
    event_kinds: str
    disabled: int
    former_secret_until: int | None
    created_at: int
    updated_at: int


_SELECT = f"SELECT {', '.join(_Row._fields)} FROM webhooks WHERE instance_id = ?"


class SqliteWebhooks:
    """Keeps the promises of `WebhookStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def create(
        self, caller: Caller, request: CreateWebhookRequest, secret: bytes, asked_at: int
    ) -> CreateWebhookResponse:
        """See `WebhookStore`."""
        instance_id = caller.instance_id

        def work(connection: sqlite3.Connection) -> CreateWebhookResponse:
            sqlite_purges.refuse_wiped(connection, instance_id, asked_at)
            ((count,),) = connection.execute("SELECT count(*) FROM webhooks WHERE instance_id = ?", (instance_id,))
            if count >= MAX_WEBHOOKS:
                raise RoomlineError(ErrorReason.ERROR_REASON_QUOTA_EXCEEDED, quota="webhooks")
            webhook_id, now, wanted = self._new_id(), self._clock(), request.webhook
            connection.execute(
                "INSERT INTO webhooks (instance_id, id, url, description, event_kinds, disabled, secret, created_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (instance_id, webhook_id, *_values(wanted), secret, now, now),
            )
            sqlite_log_readers.begin(connection, instance_id, consumer_of(webhook_id))
            webhook = _existing(connection, instance_id, webhook_id, now)
            return CreateWebhookResponse(webhook=webhook, secret=_shown(secret))

        return await self._write(caller, request, CreateWebhookResponse, work)

    async def get(self, instance_id: str, webhook_id: str) -> Webhook:
        """See `WebhookStore`."""
        now = self._clock()
        return await self._database.read(lambda connection: _existing(connection, instance_id, webhook_id, now))

    async def all(self, instance_id: str) -> list[Webhook]:
        """See `WebhookStore`."""
        now = self._clock()

        def work(connection: sqlite3.Connection) -> list[Webhook]:
            rows = connection.execute(f"{_SELECT} ORDER BY id", (instance_id,)).fetchall()
            return [_to_webhook(connection, instance_id, _Row(*row), now) for row in rows]

        return await self._database.read(work)

    async def update(
        self, caller: Caller, request: UpdateWebhookRequest, paths: Collection[str]
    ) -> UpdateWebhookResponse:
        """See `WebhookStore`."""
        instance_id, webhook_id = caller.instance_id, request.webhook.id

        def work(connection: sqlite3.Connection) -> UpdateWebhookResponse:
            now = self._clock()
            webhook = _existing(connection, instance_id, webhook_id, now)
            merge(request.webhook, webhook, paths)
            connection.execute(
                "UPDATE webhooks SET url = ?, description = ?, event_kinds = ?, disabled = ?, updated_at = ?"
                " WHERE instance_id = ? AND id = ?",
                (*_values(webhook), now, instance_id, webhook_id),
            )
            return UpdateWebhookResponse(webhook=_existing(connection, instance_id, webhook_id, now))

        return await self._write(caller, request, UpdateWebhookResponse, work)

    async def delete(self, caller: Caller, request: DeleteWebhookRequest) -> DeleteWebhookResponse:
        """See `WebhookStore`."""

        def work(connection: sqlite3.Connection) -> DeleteWebhookResponse:
            connection.execute(
                "DELETE FROM webhooks WHERE instance_id = ? AND id = ?", (caller.instance_id, request.id)
            )
            sqlite_log_readers.end(connection, caller.instance_id, consumer_of(request.id))
            return DeleteWebhookResponse()

        return await self._write(caller, request, DeleteWebhookResponse, work)

    async def rotate(
        self, caller: Caller, request: RotateWebhookSecretRequest, secret: bytes, overlap_seconds: int
    ) -> RotateWebhookSecretResponse:
        """See `WebhookStore`."""

        def work(connection: sqlite3.Connection) -> RotateWebhookSecretResponse:
            now = self._clock()
            connection.execute(
                "UPDATE webhooks SET former_secret = secret, former_secret_until = ?, secret = ?, updated_at = ?"
                " WHERE instance_id = ? AND id = ?",
                (now + overlap_seconds * MICROSECONDS, secret, now, caller.instance_id, request.id),
            )
            webhook = _existing(connection, caller.instance_id, request.id, now)
            return RotateWebhookSecretResponse(webhook=webhook, secret=_shown(secret))

        return await self._write(caller, request, RotateWebhookSecretResponse, work)

    async def active(self) -> list[Active]:
        """See `WebhookStore`."""

        def work(connection: sqlite3.Connection) -> list[Active]:
            rows = connection.execute("SELECT instance_id, id, updated_at FROM webhooks WHERE NOT disabled")
            return [Active(*row) for row in rows]

        return await self._database.read(work)

    async def target(self, instance_id: str, webhook_id: str) -> Target | None:
        """See `WebhookStore`."""
        now = self._clock()

        def work(connection: sqlite3.Connection) -> Target | None:
            row = connection.execute(
                "SELECT url, event_kinds, secret, CASE WHEN former_secret_until > ? THEN former_secret END"
                " FROM webhooks WHERE instance_id = ? AND id = ? AND NOT disabled",
                (now, instance_id, webhook_id),
            ).fetchone()
            if row is None:
                return None
            url, event_kinds, *secrets = row
            return Target(
                url, frozenset(json.loads(event_kinds)), tuple(secret for secret in secrets if secret is not None)
            )

        return await self._database.read(work)

    async def disable(self, instance_id: str, webhook_id: str, url: str) -> None:
        """See `WebhookStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE webhooks SET disabled = 1, updated_at = ? WHERE instance_id = ? AND id = ? AND url = ?",
                (self._clock(), instance_id, webhook_id, url),
            )
            announce(connection, WEBHOOKS + instance_id)

        await self._database.write(work)

    async def _write(self, caller: Caller, request: ProtoMessage, response_class: type[M], work: Work[M]) -> M:
        def change(connection: sqlite3.Connection) -> M:
            response = work(connection)
            announce(connection, WEBHOOKS + caller.instance_id)
            return response

        return await self._database.write(remembered(request_key(caller, request), response_class, self._clock, change))


def _values(webhook: Webhook) -> tuple[str, str, str, bool]:
    kinds = sorted(set(webhook.event_kinds))
    return webhook.url, webhook.description, json.dumps(kinds), webhook.disabled


def _existing(connection: sqlite3.Connection, instance_id: str, webhook_id: str, now: int) -> Webhook:
    row = connection.execute(f"{_SELECT} AND id = ?", (instance_id, webhook_id)).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND)
    return _to_webhook(connection, instance_id, _Row(*row), now)


def _to_webhook(connection: sqlite3.Connection, instance_id: str, row: _Row, now: int) -> Webhook:
    webhook = Webhook(
        id=row.id,
        url=row.url,
        description=row.description,
        event_kinds=json.loads(row.event_kinds),
        disabled=bool(row.disabled),
        created_at=timestamps.to_proto(row.created_at),
        updated_at=timestamps.to_proto(row.updated_at),
    )
    if row.former_secret_until is not None and row.former_secret_until > now:
        timestamps.fill(webhook.former_secret_until, row.former_secret_until)
    progress = sqlite_log_readers.find(connection, instance_id, consumer_of(row.id))
    if progress is not None:
        status = webhook.status
        status.position = progress.position
        status.behind = max(0, sqlite_log.position(connection, instance_id) - progress.position)
        status.lost_events = progress.lost
        status.last_error = progress.problem
        if progress.told_at is not None:
            timestamps.fill(status.delivered_at, progress.told_at)
        if progress.failing_since is not None:
            timestamps.fill(status.failing_since, progress.failing_since)
    return webhook


def _shown(secret: bytes) -> str:
    """As receivers take it (Standard Webhooks)."""
    return "whsec_" + base64.b64encode(secret).decode()
