"""The subscription to a room's messages (spec §10.9, §10.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import grpc
from roomline.v1.event_pb2 import Event, MessageSent
from roomline.v1.message_service_pb2 import MESSAGE_ORDER_NEWEST_FIRST, ListMessagesRequest, ListMessagesResponse
from roomline.v1.message_service_pb2_grpc import MessageServiceStub

from gateway.chatkit import parse_live
from gateway.chatkit.live_events import tail
from gateway.chatkit.messages import TEXT
from gateway.live.happening import Happening
from gateway.live.room_follower import RoomFollower

if TYPE_CHECKING:
    from roomline.v1.instance_pb2 import InstanceLimits
    from roomline.v1.message_pb2 import Message
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from gateway.chatkit.messages import Dialect
    from gateway.chatkit.render import Json
    from gateway.live.outlet import Outlet, Subscription
    from gateway.live.own_calls import OwnCalls
    from gateway.live.visit import Open, Visit
    from gateway.request import Request


class LiveRooms:
    """The newest messages, or those that were missed, then new ones, deletions and typing."""

    def __init__(self, message: grpc.aio.Channel, own: OwnCalls, dialect: Dialect) -> None:
        self._stub: MessageServiceAsyncStub = MessageServiceStub(message)
        self._own = own
        self._dialect = dialect

    def subscriptions(self) -> Sequence[tuple[str, Open]]:
        """Paths below the instance, and what opens a subscription to them."""
        return [("/rooms/{room_id}", self.open)]

    async def open(self, visit: Visit, outlet: Outlet) -> Subscription:
        """For whoever may read the room's messages."""
        since = await visit.watch.begin()
        room_id = visit.request.parameters["room_id"]
        backlog = await self._backlog(visit.request, visit.caller.limits, room_id)
        follower = _Messages(visit, outlet, room_id, self._own, self._dialect)
        outlet.open()
        follower.tell_first(backlog)
        follower.begin(since, backlog.position)
        return follower

    async def _backlog(self, request: Request, limits: InstanceLimits, room_id: str) -> _Backlog:
        last_id = parse_live.last_event_id(request.header(b"last-event-id"))
        if last_id is not None:
            missed = await self._newest(request, room_id, limits.replayed_messages, after_id=last_id)
            if missed.messages:
                return _Backlog(missed.position, missed.messages[0].id, missed.messages[::-1])
            newest = await self._newest(request, room_id, 1, with_unsent=True)  # deleted ones can be what it had last
            if newest.messages and last_id <= newest.messages[0].id:
                return _Backlog(missed.position, last_id, [])
        limit = parse_live.message_limit(request.query_value("message_limit"), limits.list_items)
        page = await self._newest(request, room_id, max(1, limit))  # the newest one's id is needed in any case
        newest_id = page.messages[0].id if page.messages else 0
        return _Backlog(page.position, newest_id, page.messages[:limit][::-1])

    async def _newest(
        self, request: Request, room_id: str, size: int, *, after_id: int | None = None, with_unsent: bool = False
    ) -> ListMessagesResponse:
        message = ListMessagesRequest(
            room_id=room_id,
            page_size=size,
            order=MESSAGE_ORDER_NEWEST_FIRST,
            after_id=after_id,
            with_unsent=with_unsent,
        )
        return await request.call(self._stub.ListMessages, message)


class _Backlog(NamedTuple):
    """What a subscription begins with."""

    position: int
    newest_id: int
    """The newest message's, or the last that the client has; 0 for none."""
    messages: Sequence[Message]
    """Oldest first."""


class _Sent(NamedTuple):
    """A new message, as it looks to some."""

    id: int
    tail: bytes
    """Empty if there is nothing to tell."""


class _Messages(RoomFollower):
    """Tells one client of one room."""

    def __init__(self, visit: Visit, outlet: Outlet, room_id: str, own: OwnCalls, dialect: Dialect) -> None:
        super().__init__(visit, outlet, room_id, own)
        self._dialect = dialect
        self._links = visit.request.links
        self._look = ("message", dialect.render, self._links.base_url)
        """All to whom messages look the same."""
        self._newest_id = 0

    def tell_first(self, backlog: _Backlog) -> None:
        """Sends the messages that there are."""
        self._newest_id = backlog.newest_id
        for message in backlog.messages:
            sent = Happening(Event(created_at=message.created_at, message_sent=MessageSent(message=message)))
            self._tell_message(sent)

    def deliver(self, happening: Happening) -> None:
        """See `RoomFollower`."""
        event = happening.event
        match happening.kind:
            case "message_sent":
                self._tell_message(happening)
            case "message_deleted" if self._dialect is not TEXT:
                self._tell(happening, "message_deleted", lambda: {"message_id": event.message_deleted.message_id})
            case "user_typed":
                self._tell(happening, "is_typing", lambda: {"user_id": event.user_typed.user_id})

    def _tell_message(self, happening: Happening) -> None:
        sent = happening.once(self._look, lambda: self._sent(happening.event.message_sent.message, happening))
        self._newest_id = max(self._newest_id, sent.id)
        if sent.tail:
            self.outlet.event(sent.tail)

    def _sent(self, message: Message, happening: Happening) -> _Sent:
        if message.HasField("unsent_at"):  # deleted before anybody was told of it
            return _Sent(message.id, b"")
        data = self._dialect.render(message, self._links)
        return _Sent(message.id, tail(happening, str(message.id), "new_message", lambda: data, *self._look))

    def _tell(self, happening: Happening, name: str, data: Callable[[], Json]) -> None:
        """Sends what is no message: who resumes from its id misses nothing (spec §10.3)."""
        self.outlet.event(tail(happening, str(self._newest_id), name, data))
