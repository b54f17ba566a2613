"""How an HTTP connection becomes a WebSocket (RFC 6455 §4)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.edge import EdgeError, EdgeReason
from gateway.request import Request as GatewayRequest
from gateway.response import Response

PATH = "/ws"
"""Where all WebSockets begin (spec §10.1)."""

_BODIES = {b"content-length", b"transfer-encoding"}
"""A handshake has none; if it seems to, it is not clear where the frames begin."""


def handshake(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """The answer to a GET that takes it for a handshake; None if it is none.

    Any origin may come: no cookie counts here, each subscription has a token. There are no subprotocols, and nothing is
    compressed: it would cost each idle connection more memory than all else.
    """
    if target.partition(b"?")[0] != PATH.encode() or any(name in _BODIES for name, _ in headers):
        return None
    fields = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
    response = ServerProtocol().accept(Request(PATH, fields))
    return response.serialize() if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS else None


async def no_handshake(_request: GatewayRequest) -> Response:
    """Handles what came to the path and is none."""
    raise EdgeError(EdgeReason.WEBSOCKET_ONLY)
