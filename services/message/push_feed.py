"""Finds in the log what is to be told to browsers (web push), and puts it into their queue."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.message.log_reader import LogReaders, Piece
from services.message.push_store import CONSUMER, PushQueue, Sent

log = structlog.get_logger()

LOOK_SECONDS = 300.0
"""How often it is made sure that all logs are read that should be."""


class PushFeed:
    """Reads the log of each instance that has subscriptions. `added` is called when there is something to send."""

    def __init__(self, queue: PushQueue, readers: LogReaders, added: Callable[[], None]) -> None:
        self._queue = queue
        self._readers = readers
        self._added = added

    async def run(self) -> None:
        """Works until cancelled; the readers go on by themselves."""
        while True:
            try:
                for instance_id in await self._queue.instances():
                    await self.begin(instance_id)
            except Exception as error:
                log.error("push_feed_failed", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def begin(self, instance_id: str) -> None:
        """Has the log of the instance read, which has subscriptions."""
        self._readers.wake((instance_id,))  # one that is about to end, since there were none, looks again
        if not self._readers.follows(instance_id, CONSUMER):
            await self._readers.follow(_Consumer(instance_id, CONSUMER, self._queue, self._added))


@dataclass(frozen=True)
class _Consumer:
    """See `Consumer`."""

    instance_id: str
    name: str
    queue: PushQueue
    added: Callable[[], None]

    async def take(self, piece: Piece) -> int:
        """See `Consumer`. Taken twice, it is told once, unless the first time was sent already."""
        sent = [
            Sent(entry.position, entry.event.message_sent.message.id)
            for entry in piece.entries
            if entry.event.HasField("message_sent")
        ]
        if sent and await self.queue.add(self.instance_id, sent):
            self.added()
        return 0
