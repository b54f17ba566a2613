"""Why a request failed, wherever it did. What a client is told of it is for its dialect to say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.edge import EdgeError, EdgeReason
from services.common.errors import RoomlineError, failure_of, reason_name
from services.common.server import MAX_REQUEST_BYTES

Reason: TypeAlias = "ErrorReason.ValueType | EdgeReason"

_REASONS_OF_CODES = {
    grpc.StatusCode.UNAVAILABLE: ErrorReason.ERROR_REASON_CONNECTION_LOST,
    grpc.StatusCode.DEADLINE_EXCEEDED: ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED: ErrorReason.ERROR_REASON_CANCELLED,
}
"""For failures that carry no reason of ours: the gRPC core raised them."""


class Problem(NamedTuple):
    """Why a request failed, wherever it did."""

    reason: Reason
    message: str
    metadata: Mapping[str, str]

    @property
    def name(self) -> str:
        """The reason's name, for the log."""
        return self.reason.name if isinstance(self.reason, EdgeReason) else reason_name(self.reason)


def problem_of(error: BaseException) -> Problem:
    """Finds the reason of whatever was raised; what nobody foresaw is INTERNAL."""
    match error:
        case EdgeError():
            return Problem(error.reason, "", error.metadata)
        case RoomlineError():
            return Problem(error.reason, error.message, error.metadata)
        case grpc.aio.AioRpcError():
            failure = failure_of(error)
            if not failure.reason and failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # no frame is larger
                return problem_of(RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=MAX_REQUEST_BYTES))
            reason = failure.reason or _REASONS_OF_CODES.get(failure.code, ErrorReason.ERROR_REASON_INTERNAL)
            return Problem(reason, failure.message, failure.metadata)
        case asyncio.CancelledError():
            return Problem(ErrorReason.ERROR_REASON_CANCELLED, "", {})
        case _:
            return Problem(ErrorReason.ERROR_REASON_INTERNAL, "", {})
