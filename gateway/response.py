"""One answer on its way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from gateway.stream import Stream

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Send

Header = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json")


class Pushed(Protocol):
    """A body without end, written by whoever has something to say."""

    async def run(self, send: Send, push: Push) -> None:
        """Writes the body, once the head is out, until it ends or the client leaves."""

    def stop(self) -> None:
        """The gateway stops: the body is to end."""

    def lost(self) -> None:
        """The connection is gone."""


Push = Callable[["Pushed"], "asyncio.Transport"]
"""Gives the connection to the body, which frames its chunks by itself (RFC 9112 §7.1). The client is not heard any
more; the last chunk goes out as with any other answer."""


INERT: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
)
"""Of files: nothing in them runs or is guessed at, whatever their type says, if somebody opens one in a browser."""


class Response(NamedTuple):
    """Status, body and the headers that only this answer has; the application adds the common ones."""

    status: int
    body: bytes = b""
    headers: Sequence[Header] = ()
    cache_control: bytes = b"private, no-store"
    """Answers depend on the caller: no cache in between may keep one that does not say so."""
    stream: Stream | None = None
    """The body if it comes piece by piece; whoever has the response sends or closes it."""
    pushed: Pushed | None = None
    """The body if it has no end."""


NO_CONTENT = Response(204)
CREATED = Response(201)


def json_response(data: Any, status: int = 200, headers: Sequence[Header] = ()) -> Response:
    """An answer with a JSON body."""
    return Response(status, orjson.dumps(data), (JSON_TYPE, *headers))
