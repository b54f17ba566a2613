"""The membership subscription (spec §10.8)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import grpc
from roomline.v1.room_service_pb2 import ListMembersRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from gateway.chatkit.live_events import event_id, initial_state, tail
from gateway.live.room_follower import RoomFollower
from services.common.ids import Clock, wall_clock

if TYPE_CHECKING:
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

    from gateway.live.happening import Happening
    from gateway.live.outlet import Outlet, Subscription
    from gateway.live.own_calls import OwnCalls
    from gateway.live.visit import Open, Visit


class LiveMembers:
    """Who is in a room, then who comes and goes."""

    def __init__(self, message: grpc.aio.Channel, own: OwnCalls, clock: Clock = wall_clock) -> None:
        self._stub: RoomServiceAsyncStub = RoomServiceStub(message)
        self._own = own
        self._clock = clock

    def subscriptions(self) -> Sequence[tuple[str, Open]]:
        """Paths below the instance, and what opens a subscription to them."""
        return [("/rooms/{room_id}/memberships", self.open)]

    async def open(self, visit: Visit, outlet: Outlet) -> Subscription:
        """For members, and servers. NOT_A_MEMBER, ROOM_NOT_FOUND."""
        since = await visit.watch.begin()
        room_id = visit.request.parameters["room_id"]
        message = ListMembersRequest(room_id=room_id, members_only=True)
        answer = await visit.request.call(self._stub.ListMembers, message)
        outlet.open()
        outlet.event(initial_state({"user_ids": list(answer.user_ids)}, answer.position, self._clock))
        follower = _Members(visit, outlet, room_id, self._own)
        follower.begin(since, answer.position)
        return follower


class _Members(RoomFollower):
    """Tells one client of the members of one room; of those who join after they themselves have been told."""

    def __init__(self, visit: Visit, outlet: Outlet, room_id: str, own: OwnCalls) -> None:
        super().__init__(visit, outlet, room_id, own)
        self._waiting: deque[Happening] = deque()

    def deliver(self, happening: Happening) -> None:
        """See `RoomFollower`."""
        self._waiting.append(happening)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._waiting[0].waits(self._go_on):
            self._take(self._waiting.popleft())

    def _take(self, happening: Happening) -> None:
        event = happening.event
        match happening.kind:
            case "members_added":
                self._tell(happening, "user_joined", event.members_added.user_ids)
            case "members_removed":
                self._tell(happening, "user_left", event.members_removed.user_ids)
            case "user_deleted":
                self._tell(happening, "user_left", (event.user_deleted.user_id,))

    def _tell(self, happening: Happening, name: str, user_ids: Iterable[str]) -> None:
        for number, user_id in enumerate(user_ids):
            self.outlet.event(_tail(happening, event_id(happening.position, number), name, user_id))


def _tail(happening: Happening, id_: str, name: str, user_id: str) -> bytes:
    return tail(happening, id_, name, lambda: {"user_id": user_id})
