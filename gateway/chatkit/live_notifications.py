"""The notification subscription (spec §10.12)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chatkit.live_events import event_id, tail
from gateway.live.change import Change, ChangeKind
from services.common.errors import RoomlineError
from services.common.notifications import concerns, notification, wording

if TYPE_CHECKING:
    from roomline.v1.room_pb2 import Room

    from gateway.chatkit.render import Json
    from gateway.live.happening import Happening
    from gateway.live.outlet import Outlet, Subscription
    from gateway.live.own_calls import OwnCalls
    from gateway.live.user_feeds import Joined, UserFeeds
    from gateway.live.visit import Open, Visit

log = structlog.get_logger()


class LiveNotifications:
    """New messages of others in the user's private rooms, as a browser shows them."""

    def __init__(self, feeds: UserFeeds, own: OwnCalls) -> None:
        self._feeds = feeds
        self._own = own

    def subscriptions(self) -> Sequence[tuple[str, Open]]:
        """Paths below the instance, and what opens a subscription to them."""
        return [("/users/{user_id}", self.open)]

    async def open(self, visit: Visit, outlet: Outlet) -> Subscription:
        """For the user itself, if it may read messages, and servers. USER_NOT_FOUND."""
        user_id = visit.request.parameters["user_id"]
        visit.end_with(user_id)
        await self._own.require_reader(visit.caller)
        names = _Names(self._own, visit.watch.instance_id)
        notifier = _Notifier(outlet, user_id, names)
        notifier.joined = await self._feeds.join(visit, user_id, outlet, notifier.take, lambda _: outlet.open())
        return notifier


class _Names:
    """The names of those who send messages."""

    def __init__(self, own: OwnCalls, instance_id: str) -> None:
        self._own = own
        self._instance_id = instance_id

    async def sender_of(self, happening: Happening) -> str:
        """The sender's name; looked up once for all who are notified of a message."""
        user_id = happening.event.message_sent.message.user_id
        return await asyncio.shield(
            happening.once("sender", lambda: asyncio.ensure_future(self._own.user_name(self._instance_id, user_id)))
        )


class _Notice(NamedTuple):
    happening: Happening
    room: Room
    member_count: int


class _Notifier:
    """Notifies one client, message after message: each waits for its sender's name. A `Subscription`."""

    joined: Joined

    def __init__(self, outlet: Outlet, user_id: str, names: _Names) -> None:
        self._outlet = outlet
        self._user_id = user_id
        self._names = names
        self._notices: deque[_Notice] = deque()
        self._working: asyncio.Task[None] | None = None

    def take(self, change: Change) -> None:
        """Takes what changes for the user."""
        message = change.happening.event.message_sent.message
        if change.kind is not ChangeKind.MESSAGE_SENT or change.room is None or not concerns(change.room.room):
            return
        if message.user_id == self._user_id or message.HasField("unsent_at"):
            return
        self._notices.append(_Notice(change.happening, change.room.room, len(change.room.member_ids)))
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    def close(self) -> None:
        """See `Subscription`."""
        self.joined.close()
        if self._working is not None:
            self._working.cancel()

    async def _work(self) -> None:
        try:
            while self._notices:
                await self._notify(self._notices.popleft())
        except Exception as error:  # the client begins anew, instead of waiting for what would not come any more
            log.error("notifications_failed", exc_info=error)
            self._outlet.end(RoomlineError(ErrorReason.ERROR_REASON_INTERNAL))
        finally:
            self._working = None

    async def _notify(self, notice: _Notice) -> None:
        try:
            name = await self._names.sender_of(notice.happening)
        except RoomlineError as error:
            log.warning("notification_lost", reason=str(error))
            return
        self._outlet.event(_tail(notice, name))


def _tail(notice: _Notice, sender_name: str) -> bytes:
    happening, room, members = notice
    message = happening.event.message_sent.message

    def data() -> Json:
        return notification(room, wording(room, message, sender_name, members=members))

    return tail(happening, event_id(happening.position), "push_notification", data)
