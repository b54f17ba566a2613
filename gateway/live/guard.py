"""Who may keep a subscription, and for how long."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.live.follower import Follower
from gateway.live.opening import opening
from gateway.live.visit import Open, Visit
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from gateway.live.happening import Happening
    from gateway.live.held_tokens import HeldTokens
    from gateway.live.hub import Hub
    from gateway.live.instance_watch import InstanceWatch
    from gateway.live.outlet import Outlet, Subscribe, Subscription
    from gateway.request import Request
    from services.common.call import Caller


class Guard:
    """Verifies the token of whoever subscribes, and ends what was opened with one that counts no longer.

    Subscriptions end with their key, their session, their user and their instance (a reset), and when the log has a
    gap for them, so that clients begin anew. A token that just expires leaves them open (spec §2.2).
    """

    def __init__(self, tokens: HeldTokens, hub: Hub) -> None:
        self._tokens = tokens
        self._hub = hub

    def admit(self, open_: Open) -> Subscribe:
        """A `Subscribe` for what opens subscriptions of those who are admitted."""

        async def subscribe(request: Request, outlet: Outlet) -> Subscription:
            caller = await self.verify(request)
            admitted = _Admitted(outlet)
            watch = self._enter(admitted, _token(request), caller.instance_id)
            visit = Visit(request, caller, watch, functools.partial(watch.follow_user, admitted))
            try:
                watch.follow(admitted, await _begin(visit), users=(visit.user_id,) if visit.user_id else ())
                return admitted.opened(await open_(visit, outlet))
            except BaseException:
                admitted.close()
                raise

        return subscribe

    async def verify(self, request: Request) -> Caller:
        """Who makes the request. Raises TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED or SESSION_ENDED."""
        return await self._tokens.verify(_token(request), request.parameters["instance_id"])

    def _enter(self, admitted: _Admitted, token: str, instance_id: str) -> InstanceWatch:
        watch = self._hub.enter(instance_id, admitted.end)
        release = self._tokens.hold(token, instance_id, admitted.end, past_expiry=True)

        def leave() -> None:
            watch.unfollow(admitted)
            self._hub.leave(instance_id, admitted.end)
            release()

        admitted.on_close = leave
        return watch


def _token(request: Request) -> str:
    return dict(request.metadata).get("authorization", "")


async def _begin(visit: Visit) -> Happening:
    """Waits until the instance is watched. Raises SERVICE_UNAVAILABLE if that takes too long."""
    async with opening(visit.request.limits.call_seconds, "message"):
        return await visit.watch.begin()


class _Admitted(Follower):
    """A subscription, and what may end it from outside."""

    def __init__(self, outlet: Outlet) -> None:
        self.on_close = _nothing
        self._outlet = outlet
        self._inner: Subscription | None = None
        self._error: RoomlineError | None = None
        self._closed = False

    def opened(self, inner: Subscription) -> Subscription:
        """Takes the subscription, once it is open; returns itself, to be closed in its place."""
        self._inner = inner
        if self._error is not None:  # it ended before it was there
            inner.close()
            self._inner = None
            self._outlet.end(self._error)
        return self

    def receive(self, happening: Happening) -> None:
        if happening.kind == "user_deleted":
            self.end(RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND))

    def end(self, error: RoomlineError) -> None:
        """Ends the subscription, with the reason."""
        if self._error is not None or self._closed:
            return
        self._error = error
        if self._inner is not None:
            self._inner.close()
            self._inner = None
            self._outlet.end(error)

    def close(self) -> None:
        """The client has left, or has been told that it is over."""
        if self._closed:
            return
        self._closed = True
        if self._inner is not None:
            self._inner.close()
        self.on_close()


def _nothing() -> None:
    pass
