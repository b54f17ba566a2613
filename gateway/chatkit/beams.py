"""The token of mobile pushes (spec §10.13), which are not served: clients only want to get one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.edge import EdgeError, EdgeReason
from gateway.response import Response, json_response
from services.common.errors import RoomlineError
from services.common.tokens import sign

if TYPE_CHECKING:
    from gateway.chatkit.routes import Routes
    from gateway.live.guard import Guard
    from gateway.request import Request

LIFETIME_SECONDS = 86_400


class Beams:
    """GET `/beams-tokens`. `secret` signs the tokens, which nothing of ours accepts."""

    def __init__(self, guard: Guard, secret: str, now: Callable[[], float] = time.time) -> None:
        self._guard = guard
        self._secret = secret
        self._now = now

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [("GET", "/beams-tokens", self.issue)]

    async def issue(self, request: Request) -> Response:
        """For the user itself, and servers."""
        caller = await self._guard.verify(request)
        user_id = request.query_value("user_id")
        if not user_id:
            raise EdgeError(EdgeReason.USER_ID_MISSING)
        if caller.is_user and caller.user_id != user_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_SUBJECT_MISMATCH)
        expires = int(self._now()) + LIFETIME_SECONDS
        return json_response({"token": sign({"sub": user_id, "exp": expires}, self._secret)})
