"""Those who follow what happens to one user each: all on one stream, after those that are behind have caught up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.live.user_stream import Following, Place, Prepare, UserListener, UserStream
from services.common.backoff import Backoff

if TYPE_CHECKING:
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub

    from services.common.tokens import ServiceTokens

BACKOFF = Backoff(first=0.1, longest=2.0)
NEAR = 256
"""How many events somebody may be behind without being kept apart: as many as come in one answer."""


class UserStreams:
    """Two streams of one instance. Close it in the end.

    A stream serves first who is furthest behind. Whoever resumes from far back reads on the second one, with others
    like him, until he is as far as the first: else everybody would wait for him.
    """

    def __init__(
        self,
        instance_id: str,
        events: EventServiceAsyncStub,
        tokens: ServiceTokens,
        prepare: Prepare,
        backoff: Backoff = BACKOFF,
    ) -> None:
        self._live = UserStream(instance_id, events, tokens, prepare, backoff)
        self._late = UserStream(instance_id, events, tokens, prepare, backoff, self._move)
        self._works: list[asyncio.Task[None]] = []

    async def follow(self, user_id: str, after: Place | None, listener: UserListener) -> Following:
        """Tells the listener what happens to the user from now on, or has happened after a place.

        Waits for the message service, if need be. `listener.begin` is called in a while, and before it perhaps
        `listener.end`.
        """
        if not self._works:
            self._works = [asyncio.create_task(stream.run()) for stream in (self._live, self._late)]
        await self._live.opened()
        following = Following(user_id, after, listener)
        is_live = after is None or self._is_near(after)
        (self._live if is_live else self._late).add(following)
        return following

    def leave(self, following: Following) -> None:
        """Tells the listener nothing more; fine if it is over already."""
        _ = self._live.remove(following) or self._late.remove(following)

    async def close(self) -> None:
        """Tells nobody anything more."""
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)

    def _is_near(self, place: Place) -> bool:
        end = self._live.place
        return place.epoch == end.epoch and end.position - place.position <= NEAR

    def _move(self) -> None:
        """Has those go on with all the others who have caught up."""
        for following in self._late.followings:
            place = self._late.place_of(following)
            if following.is_live and place.position >= self._live.place.position:
                self._late.remove(following)
                following.place = place
                self._live.add(following)
