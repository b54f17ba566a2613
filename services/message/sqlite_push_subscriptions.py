"""Subscriptions to web push on SQLite."""

import sqlite3
from collections.abc import Callable

from roomline.v1.push_pb2 import PushSubscription
from roomline.v1.push_service_pb2 import CreatePushSubscriptionRequest

from services.common import timestamps
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_purges, sqlite_push_reading

_COLUMNS = "id, user_id, endpoint, created_at, updated_at, expires_at"
_FIND = f"SELECT {_COLUMNS} FROM push_subscriptions WHERE instance_id = ? AND endpoint = ?"
_INSERT = (
    "INSERT INTO push_subscriptions"
    " (instance_id, id, user_id, endpoint, p256dh, auth, created_at, updated_at, expires_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_RENEW = (
    "UPDATE push_subscriptions SET p256dh = ?, auth = ?, updated_at = ?, expires_at = ?"
    " WHERE instance_id = ? AND endpoint = ?"
)
_REMOVE_OLDEST = (
    "DELETE FROM push_subscriptions WHERE (instance_id, id) IN (SELECT instance_id, id FROM push_subscriptions"
    " WHERE instance_id = ? AND user_id = ? ORDER BY updated_at DESC, id DESC LIMIT -1 OFFSET ?)"
)


class SqlitePushSubscriptions:
    """Keeps the promises of `PushSubscriptionStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def create(
        self, instance_id: str, request: CreatePushSubscriptionRequest, asked_at: int, most: int
    ) -> PushSubscription:
        """See `PushSubscriptionStore`."""
        expires_at = timestamps.from_proto(request.expires_at) if request.HasField("expires_at") else None

        def work(connection: sqlite3.Connection) -> PushSubscription:
            sqlite_purges.refuse_purged(connection, instance_id, [request.user_id], asked_at)
            now, place = self._clock(), (instance_id, request.endpoint)
            found = connection.execute(_FIND, place).fetchone()
            keys = request.p256dh, request.auth
            if found is not None and found[1] == request.user_id:
                connection.execute(_RENEW, (*keys, now, expires_at, *place))
            else:
                # Not changed, but made anew: what was to be told to the other user goes with it.
                connection.execute("DELETE FROM push_subscriptions WHERE instance_id = ? AND endpoint = ?", place)
                values = instance_id, self._new_id(), request.user_id, request.endpoint, *keys, now, now, expires_at
                connection.execute(_REMOVE_OLDEST, (instance_id, request.user_id, most - 1))
                connection.execute(_INSERT, values)
                sqlite_push_reading.begin(connection, instance_id)
            return _to_subscription(*connection.execute(_FIND, place).fetchone())

        return await self._database.write(work)

    async def page(self, instance_id: str, user_id: str, after: str, size: int) -> list[PushSubscription]:
        """See `PushSubscriptionStore`."""

        def work(connection: sqlite3.Connection) -> list[PushSubscription]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM push_subscriptions INDEXED BY push_subscriptions_by_user"
                " WHERE instance_id = ? AND user_id = ? AND id > ? ORDER BY id LIMIT ?",
                (instance_id, user_id, after, size),
            )
            return [_to_subscription(*row) for row in rows]

        return await self._database.read(work)

    async def delete(self, instance_id: str, user_id: str, subscription_id: str, endpoint: str) -> None:
        """See `PushSubscriptionStore`."""
        column, value = ("id", subscription_id) if subscription_id else ("endpoint", endpoint)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"DELETE FROM push_subscriptions WHERE instance_id = ? AND user_id = ? AND {column} = ?",
                (instance_id, user_id, value),
            )
            sqlite_push_reading.end_if_unused(connection, instance_id)

        await self._database.write(work)


def _to_subscription(
    subscription_id: str, user_id: str, endpoint: str, created_at: int, updated_at: int, expires_at: int | None
) -> PushSubscription:
    """The message of a row."""
    return PushSubscription(
        id=subscription_id,
        user_id=user_id,
        endpoint=endpoint,
        created_at=timestamps.to_proto(created_at),
        updated_at=timestamps.to_proto(updated_at),
        expires_at=None if expires_at is None else timestamps.to_proto(expires_at),
    )
