"""What a client is told of its own user: rooms, read states, cursors (spec §10.6, §10.7)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_service_pb2 import GetUserRequest
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from gateway.chatkit.live_events import initial_state
from services.common.errors import RoomlineError
from services.common.ids import Clock, wall_clock

if TYPE_CHECKING:
    from roomline.v1.user_pb2 import User
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

    from gateway.chatkit.render import Json
    from gateway.live.change import Change
    from gateway.live.outlet import Outlet, Subscription
    from gateway.live.user_feed import UserFeed
    from gateway.live.user_feeds import UserFeeds
    from gateway.live.visit import Open, Visit


class LiveSelf(ABC):
    """The subscription to `/users`; how it looks is a matter of the version."""

    def __init__(self, user: grpc.aio.Channel, feeds: UserFeeds, clock: Clock = wall_clock) -> None:
        self._stub: UserServiceAsyncStub = UserServiceStub(user)
        self._feeds = feeds
        self._clock = clock

    def subscriptions(self) -> Sequence[tuple[str, Open]]:
        """Paths below the instance, and what opens a subscription to them."""
        return [("/users", self.open)]

    async def open(self, visit: Visit, outlet: Outlet) -> Subscription:
        """Everything the user is in, then what changes. ACTOR_REQUIRED, USER_NOT_FOUND."""
        user_id = visit.caller.user_id
        if not user_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_ACTOR_REQUIRED)
        visit.end_with(user_id)
        answer = await visit.request.call(self._stub.GetUser, GetUserRequest(id=user_id))

        def begin(feed: UserFeed) -> None:
            outlet.open()
            outlet.event(initial_state(self.state(answer.user, feed), feed.position, self._clock))

        def tell(change: Change) -> None:
            for tail in self.tails(change):
                outlet.event(tail)

        return await self._feeds.join(visit, user_id, outlet, tell, begin)

    @abstractmethod
    def state(self, user: User, feed: UserFeed) -> Json:
        """What there is."""

    @abstractmethod
    def tails(self, change: Change) -> list[bytes]:
        """The events that tell of a change."""
