"""What transports and subscriptions know of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.request import Request
    from gateway.response import Response


class Outlet(Protocol):
    """The way of one subscription to its client; a transport makes it. Nothing here waits for the client.

    A client that does not take what it is sent is the transport's concern: it ends the connection.
    """

    def open(self) -> None:
        """Says that the subscription is live: once, and before the first event."""

    def event(self, tail: bytes) -> None:
        """Sends an event. `tail` is `event_tail(…)`, made once for everybody who gets the event."""

    def end(self, error: BaseException | None = None) -> None:
        """Ends the subscription: normally (204), or with what the dialect says of the error. Nothing may follow."""

    async def in_turn(self) -> None:
        """Returns when what the client asked for before, on the same connection, is open or refused."""


class Subscription(Protocol):
    """A subscription that is open."""

    def close(self) -> None:
        """The client has left, or the transport has ended. Called once, also after `Outlet.end`.

        Never from inside a call of the outlet: whoever sends to many may go through them without a copy.
        """


Subscribe = Callable[["Request", Outlet], Awaitable[Subscription]]
"""Opens a subscription: has everything ready, then calls `Outlet.open` and `Outlet.event`, before or after it returns.

Raises as a handler does, before `Outlet.open`, if it is refused. It may be cancelled: the client has left.
"""


class LiveEndpoint(ABC):
    """What is around a dialect's subscriptions to one path: the token, errors. Routers hold it, transports call it."""

    @abstractmethod
    async def subscribe(self, request: Request, outlet: Outlet) -> Subscription:
        """Opens a subscription; as `Subscribe`."""

    @abstractmethod
    async def refuse(self, error: Exception, request: Request) -> Response:
        """The answer to a request of which no subscription has come."""

    @abstractmethod
    def ending(self, error: BaseException, request: Request) -> Response:
        """What a client is told of an error that ends its subscription."""


def event_tail(event_id: str, body: bytes) -> bytes:
    """What every frame of an event ends with, on both transports (spec §10.1, §10.2): its id, no headers, its body.

    `event_id` consists of digits and other characters that need no escape in JSON; `body` is JSON.
    """
    return b'"%b",{},%b]' % (event_id.encode(), body)
