"""The cursor subscriptions (spec §10.10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
from roomline.v1.cursor_service_pb2 import ListRoomCursorsRequest, ListUserCursorsRequest
from roomline.v1.cursor_service_pb2_grpc import CursorServiceStub

from gateway.chatkit import render, render_live
from gateway.chatkit.live_events import event_id, initial_state, tail
from gateway.live.follower import Follower
from gateway.live.room_follower import RoomFollower
from services.common.ids import Clock, wall_clock

if TYPE_CHECKING:
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub

    from gateway.live.happening import Happening
    from gateway.live.instance_watch import InstanceWatch
    from gateway.live.outlet import Outlet, Subscription
    from gateway.live.own_calls import OwnCalls
    from gateway.live.visit import Open, Visit


class LiveCursors:
    """All cursors of a user or of a room, then those that are set."""

    def __init__(self, message: grpc.aio.Channel, own: OwnCalls, clock: Clock = wall_clock) -> None:
        self._stub: CursorServiceAsyncStub = CursorServiceStub(message)
        self._own = own
        self._clock = clock

    def subscriptions(self) -> Sequence[tuple[str, Open]]:
        """Paths below the instance, and what opens a subscription to them."""
        return [("/cursors/0/users/{user_id}", self.of_user), ("/cursors/0/rooms/{room_id}", self.of_room)]

    async def of_user(self, visit: Visit, outlet: Outlet) -> Subscription:
        """For the user itself, and servers."""
        since = await visit.watch.begin()
        user_id = visit.request.parameters["user_id"]
        visit.end_with(user_id)
        answer = await visit.request.call(self._stub.ListUserCursors, ListUserCursorsRequest(user_id=user_id))
        outlet.open()
        outlet.event(initial_state(render_live.cursors(answer.cursors), answer.position, self._clock))
        return _OfUser(visit.watch, outlet, user_id, since, answer.position)

    async def of_room(self, visit: Visit, outlet: Outlet) -> Subscription:
        """For whoever may read the room's cursors. ROOM_NOT_FOUND."""
        since = await visit.watch.begin()
        room_id = visit.request.parameters["room_id"]
        answer = await visit.request.call(self._stub.ListRoomCursors, ListRoomCursorsRequest(room_id=room_id))
        outlet.open()
        outlet.event(initial_state(render_live.cursors(answer.cursors), answer.position, self._clock))
        follower = _OfRoom(visit, outlet, room_id, self._own)
        follower.begin(since, answer.position)
        return follower


class _OfRoom(RoomFollower):
    """Tells one client of the cursors of one room."""

    def deliver(self, happening: Happening) -> None:
        """See `RoomFollower`."""
        _tell(self.outlet, happening)


class _OfUser(Follower):
    """Tells one client of the cursors of one user; a `Subscription`."""

    def __init__(self, watch: InstanceWatch, outlet: Outlet, user_id: str, since: Happening, position: int) -> None:
        self.after = position
        self._watch = watch
        self._outlet = outlet
        watch.follow(self, since, users=(user_id,))

    def receive(self, happening: Happening) -> None:
        """See `Follower`."""
        _tell(self._outlet, happening)

    def close(self) -> None:
        """See `Subscription`."""
        self._watch.unfollow(self)


def _tell(outlet: Outlet, happening: Happening) -> None:
    if happening.kind == "cursor_set":
        cursor = happening.event.cursor_set.cursor
        outlet.event(tail(happening, event_id(happening.position), "new_cursor", lambda: render.cursor(cursor)))
