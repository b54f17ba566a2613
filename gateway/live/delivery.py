"""One subscription from its request to its end, whatever the transport."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.edge import EdgeError, EdgeReason
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from gateway.live.outlet import LiveEndpoint, Subscription
    from gateway.request import Request
    from gateway.response import Response

MAX_UNTAKEN_BYTES = 4 * 1024 * 1024
"""How much waits for a client that does not take it as fast as it is sent; then its connection is ended."""

_NEW, _OPEN, _ENDED = range(3)


class Admission:
    """Limits how many subscriptions the process has, on all transports together."""

    def __init__(self, most: int) -> None:
        self._left = most

    def enter(self) -> None:
        """Counts one more. Raises EdgeError (TOO_MANY_SUBSCRIPTIONS) if there are as many as there may be."""
        if self._left <= 0:
            raise EdgeError(EdgeReason.TOO_MANY_SUBSCRIPTIONS)
        self._left -= 1

    def leave(self) -> None:
        """Counts one less."""
        self._left += 1


class Delivery(ABC):
    """The outlet of a subscription, and what becomes of it. Transports say how things are sent."""

    __slots__ = ("_admission", "_admitted", "_endpoint", "_request", "_state", "_subscription")

    def __init__(self, endpoint: LiveEndpoint, request: Request, admission: Admission) -> None:
        self._endpoint = endpoint
        self._request = request
        self._admission = admission
        self._admitted = False
        self._state = _NEW
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Opens the subscription, or says why not. To be cancelled when the client leaves, after `leave`."""
        try:
            self._admission.enter()
            self._admitted = True
            subscription = await self._endpoint.subscribe(self._request, self)
        except Exception as error:  # noqa: BLE001 - every error becomes an answer
            if self._state != _NEW:
                self.end(error)
                return
            refusal = await self._endpoint.refuse(error, self._request)
            if self._state == _NEW:
                self._finish()
                self._send_end(refusal)
        else:
            if self._state == _ENDED:
                subscription.close()
            else:
                self._subscription = subscription

    def open(self) -> None:
        """As `Outlet.open`."""
        if self._state == _NEW:
            self._state = _OPEN
            self._send_open()

    def event(self, tail: bytes) -> None:
        """As `Outlet.event`."""
        if self._state == _OPEN:
            self._send_event(tail)

    def end(self, error: BaseException | None = None) -> None:
        """As `Outlet.end`."""
        if self._state != _ENDED:
            self._finish()
            self._send_end(None if error is None else self._endpoint.ending(error, self._request))

    @abstractmethod
    async def in_turn(self) -> None:
        """As `Outlet.in_turn`."""

    def stop(self) -> None:
        """Ends the subscription because the gateway stops: the client comes back, to another process perhaps."""
        self.end(RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN))

    def leave(self) -> None:
        """The client has left."""
        if self._state != _ENDED:
            self._finish()

    def _finish(self) -> None:
        self._state = _ENDED
        if self._admitted:
            self._admission.leave()
        if self._subscription is not None:
            # Not at once: whoever is sending may be going through a list that this would change.
            asyncio.get_running_loop().call_soon(self._subscription.close)
            self._subscription = None

    @abstractmethod
    def _send_open(self) -> None: ...

    @abstractmethod
    def _send_event(self, tail: bytes) -> None: ...

    @abstractmethod
    def _send_end(self, response: Response | None) -> None:
        """Sends the end: the normal one (204) if there is no response. Also for a subscription that never opened."""
