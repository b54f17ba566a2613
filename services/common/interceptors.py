"""What happens around every handler, in this order: request id and log, errors, authentication, access and field rules.

The same chain runs for plain gRPC and for the pipe. It works on bytes, so that a body that cannot be decoded gets a
reason like any other mistake.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf import symbol_database
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from roomline.v1 import options_pb2
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common import rules, telemetry
from services.common.call import PUBLIC, Caller, Level, set_caller
from services.common.errors import RoomlineError
from services.common.ids import Uuid7
from services.common.naming import uid_fields
from services.common.running_call import RunningCall
from services.common.tokens import TokenVerifier

REQUEST_ID_KEY = telemetry.REQUEST_ID_KEY
INSTANCE_KEY = "roomline-instance"
"""Metadata: the instance that the caller believes its token to be of, such as the one in a URL's path."""

CHECK_SECONDS = 1.0
"""How often a long stream's token is looked at again: whoever is shut out must be so within two seconds (fault 9)."""
FIRST_MESSAGE_SECONDS = 30.0
"""How long a call that takes a stream may say nothing: the first message decides whether it is let in at all."""
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""The largest response; a caller asks for less, such as a smaller page, if it is refused. Ours accept as much."""
MAX_METHOD = 256
"""Characters of a method's name that are logged and sent back: whoever calls can make names up."""

Context = grpc.aio.ServicerContext[Any, Any]


class Authorizer(Protocol):
    """The one place that decides who may do what."""

    async def allowed(self, caller: Caller, permission: str, room_id: str) -> bool:
        """Whether the user has the permission, in the room if one is named, right now."""


class Names(Protocol):
    """Finds the rooms of requests that name one by a `uid` instead of by `room_id`."""

    async def room_id(self, caller: Caller, field: str, uid: str) -> str | None:
        """The id of the room that this field means; None if there is none that the caller may know of."""


class ServedMethod:
    """One method of the contract, with its handler and what the contract says about it."""

    __slots__ = ("access", "handler", "level", "name", "request_class", "room_path", "self_path", "uid_fields")

    def __init__(self, descriptor: MethodDescriptor, handler: grpc.RpcMethodHandler[Any, Any]) -> None:
        self.name = f"/{descriptor.containing_service.full_name}/{descriptor.name}"
        self.handler = handler
        self.access = descriptor.GetOptions().Extensions[options_pb2.access]
        if not self.access.level:
            raise TypeError(f"{self.name} has no access rule")
        self.level = Level(self.access.level)
        self.request_class: type[Message] = symbol_database.Default().GetSymbol(descriptor.input_type.full_name)
        self.self_path = self.access.self_field.split(".") if self.access.self_field else []
        self.room_path = self.access.room_field.split(".") if self.access.room_field else []
        self.uid_fields = uid_fields(descriptor.input_type)


