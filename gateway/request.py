"""One request on its way in: path parameters, query, body, and the calls that are made for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import orjson
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.edge import ClientGoneError, EdgeError, EdgeReason
from gateway.links import Links, base_url
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    import grpc
    from starlette.types import Receive

    from gateway.multipart import FormFile

Request_ = TypeVar("Request_")
Response_ = TypeVar("Response_")
Result = TypeVar("Result")

Metadata = tuple[tuple[str, str], ...]


class Limits(NamedTuple):
    """What holds for every request."""

    body_bytes: int
    call_seconds: float
    public_url: str = ""
    """Where clients reach the gateway; empty for wherever a request came to."""
    file_bytes: int = 5 * 1024**3
    """The largest file; `body_bytes` does not hold for files."""
    idle_seconds: float = 60.0
    """How long a transfer may stand still."""
    finish_seconds: float = 600.0
    """How long it may take to store an upload whose bytes are all there."""


class Request:
    """A request with a route. Handlers read it and make their calls through it.

    `request_id` is what the client calls it, empty if it does not.
    """

    def __init__(
        self,
        method: str,
        raw_path: bytes,
        query_string: bytes,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        request_id: str,
        limits: Limits,
        new_id: Callable[[], str],
        scheme: str = "http",
        server: tuple[str, int] = ("localhost", 80),
        streams: Callable[[], None] = lambda: None,
        remote_address: str = "",
    ) -> None:
        self.method = method
        self.remote_address = remote_address
        """Where the request comes from, as far as the connection and trusted proxies tell; empty if they do not."""
        self.raw_path = raw_path
        self.headers = headers
        self._unused_id = "" if request_id else new_id()
        self.request_id = request_id or self._unused_id
        self._new_id = new_id
        self.parameters: dict[str, str] = {}
        """The decoded parameters of the path, by name."""
        self.positions: Sequence[int] = ()
        """Which segments of the path the parameters are."""
        self.metadata: Metadata = ()
        """What goes along with every call made for this request."""
        self.field_names: Mapping[str, str] = {}
        """The client's names of fields whose names in the contract differ, for error texts."""
        self.file: FormFile | None = None
        """The file in the body, once a handler has begun to read it."""
        self._query_string = query_string
        self._scheme = scheme
        self._server = server
        self._receive = receive
        self.limits = limits
        self._body: bytes | None = None
        self._streamed = False
        self._streams = streams

    def new_id(self) -> str:
        """A `request_id` for a call that changes something, so that it can be repeated safely.

        The first is the request's own, unless it is from the client, who may give the same to other requests too.
        """
        new_id, self._unused_id = self._unused_id, ""
        return new_id or self._new_id()

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name; empty values count as absent (spec §1.3)."""
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(self._query_string.decode(errors="replace")):
            values.setdefault(name, []).append(value)
        return values

    def query_value(self, name: str) -> str | None:
        """The first value of that name, if any."""
        values = self.query.get(name)
        return values[0] if values else None

    def header(self, name: bytes) -> str:
        """The value of a header, empty if absent."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def content_length(self) -> int | None:
        """The size that the client announces for the body, if it does."""
        announced = self.headers.get(b"content-length", b"")
        return int(announced) if announced.isdigit() else None

    @property
    def links(self) -> Links:
        """What URLs in the answer begin with."""
        here = base_url(self._scheme, self.header(b"host"), self._server)
        return Links(self.limits.public_url or here, self.parameters.get("instance_id", ""), here)

    @property
    def body_read(self) -> bool:
        """The whole body has arrived."""
        return self._body is not None or self._streamed

    async def body(self) -> bytes:
        """The whole body. Raises REQUEST_TOO_LARGE as soon as it is known to be, ClientGoneError if it never ends."""
        if self._body is None:
            self._body = await self._read_body()
        return self._body

    async def _read_body(self) -> bytes:
        limit = self.limits.body_bytes
        if (self.content_length or 0) > limit:
            raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=limit)
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=limit)
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, whatever its size, not faster than it is taken.

        Raises BODY_TOO_SLOW if nothing arrives for the idle time, ClientGoneError if it breaks off.
        """
        self._streams()
        while not self._streamed:
            try:
                async with asyncio.timeout(self.limits.idle_seconds):
                    message = await self._receive()
            except TimeoutError:
                raise EdgeError(EdgeReason.BODY_TOO_SLOW) from None
            if message["type"] != "http.request":
                raise ClientGoneError
            self._streamed = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def while_here(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Does the work while the client waits for it: when the client leaves it is cancelled, with ClientGoneError.

        For requests whose body nobody reads; what comes of it is dropped.
        """
        working, leaving = asyncio.create_task(work), asyncio.create_task(self.gone())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientGoneError
            return working.result()
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def gone(self) -> None:
        """Returns when the client has left."""
        while (await self._receive())["type"] == "http.request":
            pass

    async def json(self) -> Any:
        """The parsed body, whatever its content type (spec §1.4); an empty one counts as `{}`.

        Raises EdgeError (JSON_MALFORMED), also for text that is no UTF-8 or has lone surrogates.
        """
        body = await self.body()
        if not body or body.isspace():
            return {}
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise EdgeError(EdgeReason.JSON_MALFORMED) from error

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request_, Response_], message: Request_) -> Response_:
        """Calls a service on behalf of the client."""
        return await method(message, metadata=self.metadata, timeout=self.limits.call_seconds)
