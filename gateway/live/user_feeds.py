"""The feeds of all users who have subscribed to their own rooms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
from roomline.v1.room_service_pb2 import ListUserRoomsRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from gateway.live.opening import opening
from gateway.live.room_state import RoomState
from gateway.live.user_feed import Listener, UserFeed
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

    from gateway.live.outlet import Outlet
    from gateway.live.own_calls import OwnCalls
    from gateway.live.visit import Visit

_Key = tuple[str, str, int]
"""Instance, user, and the era of the instance's watch."""


class UserFeeds:
    """One feed for each user of an instance who listens."""

    def __init__(self, message: grpc.aio.Channel, own: OwnCalls) -> None:
        self._rooms: RoomServiceAsyncStub = RoomServiceStub(message)
        self._own = own
        self._feeds: dict[_Key, _Shared] = {}

    async def join(
        self, visit: Visit, user_id: str, outlet: Outlet, listener: Listener, begin: Callable[[UserFeed], None]
    ) -> Joined:
        """Lets somebody listen, whom the services allow to see the user's rooms. USER_NOT_FOUND, and what they say.

        Calls `begin` with the feed when that is current; the listener is told of what changes after that. The outlet is
        ended if the feed is.
        """
        since = await visit.watch.begin()
        key = (visit.watch.instance_id, user_id, visit.watch.era)
        answer = await visit.request.call(self._rooms.ListUserRooms, ListUserRoomsRequest(user_id=user_id))
        if key not in self._feeds:
            cursors, cursors_at = await self._own.user_cursors(visit.watch.instance_id, user_id)
            if key not in self._feeds:  # nobody was faster
                shared = _Shared(self._feeds, key)
                shared.feed = UserFeed(visit.watch, self._own, user_id, shared.fail)
                rooms = [RoomState.of(room, answer.position) for room in answer.rooms]
                shared.feed.begin(since, rooms, answer.position, cursors, cursors_at)
        joined = Joined(self._feeds[key], listener, outlet)
        async with opening(visit.request.limits.call_seconds, "message", joined.close):
            await joined.begin(begin, answer.position)
        return joined


class _Shared:
    """A feed, and all who listen to it."""

    feed: UserFeed

    def __init__(self, feeds: dict[_Key, _Shared], key: _Key) -> None:
        self.joined: dict[Joined, None] = {}
        self._feeds = feeds
        self._key = key
        feeds[key] = self

    def leave(self, joined: Joined) -> None:
        """The last one to leave closes the feed."""
        self.feed.listeners.pop(joined.listener, None)
        self.joined.pop(joined, None)
        if not self.joined:
            self.end()

    def fail(self, error: RoomlineError) -> None:
        """The feed cannot go on: clients begin anew."""
        self.end()
        for joined in tuple(self.joined):
            joined.fail(error)

    def end(self) -> None:
        if self._feeds.get(self._key) is self:
            del self._feeds[self._key]
        self.feed.close()


class Joined:
    """Somebody who listens to a feed; a `Subscription`."""

    def __init__(self, shared: _Shared, listener: Listener, outlet: Outlet) -> None:
        self.listener = listener
        self._shared = shared
        self._outlet = outlet
        self._opened = False
        shared.joined[self] = None

    async def begin(self, begin: Callable[[UserFeed], None], position: int) -> None:
        """Waits for the feed to be current. Raises what it ends with before that."""

        def opened() -> None:
            self._opened = True
            begin(self._shared.feed)

        await self._shared.feed.join(self.listener, opened, position)

    def fail(self, error: RoomlineError) -> None:
        """The feed has ended."""
        if self._opened:
            self._outlet.end(error)

    def close(self) -> None:
        """See `Subscription`."""
        self._shared.leave(self)
