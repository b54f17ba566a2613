"""The test token provider (spec §2.4): an open door, which the user service keeps shut unless an instance opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import IssueTestTokenRequest
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub

from gateway.chatkit import parse, render
from gateway.edge import EdgeError, EdgeReason
from gateway.response import Response, json_response
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    import grpc
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request

MAX_BODY_BYTES = 16 * 1024
"""More than a refresh token ever takes. Anybody may send one, so that larger ones are not even parsed."""


class TokenProvider:
    """POST `/token`, without a token."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: InstanceServiceAsyncStub = InstanceServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [("POST", "/token", self.issue)]

    async def issue(self, request: Request) -> Response:
        """Signs a token for any user id, existing or not."""
        fields = token_fields(await request.body())
        grant_type = fields.get("grant_type") or request.query_value("grant_type")
        refresh_token = ""
        if grant_type == "refresh_token":
            refresh_token = fields.get("refresh_token") or "none"  # an empty one is as invalid as any other
        elif grant_type and grant_type != "client_credentials":
            raise EdgeError(EdgeReason.GRANT_TYPE_INVALID)
        user_id = request.query_value("user_id") or fields.get("user_id")
        if not user_id:
            raise EdgeError(EdgeReason.USER_ID_MISSING)
        message = IssueTestTokenRequest(
            instance_id=request.parameters["instance_id"],
            user_id=parse.query_text(user_id, "user_id"),
            refresh_token=refresh_token,
        )
        answer = await request.call(self._stub.IssueTestToken, message)
        return json_response(render.token(answer, user_id))


def token_fields(body: bytes) -> dict[str, str]:
    """The text fields of a token request: a form, or JSON (spec §2.4).

    Raises EdgeError (JSON_MALFORMED), and REQUEST_TOO_LARGE.
    """
    if len(body) > MAX_BODY_BYTES:
        raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=MAX_BODY_BYTES)
    if not body.lstrip().startswith(b"{"):
        return dict(parse_qsl(body.decode(errors="replace")))
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EdgeError(EdgeReason.JSON_MALFORMED) from error
    return {name: value for name, value in fields.items() if type(value) is str}
