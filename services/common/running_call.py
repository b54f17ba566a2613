"""A call while it runs, whatever its kind: its metadata, its log line and its status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common import telemetry
from services.common.call import PUBLIC
from services.common.errors import RoomlineError, reason_name

log = structlog.get_logger()

MAX_REQUEST_ID = 128
"""Characters of a request id that are taken over: it goes into the logs and into further calls."""


class RunningCall:
    """One call on its way: what the log says of it, and how it ends: every error in its block becomes a status."""

    __slots__ = ("_context", "_name", "_started", "caller", "metadata", "request_id")

    def __init__(self, name: str, context: grpc.aio.ServicerContext[Any, Any], new_id: Callable[[], str]) -> None:
        self._name = name
        self._context = context
        self._started = time.perf_counter()
        self.caller = PUBLIC
        self.metadata: dict[str, Any] = dict(context.invocation_metadata() or ())
        self.request_id: str = (self.metadata.get(telemetry.REQUEST_ID_KEY) or new_id())[:MAX_REQUEST_ID]
        telemetry.set_request_id(self.request_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            if log.is_enabled_for(logging.DEBUG):  # asked first: for most calls, building the line would be for nothing
                self._log(logging.DEBUG, "OK", "")
        elif isinstance(error, Exception):
            await self.failed(error)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):  # the caller has left
            self._log(logging.INFO, "CANCELLED", "CANCELLED")

    async def failed(self, error: Exception) -> NoReturn:
        """Ends the call with the error's status."""
        if isinstance(error, grpc.aio.AbortError):
            self._log(logging.INFO, _code_name(self._context.code()), "")
            raise error
        if not isinstance(error, RoomlineError):
            log.error("handler_failed", method=self._name, request_id=self.request_id, exc_info=error)
            error = RoomlineError(ErrorReason.ERROR_REASON_INTERNAL)
        self._log(logging.INFO, error.code.name, reason_name(error.reason))
        trailing = (*error.trailing_metadata(), (telemetry.REQUEST_ID_KEY, self.request_id))
        await self._context.abort(error.code, error.message, trailing)

    def _log(self, level: int, code: str, reason: str) -> None:
        """Says how the call ended. The error's text is left out: it may quote what the caller sent."""
        log.log(
            level,
            "call",
            method=self._name,
            code=code,
            reason=reason,
            request_id=self.request_id,
            instance=self.caller.instance_id,
            caller=self.caller.level.name.lower(),
            ms=round((time.perf_counter() - self._started) * 1000, 3),
        )


def _code_name(code: Any) -> str:
    """The name of a status code as a context has it: an enum value, its number or None."""
    return next((known.name for known in grpc.StatusCode if code in (known, known.value[0])), "UNKNOWN")
