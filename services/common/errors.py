"""One kind of error for all handlers, and its way over the wire and back.

A handler raises `RoomlineError(reason, **metadata)`; the interceptor turns it into a status with one
`google.rpc.ErrorInfo`. Code and text of a reason stand in `proto/roomline/v1/error_reason.proto` and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import grpc
from google.rpc import error_details_pb2, status_pb2
from roomline.v1 import error_reason_pb2, options_pb2
from roomline.v1.error_reason_pb2 import ErrorReason

DOMAIN = "roomline"
"""`ErrorInfo.domain` of every error that Roomline raises."""

STATUS_DETAILS_KEY = "grpc-status-details-bin"
"""The trailing metadata that carries `google.rpc.Status`."""

_PREFIX = "ERROR_REASON_"
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


@cache
def _rule(reason: ErrorReason.ValueType) -> options_pb2.ErrorRule:
    value = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values_by_number[reason]
    return value.GetOptions().Extensions[options_pb2.error]


def reason_name(reason: ErrorReason.ValueType) -> str:
    """`ErrorInfo.reason`: the enum value's name without its prefix."""
    return ErrorReason.Name(reason).removeprefix(_PREFIX)


class RoomlineError(Exception):
    """What a handler raises to refuse a call.

    `metadata` has the keys that the reason's rule names; their text goes into the message and the `ErrorInfo`.
    Raises TypeError if a key is missing or unknown, so that text and metadata cannot drift.
    """

    def __init__(self, reason: ErrorReason.ValueType, **metadata: object) -> None:
        rule = _rule(reason)
        if set(rule.metadata) != metadata.keys():
            raise TypeError(f"{reason_name(reason)} takes {sorted(rule.metadata)}, not {sorted(metadata)}")
        self.reason = reason
        self.metadata = {key: str(value) for key, value in metadata.items()}
        self.code = _CODES[rule.code]
        self.message = rule.message
        for key, value in self.metadata.items():
            self.message = self.message.replace("{" + key + "}", value)
        super().__init__(self.message)

    def status(self) -> status_pb2.Status:
        """The rich status (google.rpc.Status) with exactly one ErrorInfo."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        status.details.add().Pack(
            error_details_pb2.ErrorInfo(reason=reason_name(self.reason), domain=DOMAIN, metadata=self.metadata)
        )
        return status

    def trailing_metadata(self) -> tuple[tuple[str, bytes]]:
        """The trailing metadata that carries the status to the caller."""
        return ((STATUS_DETAILS_KEY, self.status().SerializeToString()),)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call as its caller sees it."""

    code: grpc.StatusCode
    reason: ErrorReason.ValueType
    """ERROR_REASON_UNSPECIFIED if the status carries none of ours: only the gRPC core raises such a one."""
    message: str
    metadata: Mapping[str, str]


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """Reads reason and metadata out of a failed call."""
    for key, value in error.trailing_metadata() or ():
        if key != STATUS_DETAILS_KEY or not isinstance(value, bytes):
            continue
        status = status_pb2.Status.FromString(value)
        info = error_details_pb2.ErrorInfo()
        for detail in status.details:
            if detail.Unpack(info) and info.domain == DOMAIN:
                try:
                    reason = ErrorReason.Value(_PREFIX + info.reason)
                except ValueError:  # a newer server's reason
                    reason = ErrorReason.ERROR_REASON_UNSPECIFIED
                return Failure(error.code(), reason, status.message, dict(info.metadata))
    return Failure(error.code(), ErrorReason.ERROR_REASON_UNSPECIFIED, error.details() or "", {})


def reraise(error: grpc.aio.AioRpcError) -> RoomlineError:
    """The error of a call made on behalf of another, to be raised as one's own.

    Give it to `raise ... from`: a failure that carries no reason of ours becomes INTERNAL, or SERVICE_UNAVAILABLE.
    """
    failure = failure_of(error)
    if failure.reason:
        return RoomlineError(failure.reason, **failure.metadata)
    if failure.code is grpc.StatusCode.UNAVAILABLE:
        return RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="backend")
    if failure.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED)
    return RoomlineError(ErrorReason.ERROR_REASON_INTERNAL)
