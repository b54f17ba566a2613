"""What a subscription to a room has in common with all others: when it is over."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.live.follower import Follower
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from gateway.live.happening import Happening
    from gateway.live.outlet import Outlet
    from gateway.live.own_calls import OwnCalls
    from gateway.live.visit import Visit


class RoomFollower(Follower):
    """Follows one room until that is deleted, or may be followed no longer; a `Subscription`.

    Whoever leaves a room, or is removed, may not. Nor may a stranger from the moment that the room is private: what
    happens while the gateway asks who is none is kept back.
    """

    def __init__(self, visit: Visit, outlet: Outlet, room_id: str, own: OwnCalls) -> None:
        self.room_id = room_id
        self.outlet = outlet
        self._visit = visit
        self._own = own
        self._held: list[Happening] = []
        self._checking: asyncio.Task[None] | None = None

    @abstractmethod
    def deliver(self, happening: Happening) -> None:
        """Tells the client of an event of the room, if there is something to tell."""

    def begin(self, since: Happening, position: int) -> None:
        """Begins with what the services have answered, as of the position. `since` is from before they were asked."""
        self.after = position
        self._visit.watch.follow(self, since, rooms=(self.room_id,))

    def close(self) -> None:
        """See `Subscription`."""
        self._visit.watch.unfollow(self)
        if self._checking is not None:
            self._checking.cancel()

    def receive(self, happening: Happening) -> None:
        """See `Follower`."""
        if happening.kind == "message_sent" and self._checking is None:  # what there is most of
            self.deliver(happening)
            return
        user_id = self._visit.user_id
        change: Any = getattr(happening.event, happening.kind)
        if happening.kind == "room_deleted":
            self._end(RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND))
        elif happening.kind == "members_removed" and user_id in change.user_ids:
            self._end(RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER))
        elif self._checking is not None:
            self._held.append(happening)
        elif happening.kind == "room_updated" and change.room.private and user_id:
            self._checking = asyncio.create_task(self._check_member(happening, user_id))
        else:
            self.deliver(happening)

    async def _check_member(self, happening: Happening, user_id: str) -> None:
        """Lets events through again, if the user is a member."""
        try:
            members = await asyncio.shield(happening.once("members", lambda: asyncio.ensure_future(self._members())))
        except RoomlineError as error:
            self._end(error)
            return
        if user_id not in members:
            self._end(RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER))
            return
        self._checking = None
        held, self._held = self._held, []
        for one in held:
            self.receive(one)

    async def _members(self) -> set[str]:
        return await self._own.members(self._visit.watch.instance_id, self.room_id)

    def _end(self, error: RoomlineError) -> None:
        self._visit.watch.unfollow(self)
        self._held.clear()
        self.outlet.end(error)
