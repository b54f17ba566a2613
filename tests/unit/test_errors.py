"""The contract's reasons, and their way over the wire."""

import grpc
import pytest
from google.rpc import code_pb2
from roomline.v1 import error_reason_pb2, options_pb2
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError, failure_of, reason_name

REASONS = [
    value.number for value in error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values if value.number
]


@pytest.mark.parametrize("number", REASONS, ids=reason_name)
def test_every_reason_has_a_code_a_text_and_the_keys_of_its_text(number: ErrorReason.ValueType) -> None:
    value = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values_by_number[number]
    rule = value.GetOptions().Extensions[options_pb2.error]
    assert rule.code in code_pb2.Code.values()
    error = RoomlineError(number, **dict.fromkeys(rule.metadata, "x"))
    assert error.message
    assert "{" not in error.message
    trailing = grpc.aio.Metadata(*error.trailing_metadata())
    failure = failure_of(grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), trailing, error.message))
    assert (failure.reason, failure.code, failure.message) == (number, error.code, error.message)
    assert failure.metadata == error.metadata


def test_metadata_must_be_what_the_reason_takes() -> None:
    with pytest.raises(TypeError, match="takes"):
        RoomlineError(ErrorReason.ERROR_REASON_FIELD_REQUIRED)
    with pytest.raises(TypeError, match="takes"):
        RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND, id="bob")


def test_a_status_without_our_details_has_no_reason() -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNKNOWN, grpc.aio.Metadata(), grpc.aio.Metadata(), "boom")
    assert failure_of(error).reason == ErrorReason.ERROR_REASON_UNSPECIFIED
