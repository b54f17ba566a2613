"""The ASGI application: routing, CORS, and the headers that every answer has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import grpc
import structlog

from gateway import cors
from gateway.edge import ClientGoneError, EdgeError, EdgeReason
from gateway.live.delivery import Admission
from gateway.live.outlet import LiveEndpoint
from gateway.live.sse import open_event_stream
from gateway.live.streaming import open_stream
from gateway.proxies import Proxies
from gateway.request import Limits, Request
from gateway.response import Response
from gateway.router import SUBSCRIBE, Match, Route, Router
from gateway.stream import BrokenStreamError, Stream, send_stream
from services.common.errors import RoomlineError
from services.common.ids import Uuid7

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

log = structlog.get_logger()

Refusal = Callable[[BaseException, Request], Response]
"""Makes an answer of an error that no route has caught, in the form of a dialect."""

_CLOSE = (b"connection", b"close")
_WITHOUT_BODY = {204, 304}
_MAX_REQUEST_ID = 128


class Peer(NamedTuple):
    """The other end of a WebSocket, and how it reached us."""

    host: bytes
    """As its handshake named us."""
    scheme: str
    server: tuple[str, int]
    address: str
    """Empty if unknown."""


class App:
    """Serves a router over HTTP."""

    def __init__(
        self,
        router: Router,
        refusal: Refusal,
        limits: Limits,
        new_id: Callable[[], str] | None = None,
        proxies: Proxies | None = None,
        max_subscriptions: int = 100_000,
    ) -> None:
        self._router = router
        self._refusal = refusal
        self._limits = limits
        self._new_id = new_id or Uuid7()
        self._proxies = proxies or Proxies()
        self.admission = Admission(max_subscriptions)
        """Of subscriptions, on both transports."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await _lifespan(receive, send)

    def refuse(self, reason: EdgeReason) -> Response:
        """The answer to what never became a request."""
        nameless = Request("", b"", b"", {}, _nothing, "", self._limits, self._new_id)
        return self._refusal(EdgeError(reason), nameless)

    def refusal(self, error: BaseException, request: Request) -> Response:
        """The answer to a request that failed outside its endpoint, in the form of the dialect of its path."""
        return self._refusal(error, request)

    def peer(self, scope: Scope) -> Peer:
        """Where a WebSocket comes from, by the scope of its handshake."""
        origin = self._proxies.origin(scope)
        return Peer(dict(scope["headers"]).get(b"host", b""), origin.scheme, scope["server"], origin.address)

    def subscription_request(self, peer: Peer, path: str, headers: Mapping[str, str]) -> Request:
        """The request for a subscription on a WebSocket, as it would be over HTTP."""
        own = {name.lower().encode(): value.encode() for name, value in headers.items()}
        own[b"host"] = peer.host
        target, _, query = path.partition("#")[0].partition("?")
        return Request(
            SUBSCRIBE,
            target.encode() if target.startswith("/") else b"/" + target.encode(),
            query.encode(),
            own,
            _nothing,
            _request_id(own),
            self._limits,
            self._new_id,
            peer.scheme,
            peer.server,
            remote_address=peer.address,
        )

    def subscription_endpoint(self, request: Request) -> LiveEndpoint:
        """What opens the subscription. Raises EdgeError (ROUTE_NOT_FOUND, METHOD_NOT_ALLOWED, PATH_INVALID)."""
        route = _route(self._router.find(request.raw_path), request)
        if not isinstance(route.handler, LiveEndpoint):
            raise EdgeError(EdgeReason.ROUTE_NOT_FOUND)
        return route.handler

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = self._proxies.origin(scope)
        request = Request(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            headers,
            receive,
            _request_id(headers),
            self._limits,
            self._new_id,
            origin.scheme,
            scope["server"],
            scope["state"]["streams"],
            origin.address,
        )
        credentials = False
        try:
            match = self._router.find(request.raw_path)
            credentials = match is not None and match.credentials
            response = await self._answer(match, request)
        except ClientGoneError:
            return
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last net; see `Endpoint` for the first
            # Cancelled when the grace time is over: the client gets an answer all the same, and the task ends with it.
            response = self._refusal(error, request)
        if request.method == "OPTIONS":
            response = cors.preflight(headers)
        await _send(send, response, request, cors.response_headers(headers, credentials=credentials))
        if response.stream is not None and not await _send_stream(send, response.stream, request):
            scope["state"]["abort"]()
            await request.gone()
        if response.pushed is not None:
            await response.pushed.run(send, scope["state"]["push"])

    async def _answer(self, match: Match | None, request: Request) -> Response:
        handler = _route(match, request).handler
        if isinstance(handler, LiveEndpoint):
            opened = open_stream if request.method == SUBSCRIBE else open_event_stream
            return await opened(handler, request, self.admission)
        return await handler(request)


def _route(match: Match | None, request: Request) -> Route:
    if match is None:
        raise EdgeError(EdgeReason.ROUTE_NOT_FOUND)
    route = match.routes.get(request.method)
    if route is None:
        raise EdgeError(EdgeReason.METHOD_NOT_ALLOWED, allow=", ".join([*match.routes, "OPTIONS"]))
    request.parameters = dict(zip(route.names, match.values, strict=True))
    request.positions = route.positions
    return route


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _lifespan(receive: Receive, send: Send) -> None:
    """Nothing to do: what the application needs is started and stopped around it."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _send(send: Send, response: Response, request: Request, common: tuple[tuple[bytes, bytes], ...]) -> None:
    stream = response.stream
    headers = [
        *response.headers,
        *common,
        (b"cache-control", response.cache_control),
        (b"x-request-id", request.request_id.encode()),
    ]
    if response.status not in _WITHOUT_BODY and response.pushed is None:
        headers.append((b"content-length", b"%d" % (stream.length if stream else len(response.body))))
    if not request.body_read and (b"expect" in request.headers or response.status == 408):
        # The client may never send the body it announced, so where the next request begins is unknown.
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if stream is None and response.pushed is None:
        await send({"type": "http.response.body", "body": response.body})


async def _send_stream(send: Send, stream: Stream, request: Request) -> bool:
    """Sends the body as fast as the client takes it. False if it broke off, which only a broken connection can tell."""
    try:
        if request.method == "HEAD" or not stream.length:
            await send({"type": "http.response.body"})
        else:
            await request.while_here(send_stream(send, stream, request.limits.idle_seconds))
    except (ClientGoneError, TimeoutError):
        return False  # whoever takes nothing for so long has left too
    except (BrokenStreamError, RoomlineError, grpc.aio.AioRpcError, asyncio.CancelledError) as error:
        log.warning("download_broken", request_id=request.request_id, message=str(error))
        return False
    finally:
        stream.close()
    return True


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id for the request, if it can be passed on and logged."""
    text = headers.get(b"x-request-id", b"").decode("latin-1")
    return text if len(text) <= _MAX_REQUEST_ID and text.isascii() and text.isprintable() else ""
