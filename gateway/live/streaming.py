"""Subscriptions over HTTP: the method SUBSCRIBE, answered by one JSON array per line without end (spec §10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.edge import EdgeError, EdgeReason
from gateway.live.endless import UNBUFFERED, EndlessDelivery
from gateway.response import JSON_TYPE

if TYPE_CHECKING:
    from gateway.live.delivery import Admission
    from gateway.live.outlet import LiveEndpoint
    from gateway.request import Request
    from gateway.response import Response


class Heartbeat(NamedTuple):
    """The keep-alives that a client wants."""

    seconds: float = 30
    """Between two of them."""
    first_bytes: int = 0
    """The length of the first one's text, so that no proxy keeps it."""

    @classmethod
    def of(cls, request: Request) -> Heartbeat:
        """As its headers say. Raises EdgeError (HEARTBEAT_INVALID)."""
        return cls(
            _number(request.header(b"x-heartbeat-interval"), "X-Heartbeat-Interval", 30, 300, 30),
            _number(request.header(b"x-initial-heartbeat-size"), "X-Initial-Heartbeat-Size", 0, 10_240, 0),
        )


def _number(text: str, name: str, least: int, most: int, default: int) -> int:
    text = text.strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise EdgeError(EdgeReason.HEARTBEAT_INVALID, header=name, least=str(least), most=str(most))
    return int(text)


class StreamDelivery(EndlessDelivery):
    """The answer to one SUBSCRIBE: lines."""

    __slots__ = ("_first_bytes",)

    headers = (JSON_TYPE, *UNBUFFERED)

    def __init__(self, endpoint: LiveEndpoint, request: Request, admission: Admission, heartbeat: Heartbeat) -> None:
        super().__init__(endpoint, request, admission, heartbeat.seconds)
        self._first_bytes = heartbeat.first_bytes

    def _first(self) -> bytes:
        return b'[0,"%b"]\n' % (b" " * self._first_bytes)

    def _keep_alive(self) -> bytes:
        return b'[0,""]\n'

    def _farewell(self, response: Response) -> bytes:
        """Without headers: one SDK wants them to be strings, another one lists of strings."""
        return b"[255,%d,{},%b]\n" % (response.status, response.body or b"{}")

    def _send_event(self, tail: bytes) -> None:
        self._write(b"[1,%b\n" % tail)


async def open_stream(endpoint: LiveEndpoint, request: Request, admission: Admission) -> Response:
    """The answer to a SUBSCRIBE. Raises ClientGoneError."""
    try:
        heartbeat = Heartbeat.of(request)
    except EdgeError as error:
        return await endpoint.refuse(error, request)
    return await StreamDelivery(endpoint, request, admission, heartbeat).opening()
