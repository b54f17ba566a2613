"""One request on its way in: path parameters, query, body, and the calls that are made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

Request_ = TypeVar("Request_")
Response_ = TypeVar("Response_")

Metadata = tuple[tuple[str, str], ...]


class Limits(NamedTuple):
    """What holds for every request."""

    body_bytes: int
    call_seconds: float
    public_url: str = ""
    """Where clients reach the gateway; empty for wherever a request came to."""


class Request:
    """A request with a route. Handlers read it and make their calls through it."""

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
    ) -> None:
        self.method = method
        self.raw_path = raw_path
        self.headers = headers
        self.request_id = request_id
        self.new_id = new_id
        """Makes a `request_id` for a call that changes something, so that it can be repeated safely."""
        self.parameters: dict[str, str] = {}
        """The decoded parameters of the path, by name."""
        self.positions: Sequence[int] = ()
        """Which segments of the path the parameters are."""
        self.metadata: Metadata = ()
        """What goes along with every call made for this request."""
        self.field_names: Mapping[str, str] = {}
        """The client's names of fields whose names in the contract differ, for error texts."""
        self._query_string = query_string
        self._scheme = scheme
        self._server = server
        self._receive = receive
        self._limits = limits
        self._body: bytes | None = None

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

    @property
    def links(self) -> Links:
        """What URLs in the answer begin with."""
        host = self.headers.get(b"host", b"").decode("latin-1")
        base = self._limits.public_url or base_url(self._scheme, host, self._server)
        return Links(base, self.parameters.get("instance_id", ""))

    @property
    def body_read(self) -> bool:
        """The whole body has arrived."""
        return self._body is not None

    async def body(self) -> bytes:
        """The whole body. Raises REQUEST_TOO_LARGE as soon as it is known to be, ClientGoneError if it never ends."""
        if self._body is None:
            self._body = await self._read_body()
        return self._body

    async def _read_body(self) -> bytes:
        limit = self._limits.body_bytes
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
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
        return await method(message, metadata=self.metadata, timeout=self._limits.call_seconds)
