"""Webhooks, wired: what the message service serves of them, and what works for them in the background."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from services.common.backoff import Backoff
from services.common.ids import Clock
from services.common.outbound import Outbound
from services.common.service import background
from services.common.settings import Settings
from services.common.sqlite import Database
from services.message.log_reader import LogReaders
from services.message.sqlite_log_readers import SqliteLogReaders
from services.message.sqlite_webhooks import SqliteWebhooks
from services.message.store import RequestStore
from services.message.tail import Source
from services.message.webhook_deliveries import Deliveries
from services.message.webhook_servicer import WebhookServicer

RETRIES = Backoff(first=1.0, longest=3600.0)
"""A receiver that is down for days is not asked every few seconds, and one that restarts does not wait long."""


class Webhooks:
    """`source` is the log with all that belongs to its events."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        source: Source,
        requests: RequestStore,
        outbound: Outbound,
        clock: Clock,
        new_id: Callable[[], str],
        backoff: Backoff | None,
    ) -> None:
        store = SqliteWebhooks(database, clock, new_id)
        self._readers = LogReaders(SqliteLogReaders(database, clock), source, backoff or RETRIES)
        self._deliveries = Deliveries(
            store, self._readers, outbound, clock, backoff or Backoff(), settings.public_url.rstrip("/")
        )
        self.servicer = WebhookServicer(store, requests, outbound, clock)
        self.resources: Sequence[AbstractAsyncContextManager[object]] = (
            self._readers,
            background(self._deliveries.run),
        )
        """What runs while the service does, after the database and the way out."""

    def wake(self, news: Iterable[str]) -> None:
        """Says what has changed: see `Database.listen`."""
        self._readers.wake(news)
        self._deliveries.wake(news)