class Interceptors:
    """Runs handlers inside the chain. Without `names`, handlers see to requests with a `uid` themselves."""

    def __init__(
        self,
        verifier: TokenVerifier,
        authorizer: Authorizer,
        new_id: Callable[[], str] | None = None,
        names: Names | None = None,
    ) -> None:
        self._verifier = verifier
        self._authorizer = authorizer
        self._new_id = new_id or Uuid7()
        self._names = names

    async def unary(self, method: ServedMethod, data: bytes, context: Context) -> bytes:
        """Runs a unary call: serialized request in, serialized response out. A refused call ends in `context.abort`."""
        async with RunningCall(method.name, context, self._new_id) as call:
            request = await self._admit(method, data, call)
            behavior: Callable[[Message, Context], Awaitable[Message]] = method.handler.unary_unary  # type: ignore[assignment]
            response = (await behavior(request, context)).SerializeToString()
            if len(response) > MAX_RESPONSE_BYTES:  # gRPC itself would refuse it without a reason
                raise RoomlineError(ErrorReason.ERROR_REASON_RESPONSE_TOO_LARGE, limit=MAX_RESPONSE_BYTES)
            return response

    async def client_stream(self, method: ServedMethod, requests: AsyncIterator[bytes], context: Context) -> bytes:
        """Runs a call that takes a stream: the first message decides who may; each is checked before it is handed on.

        A stream without any message counts as one with an empty one.
        """
        async with RunningCall(method.name, context, self._new_id) as call:
            await self._identify(method, call)
            first = await self._admit(method, await _first(requests), call)
            behavior: Callable[[AsyncIterator[Message], Context], Awaitable[Message]] = method.handler.stream_unary  # type: ignore[assignment]
            response = await behavior(_checked(method, first, requests), context)
            return response.SerializeToString()

    async def server_stream(self, method: ServedMethod, data: bytes, context: Context) -> AsyncGenerator[bytes]:
        """Runs a call that answers with a stream. Close it: that ends the handler."""
        async with RunningCall(method.name, context, self._new_id) as call:
            request = await self._admit(method, data, call)
            behavior: Callable[[Message, Context], AsyncGenerator[Message]] = method.handler.unary_stream  # type: ignore[assignment]
            async with aclosing(behavior(request, context)) as responses:
                async for response in responses:
                    yield response.SerializeToString()

    async def both_streams(
        self, method: ServedMethod, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncGenerator[bytes]:
        """Runs a call with a stream both ways: as above. It ends when its token does, by time or by being revoked."""
        async with RunningCall(method.name, context, self._new_id) as call:
            await self._identify(method, call)
            # In some languages the caller gets hold of the stream, to send on it, only when there are headers.
            with contextlib.suppress(grpc.aio.InternalError):  # the caller is gone: that will show
                await context.send_initial_metadata(())
            first = await self._admit(method, await _first(requests), call)
            behavior: Any = method.handler.stream_stream
            async with (
                aclosing(behavior(_checked(method, first, requests), context)) as responses,
                aclosing(self._while_admitted(responses, call)) as admitted,
            ):
                async for response in admitted:
                    yield response.SerializeToString()

    async def _while_admitted(self, responses: AsyncIterator[Message], call: RunningCall) -> AsyncGenerator[Message]:
        """The responses, as long as the call's token is good; raises why it is so no longer."""
        authorization = call.metadata.get("authorization")
        while True:
            step = asyncio.ensure_future(anext(responses, None))
            try:
                while not step.done():
                    await asyncio.wait((step,), timeout=CHECK_SECONDS)
                    if authorization is not None:
                        await self._verifier.verify(authorization)
            finally:
                step.cancel()  # no effect on one that is done
                await asyncio.wait((step,))
            response = step.result()
            if response is None:
                return
            yield response

    async def refuse(self, name: str, error: RoomlineError, context: Context) -> NoReturn:
        """Refuses a call that has no handler."""
        await RunningCall(name[:MAX_METHOD], context, self._new_id).failed(error)

    async def _identify(self, method: ServedMethod, call: RunningCall) -> Caller:
        """Who is calling; raises if the method is not for such callers. Done before a stream is waited for."""
        caller = PUBLIC
        authorization = call.metadata.get("authorization")
        if authorization is not None or method.level is not Level.PUBLIC:
            caller = await self._verifier.verify(authorization)
            expected = call.metadata.get(INSTANCE_KEY)
            if expected is not None and expected != caller.instance_id:
                raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        call.caller = caller
        _check_level(method.level, caller.level)
        return caller

    async def _admit(self, method: ServedMethod, data: bytes, call: RunningCall) -> Message:
        caller = await self._identify(method, call)  # again for streams: the token may have ended meanwhile
        request = _decoded(method, data)
        if method.uid_fields and self._names is not None:
            for field in method.uid_fields:
                if getattr(request, field):
                    await self._name_room(self._names, caller, request, field)
        if caller.is_user:
            await self._check_user(method, caller, request)
        rules.check(request)
        set_caller(caller)
        return request

    async def _name_room(self, names: Names, caller: Caller, request: Any, field: str) -> None:
        """Fills in `room_id`, if that is empty; else it is what counts.

        A room that is unknown gets an id that none has, and not a refusal here: permission comes before existence, and
        a repeated request may find its first answer though the room is gone.
        """
        if request.room_id:
            request.ClearField(field)
        else:
            request.room_id = await names.room_id(caller, field, getattr(request, field)) or self._new_id()

    async def _check_user(self, method: ServedMethod, caller: Caller, request: Message) -> None:
        if method.self_path and _value(request, method.self_path) != caller.user_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_SUBJECT_MISMATCH)
        permission = method.access.permission
        if not permission or method.access.in_transaction:
            return
        room_id = _value(request, method.room_path) if method.room_path else ""
        if not await self._authorizer.allowed(caller, permission, room_id):
            raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=permission)


def _decoded(method: ServedMethod, data: bytes) -> Message:
    try:
        return method.request_class.FromString(data)
    except DecodeError as error:
        raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_UNDECODABLE) from error


async def _first(requests: AsyncIterator[bytes]) -> bytes:
    """The first message of a stream; empty if it has none. Raises DEADLINE_EXCEEDED if it does not come."""
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            return await anext(requests, b"")
    except TimeoutError:
        raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from None


async def _checked(method: ServedMethod, first: Message, requests: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """The messages of a stream whose first one has been checked."""
    yield first
    async for data in requests:
        request = _decoded(method, data)
        rules.check(request)
        yield request


def _check_level(needed: Level, actual: Level) -> None:
    """Operators have their own methods, and only those; otherwise more trust includes less."""
    if needed is Level.PUBLIC:
        return
    operator = Level.OPERATOR
    if (needed is operator) != (actual is operator) or actual < needed:
        raise RoomlineError(ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED, level=needed.name.lower())


def _value(message: Message, path: list[str]) -> str:
    value: Any = message
    for name in path:
        value = getattr(value, name)
    return str(value)
