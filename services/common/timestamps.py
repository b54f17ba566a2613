"""Times: stored as integer microseconds since the Unix epoch, sent as `google.protobuf.Timestamp`."""

from google.protobuf.timestamp_pb2 import Timestamp

from services.common.ids import MICROSECONDS


def to_proto(micros: int) -> Timestamp:
    """The message for a stored time."""
    seconds, rest = divmod(micros, MICROSECONDS)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def from_proto(timestamp: Timestamp) -> int:
    """The microseconds of a message; nanoseconds are cut off."""
    return timestamp.seconds * MICROSECONDS + timestamp.nanos // 1000
