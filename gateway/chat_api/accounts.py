"""Registration and sessions (spec §8), and the keys that verify access tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.account_service_pb2 import (
    GetPublicKeysRequest,
    LoginRequest,
    LogoutRequest,
    RefreshRequest,
    RegisterRequest,
)
from roomline.v1.account_service_pb2_grpc import AccountServiceStub

from gateway.chat_api import credentials, parse, render
from gateway.chat_api.endpoint import Kind
from gateway.response import JSON_TYPE, Response, json_response
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    import grpc
    from roomline.v1.account_service_pb2_grpc import AccountServiceAsyncStub

    from gateway.chat_api.endpoint import Edge
    from gateway.chat_api.routes import Routes
    from gateway.request import Request

KEYS_PATH = "/.well-known/jwks.json"
_KEYS_CACHE = b"public, max-age=300"


class Sessions:
    """`auth/*`."""

    def __init__(self, user: grpc.aio.Channel, edge: Edge) -> None:
        self._stub: AccountServiceAsyncStub = AccountServiceStub(user)
        self._edge = edge

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("POST", "/auth/register", self.register, Kind.PUBLIC),
            ("POST", "/auth/login", self.login, Kind.PUBLIC),
            ("POST", "/auth/refresh", self.refresh, Kind.PUBLIC),
            ("GET", "/auth/logout", self.logout, Kind.CHANGE),
            ("POST", "/auth/logout", self.logout, Kind.CHANGE),
        ]

    async def register(self, request: Request) -> Response:
        """Makes an account; no session yet. A server token may do so where nobody else may."""
        data = await parse.body(request)
        authorization = request.header(b"authorization")
        if _is_servers(authorization):
            request.metadata = self._edge.metadata(request, authorization)
        message = RegisterRequest(
            first_name=parse.string(data, "first_name"),
            last_name=parse.string(data, "last_name"),
            email=parse.string(data, "email"),
            password=parse.string(data, "password"),
            remote_address=request.remote_address,
            request_id=request.new_id(),
        )
        await request.call(self._stub.Register, message)
        return json_response(render.ok())

    async def login(self, request: Request) -> Response:
        """Starts a session."""
        data = await parse.body(request)
        message = LoginRequest(
            email=parse.string(data, "email"),
            password=parse.string(data, "password"),
            remote_address=request.remote_address,
        )
        answer = await request.call(self._stub.Login, message)
        return json_response(render.tokens(answer))

    async def refresh(self, request: Request) -> Response:
        """The next tokens of a session."""
        message = RefreshRequest(refresh_token=parse.string(await parse.body(request), "refresh_token"))
        answer = await request.call(self._stub.Refresh, message)
        return json_response(render.tokens(answer))

    async def logout(self, request: Request) -> Response:
        """Ends the session of the token, at once and everywhere."""
        await request.call(self._stub.Logout, LogoutRequest())
        return json_response(render.ok())

    async def keys(self, request: Request) -> Response:
        """A JSON Web Key Set (RFC 7517)."""
        answer = await request.call(self._stub.GetPublicKeys, GetPublicKeysRequest())
        return Response(200, answer.jwks.encode(), (JSON_TYPE,), _KEYS_CACHE)


def _is_servers(authorization: str) -> bool:
    """Whether a token says that it is a server's. Any other is of no use for registering, and left out."""
    try:
        return bool(authorization) and credentials.claims(authorization).get("su") is True
    except RoomlineError:
        return False
