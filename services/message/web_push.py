"""Web push, wired: what the message service serves of it, and what works for it in the background."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from services.common.backoff import Backoff
from services.common.ids import MICROSECONDS, Clock
from services.common.outbound import Outbound
from services.common.service import background
from services.common.settings import Settings
from services.common.sqlite import Database
from services.common.users import Users
from services.message.event_store import EventStore
from services.message.log_reader import LogReaders
from services.message.push_feed import PushFeed
from services.message.push_sender import PushSender
from services.message.push_servicer import PushServicer
from services.message.sqlite_log_readers import SqliteLogReaders
from services.message.sqlite_push_queue import SqlitePushQueue
from services.message.sqlite_push_subscriptions import SqlitePushSubscriptions
from services.message.vapid import Vapid


class WebPush:
    """Nothing but the servicer does anything unless the settings have a key."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        events: EventStore,
        outbound: Outbound,
        users: Users,
        clock: Clock,
        new_id: Callable[[], str],
        backoff: Backoff | None,
    ) -> None:
        key = settings.push_vapid_key.get_secret_value()
        vapid = Vapid(key, settings.push_subject, lambda: clock() / MICROSECONDS) if key else None
        queue = SqlitePushQueue(database, clock)
        # By themselves, and straight from the store: neither attachments nor their service are needed.
        self._readers = LogReaders(SqliteLogReaders(database, clock), events, backoff or Backoff())
        sender = PushSender(queue, vapid, outbound, users, clock, backoff) if vapid else None
        feed = PushFeed(queue, self._readers, sender.wake if sender else lambda: None)
        subscriptions = SqlitePushSubscriptions(database, clock, new_id)
        self.servicer = PushServicer(subscriptions, feed, vapid, outbound, users, clock)
        self.resources: Sequence[AbstractAsyncContextManager[object]] = (
            (self._readers, background(sender.run), background(feed.run)) if sender else ()
        )
        """What runs while the service does, after the database and the way out."""

    def wake(self, news: Iterable[str]) -> None:
        """See `LogReaders.wake`."""
        self._readers.wake(news)
