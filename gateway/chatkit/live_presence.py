"""Subscriptions to presence: to be online, and to see who is (spec §9.1)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
import orjson
from roomline.v1.presence_service_pb2 import BatchGetPresenceRequest, CheckRegistrationRequest
from roomline.v1.presence_service_pb2_grpc import PresenceServiceStub

from gateway.chatkit import render
from gateway.live.outlet import event_tail
from services.common.ids import Clock, wall_clock
from services.common.timestamps import to_proto

if TYPE_CHECKING:
    from roomline.v1.presence_pb2 import PresenceState
    from roomline.v1.presence_service_pb2_grpc import PresenceServiceAsyncStub

    from gateway.live.outlet import Outlet, Subscription
    from gateway.live.presence import Presence
    from gateway.live.visit import Open, Visit


class LivePresence:
    """The subscriptions of `chatkit_presence`."""

    def __init__(self, user: grpc.aio.Channel, presence: Presence, clock: Clock = wall_clock) -> None:
        self._stub: PresenceServiceAsyncStub = PresenceServiceStub(user)
        self._presence = presence
        self._clock = clock
        self._ids = itertools.count(clock())  # rising over restarts too

    def subscriptions(self) -> Sequence[tuple[str, Open]]:
        """Paths below the instance, and what opens a subscription to them."""
        return [("/users/{user_id}/register", self.register), ("/users/{user_id}", self.watch)]

    async def register(self, visit: Visit, outlet: Outlet) -> Subscription:
        """The user is online as long as this is open. Own U; without events.

        The client reads its state when this opens: whoever watches the user has been told by then, on this socket too
        if that was asked for before.
        """
        request = visit.request
        user_id = request.parameters["user_id"]
        visit.end_with(user_id)
        await request.call(self._stub.CheckRegistration, CheckRegistrationRequest(user_id=user_id))
        registration = await self._presence.register(request.parameters["instance_id"], user_id, outlet.end)
        try:
            await outlet.in_turn()
        except BaseException:
            registration.close()
            raise
        outlet.open()
        return registration

    async def watch(self, visit: Visit, outlet: Outlet) -> Subscription:
        """A user's state, at once and whenever it changes; `offline` of unknown users. For all who may subscribe."""
        request = visit.request
        user_id = request.parameters["user_id"]
        # Only to have the service decide about access: the states come over a stream that is shared by all.
        await request.call(self._stub.BatchGetPresence, BatchGetPresenceRequest(user_ids=[user_id]))
        is_open = False

        def tell(state: PresenceState.ValueType) -> None:
            nonlocal is_open
            if not is_open:
                is_open = True
                outlet.open()
            outlet.event(self._tail(state))

        return await self._presence.watch(request.parameters["instance_id"], user_id, tell, outlet.end)

    def _tail(self, state: PresenceState.ValueType) -> bytes:
        body = render.event("presence_state", render.presence(state), to_proto(self._clock()))
        return event_tail(str(next(self._ids)), orjson.dumps(body))
