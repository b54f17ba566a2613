"""Subscriptions as server-sent events: what browsers read with `EventSource` (WHATWG HTML §9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.live.endless import UNBUFFERED, EndlessDelivery

if TYPE_CHECKING:
    from gateway.live.delivery import Admission
    from gateway.live.outlet import LiveEndpoint
    from gateway.request import Request
    from gateway.response import Response

PING_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
"""After how long a client comes back that has lost its stream."""


def block(event_id: str = "", name: str = "", data: bytes = b"") -> bytes:
    """One event. Without a name and data it only tells the client where it is: where to go on if the stream is lost.

    None of them may have a line break.
    """
    fields = ((b"id", event_id.encode()), (b"event", name.encode()), (b"data", data))
    return b"".join(b"%b: %b\n" % (field, value) for field, value in fields if value) + b"\n"


class EventStreamDelivery(EndlessDelivery):
    """The answer to one GET: blocks."""

    __slots__ = ()

    headers = ((b"content-type", b"text/event-stream"), *UNBUFFERED)

    def _first(self) -> bytes:
        return b"retry: %d\n\n" % RETRY_MILLISECONDS

    def _keep_alive(self) -> bytes:
        return b": ping\n\n"

    def _farewell(self, response: Response) -> bytes:  # noqa: ARG002 - what was wrong a client learns when it comes back
        return b""

    def _send_event(self, tail: bytes) -> None:
        self._write(tail)


async def open_event_stream(
    endpoint: LiveEndpoint, request: Request, admission: Admission, seconds: float = PING_SECONDS
) -> Response:
    """The answer to a GET. `tail` of its events is what `block` makes. Raises ClientGoneError."""
    return await EventStreamDelivery(endpoint, request, admission, seconds).opening()
