"""What a refused call must look like."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import STATUS_DETAILS_KEY, RoomlineError, failure_of


def error_infos(error: grpc.aio.AioRpcError) -> int:
    """How many ErrorInfos a status carries."""
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing.get(STATUS_DETAILS_KEY, b""))
    return sum(detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR) for detail in status.details)


@contextmanager
def refuses(reason: str, **metadata: str) -> Iterator[None]:
    """The block must fail with this reason (without its prefix), in the process or over gRPC, with this metadata."""
    with pytest.raises((RoomlineError, grpc.aio.AioRpcError)) as caught:
        yield
    error = caught.value
    found: ErrorReason.ValueType
    if isinstance(error, grpc.aio.AioRpcError):
        assert error_infos(error) == 1, f"{error.code()} must carry exactly one ErrorInfo: {error.details()}"
        failure = failure_of(error)
        found, details = failure.reason, dict(failure.metadata)
    else:
        assert isinstance(error, RoomlineError)
        found, details = error.reason, error.metadata
    assert ErrorReason.Name(found) == f"ERROR_REASON_{reason}", error
    assert metadata.items() <= details.items()
