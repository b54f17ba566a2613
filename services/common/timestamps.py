"""Times: stored as integer microseconds since the Unix epoch, sent as `google.protobuf.Timestamp`."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.ids import MICROSECONDS


def to_proto(micros: int) -> Timestamp:
    """The message for a stored time."""
    seconds, rest = divmod(micros, MICROSECONDS)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def fill(timestamp: Timestamp, micros: int) -> None:
    """Sets a message that is part of another to a stored time: cheaper than to make one and copy it."""
    timestamp.seconds, rest = divmod(micros, MICROSECONDS)
    timestamp.nanos = rest * 1000


def from_proto(timestamp: Timestamp) -> int:
    """The microseconds of a message; nanoseconds are cut off."""
    return timestamp.seconds * MICROSECONDS + timestamp.nanos // 1000


def from_duration(duration: Duration) -> int:
    """The microseconds of a message; nanoseconds are cut off."""
    return duration.seconds * MICROSECONDS + int(duration.nanos / 1000)
