"""What happens around every handler of the chat API: the token, the body, and errors (spec §1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chat_api import credentials, errors
from gateway.edge import ClientGoneError
from gateway.request import Metadata, Request
from gateway.response import Response
from gateway.router import Handler
from services.common.errors import RoomlineError
from services.common.interceptors import INSTANCE_KEY, REQUEST_ID_KEY

if TYPE_CHECKING:
    from gateway.inquiry import Inquiry
    from services.common.tokens import ServiceTokens

TRUSTED_BYTES = 8 * 1024
"""The largest body that is parsed before a service has seen a token: larger ones could keep everybody waiting."""


class Kind(Enum):
    """What is special about a call."""

    PLAIN = auto()
    PUBLIC = auto()
    """It takes no token: the services see the gateway's own, so that they believe where it says the call comes from."""
    CHANGE = auto()
    """It changes something though its method is GET."""
    FORM = auto()
    """The handler takes the body as it arrives."""
    FILE = auto()
    """It answers with a file."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What all endpoints of the dialect share."""

    instance_id: str
    """The instance that the dialect serves."""
    inquiry: Inquiry
    own_tokens: ServiceTokens | None
    """None if the gateway has no secret to sign them with, as when it runs alone in a test."""
    always_200: bool
    """Errors have the status 200, for clients that only read `ok`."""

    def own_metadata(self, request: Request) -> Metadata:
        """What goes along with a call that the gateway makes for itself."""
        own = (("authorization", f"Bearer {self.own_tokens()}"),) if self.own_tokens else ()
        return (*own, (REQUEST_ID_KEY, request.request_id))

    def metadata(self, request: Request, authorization: str) -> Metadata:
        """What goes along with a call for a client. The token passes through unseen: the services verify it."""
        if not (authorization.isascii() and authorization.isprintable()):  # gRPC carries nothing else
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        return (
            ("authorization", authorization),
            (INSTANCE_KEY, self.instance_id),
            (REQUEST_ID_KEY, request.request_id),
        )


class Endpoint:
    """A handler as the router calls it: always returns a response."""

    def __init__(self, handler: Handler, edge: Edge, kind: Kind = Kind.PLAIN) -> None:
        self._handler = handler
        self._edge = edge
        self._kind = kind

    async def __call__(self, request: Request) -> Response:
        """Runs the handler."""
        try:
            request.metadata = self._metadata(request)
            if request.method == "POST" and self._kind is not Kind.FORM:
                body = await request.body()  # of calls without fields too: its size is limited for all
                if len(body) > TRUSTED_BYTES:
                    await self._look_at_token(request)
            return await self._handler(request)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes a response, in one place
            always_200 = self._edge.always_200 and self._kind is not Kind.FILE
            shown = await self._after_token(error, request)
            return errors.refusal(shown, request.method, request.request_id, always_200=always_200)

    async def _look_at_token(self, request: Request) -> None:
        """Raises before a large body is parsed: if the token is a bad one, or if there is none to look at."""
        if self._kind is Kind.PUBLIC:
            raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=TRUSTED_BYTES)
        await self._edge.inquiry.check_token(request)

    async def _after_token(self, error: Exception, request: Request) -> Exception:
        """What to answer if a request failed here, before any service has looked at its token, which comes first."""
        if isinstance(error, grpc.aio.AioRpcError) or self._kind is Kind.PUBLIC or not request.metadata:
            return error
        try:
            await self._edge.inquiry.check_token(request)
        except grpc.aio.AioRpcError as token_error:
            return token_error
        return error

    def _metadata(self, request: Request) -> Metadata:
        if self._kind is Kind.PUBLIC:
            return self._edge.own_metadata(request)
        authorization = credentials.authorization(request, changes=self._kind is Kind.CHANGE)
        if not authorization:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_MISSING)
        return self._edge.metadata(request, authorization)
