"""Lets pages of any origin use the API (spec §12.1). Tokens travel in a header, never in a cookie, so this is safe."""

import re
from collections.abc import Mapping

from gateway.response import Header, Response

_METHODS = b"GET, HEAD, POST, PUT, DELETE, SUBSCRIBE, OPTIONS"
_REQUEST_HEADERS = (
    b"Authorization, Content-Type, Accept, X-SDK-Product, X-SDK-Version, X-SDK-Language, X-SDK-Platform, "
    b"Last-Event-Id, X-Heartbeat-Interval, X-Initial-Heartbeat-Size"
)
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2048}")

_EXPOSE: Header = (b"access-control-expose-headers", b"Retry-After, Date, Location, X-Request-Id")
_ANY_ORIGIN: tuple[Header, ...] = ((b"access-control-allow-origin", b"*"), _EXPOSE)


def response_headers(headers: Mapping[bytes, bytes], *, credentials: bool) -> tuple[Header, ...]:
    """What every answer carries, errors too: without it a browser sees a network error and tries for ever."""
    origin = headers.get(b"origin")
    if not credentials or origin is None:
        return _ANY_ORIGIN
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
        _EXPOSE,
    )


def preflight(headers: Mapping[bytes, bytes]) -> Response:
    """The answer to OPTIONS, for every path and without a token. SDKs send headers of their own: each is allowed."""
    asked = headers.get(b"access-control-request-headers", b"")
    allowed = _REQUEST_HEADERS + b", " + asked if _HEADER_NAMES.fullmatch(asked) else _REQUEST_HEADERS
    return Response(
        204,
        headers=(
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", allowed),
            (b"access-control-max-age", b"86400"),
        ),
    )
