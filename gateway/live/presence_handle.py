"""What somebody holds of the presence in an instance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.live.opening import opening
from services.common.errors import RoomlineError


class Handle:
    """A registration or a watch: in force from `opened` on until it is closed, or `ended` is called."""

    def __init__(self, ended: Callable[[RoomlineError], None], drop: Callable[[], None]) -> None:
        self._ended = ended
        self._drop = drop
        self._decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def opened(self, seconds: float) -> None:
        """Returns when it is in force. Raises why it never will be: SERVICE_UNAVAILABLE after so many seconds."""
        async with opening(seconds, "user", self.close):
            await self._decided

    def begin(self) -> None:
        """It is in force."""
        if not self._decided.done():
            self._decided.set_result(None)

    def end(self, error: RoomlineError) -> None:
        """It is no longer, or never will be."""
        if not self._decided.done():
            self._decided.set_exception(error)
        elif not self._decided.cancelled():
            self._ended(error)

    def close(self) -> None:
        """Gives it back; any number of times."""
        self._drop()
