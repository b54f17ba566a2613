"""Sends what is to be told to browsers, each by its own push service (RFC 8030).

Nobody waits for anybody: pushes of one subscription go one after the other, those of all others beside them, and
subscriptions that fail have places of their own, so that those that work are not crowded out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from roomline.v1.message_pb2 import Message

from services.common import base64url, timestamps
from services.common.backoff import Backoff
from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.common.notifications import wording
from services.common.outbound import Answer, Outbound, OutboundError
from services.common.retry_after import retry_after
from services.common.users import Users
from services.common.waiting import is_set_within
from services.message.push_message import encrypted, payload
from services.message.push_store import Key, Notice, Push, PushQueue
from services.message.vapid import Vapid

log = structlog.get_logger()

AT_ONCE = {False: 128, True: 16}
"""Pushes on their way at once: to subscriptions whose last one came through, and to those whose last one failed."""
SLOW_SECONDS = 5.0
"""A push that took longer counts as one that failed, but is not repeated."""
KEEP_SECONDS = 24 * 3600
"""How long a push service keeps a push for a browser that is away."""
LONGEST_WAIT_SECONDS = 3600
"""However long a push service says to wait."""
LAST_SECONDS = 2.0
"""How long pushes on their way are waited for at the end."""
POLL_SECONDS = 1.0
"""How often the queue is looked at while something waits for its time."""
BACKOFF = Backoff(first=2.0, longest=600.0)
SHORTEST_PAUSE = 0.5
"""Of a pause: those that failed together do not come back together."""

_GONE = {404, 410}
_LATER = {408, 425, 429}
"""And all from 500 on."""


class PushSender:
    """Works in the background. `wake` says that something was put into the queue."""

    def __init__(
        self,
        queue: PushQueue,
        vapid: Vapid,
        outbound: Outbound,
        users: Users,
        clock: Clock,
        backoff: Backoff | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._vapid = vapid
        self._outbound = outbound
        self._users = users
        self._clock = clock
        self._backoff = backoff or BACKOFF
        self._chance = chance
        self._wake = asyncio.Event()
        self._running: dict[bool, dict[Key, asyncio.Task[None]]] = {failing: {} for failing in AT_ONCE}
        """What is on its way, by whether the subscription's last try failed."""

    def wake(self) -> None:
        """Says that there may be something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Works until cancelled; begins with what an earlier process left behind.

        Then what is on its way gets a moment to arrive; what is cut off is sent again by the next process.
        """
        trouble = 0
        try:
            while True:
                self._wake.clear()
                try:
                    pause = await self._start_all()
                    trouble = 0
                except Exception as error:
                    pause = self._pause(trouble)
                    trouble += 1
                    if isinstance(error, RoomlineError):
                        log.warning("pushes_delayed", reason=str(error))
                    else:
                        log.error("pushes_delayed", exc_info=error)
                    await asyncio.sleep(pause)
                    continue
                await is_set_within(self._wake, pause)
        finally:
            tasks = [task for running in self._running.values() for task in running.values()]
            if tasks:
                await asyncio.wait(tasks, timeout=LAST_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start_all(self) -> float | None:
        """Sends on what is due, as far as there are places; for how long there is nothing else to do."""
        now = self._clock()
        for failing, running in self._running.items():
            free = AT_ONCE[failing] - len(running)
            if free:
                busy = [key for places in self._running.values() for key in places]
                due = await self._queue.due(now, failing=failing, busy=busy, size=free)
                names = await self._names(due)
                for push in due:
                    running[push.key] = asyncio.create_task(self._send(push, names))
                    running[push.key].add_done_callback(partial(self._ended, running, push.key))
        next_due = await self._queue.next_due(now)
        return None if next_due is None else min(POLL_SECONDS, max(0.01, (next_due - self._clock()) / MICROSECONDS))

    def _ended(self, running: dict[Key, asyncio.Task[None]], key: Key, _: asyncio.Task[None]) -> None:
        del running[key]
        self._wake.set()

    async def _names(self, due: Sequence[Push]) -> dict[tuple[str, str], str]:
        """What the senders are called, by instance and id. Raises SERVICE_UNAVAILABLE."""
        wanted: dict[str, set[str]] = {}
        for push in due:
            if push.notice is not None:
                wanted.setdefault(push.key.instance_id, set()).add(push.notice.message.user_id)
        return {
            (instance_id, user_id): name
            for instance_id, user_ids in wanted.items()
            for user_id, name in (await self._users.names(instance_id, sorted(user_ids))).items()
        }

    async def _send(self, push: Push, names: dict[tuple[str, str], str]) -> None:
        try:
            if push.expired:
                await self._queue.gone(push)
                return
            if push.notice is None:
                await self._queue.dropped(push)
                return
            sender = push.notice.message.user_id  # stands in for the name of who was deleted
            name = names.get((push.key.instance_id, sender), sender)
            started = asyncio.get_running_loop().time()
            answer = await self._post(push, push.notice, name)
            await self._settle(push, answer, slow=asyncio.get_running_loop().time() - started > SLOW_SECONDS)
        except Exception as error:  # of the database, or a mistake of ours
            log.error("push_failed", **push.key._asdict(), exc_info=error)
            await asyncio.sleep(self._backoff.first)  # in its place: the database would be asked for it at once
            with contextlib.suppress(Exception):
                await self._failed(push, 0.0)

    async def _post(self, push: Push, notice: Notice, sender_name: str) -> Answer | None:
        """What the push service says; None if it says nothing."""
        said = wording(notice.room, notice.message, sender_name, members=notice.members)
        body = encrypted(payload(notice.room, said), push.p256dh, push.auth)
        try:
            headers = {
                "Authorization": self._vapid.authorization(push.endpoint),
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "TTL": str(self._keep_seconds(notice.message)),
                "Urgency": "normal",  # "chat or calendar message" (RFC 8030 §5.3)
                "Topic": _topic(push.key.instance_id, notice.room.uid),
            }
            return await self._outbound.post(push.endpoint, body, headers)
        except OutboundError as error:
            log.info("push_unanswered", **push.key._asdict(), problem=str(error))
            return None

    def _keep_seconds(self, message: Message) -> int:
        """Not longer than there is something to tell of."""
        if not message.HasField("expires_at"):
            return KEEP_SECONDS
        left = (timestamps.from_proto(message.expires_at) - self._clock()) // MICROSECONDS
        return max(0, min(KEEP_SECONDS, left))

    async def _settle(self, push: Push, answer: Answer | None, *, slow: bool) -> None:
        if answer is None:
            await self._failed(push, 0.0)
        elif 200 <= answer.status < 300:
            await self._queue.told(push, slow=slow)
        elif answer.status in _GONE:
            log.info("push_subscription_gone", **push.key._asdict(), status=answer.status)
            await self._queue.gone(push)
        elif answer.status in _LATER or answer.status >= 500:
            log.info("push_postponed", **push.key._asdict(), status=answer.status)
            wait = retry_after(answer.headers.get("Retry-After", ""), self._clock() / MICROSECONDS)
            await self._failed(push, min(wait, LONGEST_WAIT_SECONDS))
        else:  # it would say the same again
            log.warning("push_refused", **push.key._asdict(), status=answer.status)
            self._note(push, is_left=await self._queue.refused(push))

    async def _failed(self, push: Push, wait: float) -> None:
        wait = max(wait, self._pause(push.failures))
        self._note(push, is_left=await self._queue.failed(push, self._clock() + int(wait * MICROSECONDS)))

    def _note(self, push: Push, *, is_left: bool) -> None:
        if not is_left:
            log.warning("push_subscription_given_up", **push.key._asdict())

    def _pause(self, failures: int) -> float:
        pause = min(self._backoff.first * 2.0 ** min(failures, 30), self._backoff.longest)
        return pause * (SHORTEST_PAUSE + (1 - SHORTEST_PAUSE) * self._chance())


def _topic(instance_id: str, room_uid: str) -> str:
    """Names a room for a push service, which keeps only the newest push of one, and learns nothing of the room."""
    return base64url.encode(hashlib.sha256(f"{instance_id}\n{room_uid}".encode()).digest())[:32]
