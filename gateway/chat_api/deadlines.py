"""When messages expire that were posted with `expires_in`, for posts that are repeated (spec §4).

The message service compares a repeated request with the first one, and that has a moment in it that is reckoned from
now. A repetition that another gateway process gets, or one after a restart, has another moment and is refused.
"""

from __future__ import annotations

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

MOST = 10_000
"""How many are remembered; the oldest are forgotten first."""


class Deadlines:
    """Milliseconds since the Unix epoch, by who posts and by `request_id`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, int]] = {}

    def first(self, user_id: str, request_id: str, seconds: int, now: int) -> int:
        """The deadline of the first post. Raises REQUEST_ID_REUSED if that had another time to live."""
        lifetime, deadline = self._known.setdefault((user_id, request_id), (seconds, now + seconds * 1000))
        if lifetime != seconds:
            raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return deadline
