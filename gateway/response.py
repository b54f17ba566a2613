"""One answer on its way out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from gateway.stream import Stream

Header = tuple[bytes, bytes]

JSON_TYPE: Header = (b"content-type", b"application/json")


class Response(NamedTuple):
    """Status, body and the headers that only this answer has; the application adds the common ones."""

    status: int
    body: bytes = b""
    headers: Sequence[Header] = ()
    cache_control: bytes = b"private, no-store"
    """Answers depend on the caller: no cache in between may keep one that does not say so."""
    stream: Stream | None = None
    """The body if it comes piece by piece; whoever has the response sends or closes it."""


NO_CONTENT = Response(204)


def json_response(data: Any, status: int = 200, headers: Sequence[Header] = ()) -> Response:
    """An answer with a JSON body."""
    return Response(status, orjson.dumps(data), (JSON_TYPE, *headers))
