"""What happens around every Chatkit handler: the token, the second look at a `+`, and errors (spec §1.3, §2, §11)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chatkit import errors
from gateway.edge import ClientGoneError, EdgeError
from gateway.inquiry import Inquiry
from gateway.live.outlet import LiveEndpoint, Outlet, Subscribe, Subscription
from gateway.problem import problem_of
from gateway.request import Metadata, Request
from gateway.response import Response
from gateway.router import Handler, segments
from services.common.errors import RoomlineError
from services.common.interceptors import INSTANCE_KEY, REQUEST_ID_KEY

log = structlog.get_logger()

Result = TypeVar("Result")

_PERHAPS_SPACES = {
    ErrorReason.ERROR_REASON_USER_NOT_FOUND,
    ErrorReason.ERROR_REASON_ROOM_NOT_FOUND,
    ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND,
    ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND,
    ErrorReason.ERROR_REASON_ROLE_NOT_FOUND,
    ErrorReason.ERROR_REASON_JOB_NOT_FOUND,
    ErrorReason.ERROR_REASON_SUBJECT_MISMATCH,
    ErrorReason.ERROR_REASON_PERMISSION_MISSING,
}
"""What a path with a raw `+` gets if the client meant spaces; permissions can depend on the room."""

TRUSTED_BYTES = 8 * 1024
"""The largest body that is parsed before a service has seen the token: larger ones could keep everybody waiting."""

_WITH_BODY = {"POST", "PUT"}
_FAILURES = (grpc.aio.AioRpcError, RoomlineError)


class _Surroundings:
    """What is around a handler, whatever comes of it."""

    def __init__(self, service: str, inquiry: Inquiry, *, public: bool = False) -> None:
        self._service = service
        self._inquiry = inquiry
        self._public = public

    async def _run(self, request: Request, handler: Callable[[Request], Awaitable[Result]]) -> Result:
        """Runs the handler on behalf of the token; twice if it is not clear what a `+` in the path means."""
        if b"+" in request.raw_path:
            return await self._run_ambiguous(request, handler)
        return await handler(request)

    async def refuse(self, error: Exception, request: Request) -> Response:
        """The answer to a request that failed."""
        return refusal(await self._after_token(error, request), request, self._service)

    async def _after_token(self, error: Exception, request: Request) -> Exception:
        """What to answer if a request failed here, before any service has looked at its token, which comes first."""
        if isinstance(error, grpc.aio.AioRpcError) or self._public or not request.metadata:
            return error
        try:
            await self._inquiry.check_token(request)
        except grpc.aio.AioRpcError as token_error:
            return token_error
        return error

    async def _run_ambiguous(self, request: Request, handler: Callable[[Request], Awaitable[Result]]) -> Result:
        """A raw `+` is a plus, or a space that Android form-encoded: taken literally first.

        Not everything fails that names a user who does not exist: for such a path the user is looked up first.
        """
        user_id, spaced = request.parameters.get("user_id", ""), _with_spaces(request).get("user_id", "")
        if user_id != spaced and await self._inquiry.only_second_exists(request, user_id, spaced):
            request.parameters["user_id"] = spaced
        try:
            return await handler(request)
        except _FAILURES as first:
            if problem_of(first).reason not in _PERHAPS_SPACES:
                raise
            request.parameters = _with_spaces(request)
            try:
                return await handler(request)
            except _FAILURES as second:
                if problem_of(second).reason in _PERHAPS_SPACES:
                    raise first from None
                raise


class Endpoint(_Surroundings):
    """A handler as the router calls it: always returns a response."""

    def __init__(
        self, service: str, handler: Handler, inquiry: Inquiry, *, public: bool = False, streams: bool = False
    ) -> None:
        super().__init__(service, inquiry, public=public)
        self._handler = handler
        self._streams = streams
        """The handler takes the body as it arrives."""

    async def __call__(self, request: Request) -> Response:
        """Runs the handler."""
        try:
            request.metadata = _metadata(request, public=self._public)
            if request.method in _WITH_BODY and not self._streams:
                body = await request.body()  # of calls without fields too: its size is limited for all
                if len(body) > TRUSTED_BYTES and not self._public:
                    await self._inquiry.check_token(request)
            return await self._run(request, self._handler)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes a response, in one place
            return await self.refuse(error, request)


class SubscriptionEndpoint(_Surroundings, LiveEndpoint):
    """What opens the subscriptions to a path, as the router calls it."""

    def __init__(self, service: str, subscribe: Subscribe, inquiry: Inquiry) -> None:
        super().__init__(service, inquiry)
        self._subscribe = subscribe

    async def subscribe(self, request: Request, outlet: Outlet) -> Subscription:
        """Opens a subscription; its token is what the services see, as with any call."""
        request.metadata = _metadata(request, public=False)
        return await self._run(request, lambda again: self._subscribe(again, outlet))

    def ending(self, error: BaseException, request: Request) -> Response:
        """The error in the dialect's form. What ends thousands at once is for whoever ends them to log."""
        if isinstance(error, (*_FAILURES, EdgeError)):
            return errors.response_to(problem_of(error), request.method, self._service, request.field_names)
        return refusal(error, request, self._service)


def refusal(error: BaseException, request: Request, service: str) -> Response:
    """The response to a request that failed. The reason of a 5xx goes to the log, not to the client."""
    problem = problem_of(error)
    response = errors.response_to(problem, request.method, service, request.field_names)
    if response.status >= 500:
        details = {"reason": problem.name, "message": problem.message, "request_id": request.request_id}
        if isinstance(error, (*_FAILURES, EdgeError, asyncio.CancelledError)):
            log.warning("request_failed", **details)
        else:
            log.error("handler_failed", exc_info=error, **details)
    return response


def _with_spaces(request: Request) -> dict[str, str]:
    """The path's parameters with every raw `+` read as a space; `%2B` stays a plus."""
    spaced = segments(request.raw_path.replace(b"+", b" "))
    return {name: spaced[position] for name, position in zip(request.parameters, request.positions, strict=True)}


def _metadata(request: Request, *, public: bool) -> Metadata:
    """What goes along with the calls. The token passes through unseen: the services verify it."""
    if public:
        return ((REQUEST_ID_KEY, request.request_id),)
    authorization = request.headers.get(b"authorization")
    if not authorization:
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_MISSING)
    token, instance_id = authorization.decode("latin-1"), request.parameters["instance_id"]
    # gRPC carries printable ASCII only, and neither a token nor an instance id ever has anything else.
    if not (_printable(token) and _printable(instance_id)):
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
    return (("authorization", token), (INSTANCE_KEY, instance_id), (REQUEST_ID_KEY, request.request_id))


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
