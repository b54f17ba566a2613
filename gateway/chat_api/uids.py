"""The `uid`s of users whom events name, looked up by the gateway itself: an event is shown to many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.chat_api.people import BATCH, NOBODY

if TYPE_CHECKING:
    from gateway.live.own_calls import OwnCalls

KNOWN_SECONDS = 60.0
"""A user who is deleted and made anew has another `uid`; nobody sees the old one for longer."""


class Uids:
    """Those of one instance. Learn of users before they are shown."""

    def __init__(self, own: OwnCalls, instance_id: str) -> None:
        self._own = own
        self._instance_id = instance_id
        self._known: dict[str, str] = {}
        self._until = 0.0

    async def learn(self, user_ids: Iterable[str]) -> None:
        """Looks up those that are not known. Raises RoomlineError if that fails."""
        wanted = set(user_ids)
        now = asyncio.get_running_loop().time()
        if now > self._until:
            self._known, self._until = {}, now + KNOWN_SECONDS
        missing = [one for one in sorted(wanted) if one not in self._known]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            found = await self._own.user_uids(self._instance_id, part)
            self._known.update((user_id, found.get(user_id, NOBODY)) for user_id in part)

    def uid(self, user_id: str) -> str:
        """See `Named`."""
        return self._known.get(user_id, NOBODY)
