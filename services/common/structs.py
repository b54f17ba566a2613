"""`google.protobuf.Struct` and `Value` as JSON, and how large they are as such."""

from typing import Any

import orjson
from google.protobuf.struct_pb2 import Struct, Value

MAX_INTEGER = 2**53
"""Numbers are doubles: beyond this they skip integers."""

_MOST_JSON_BYTES = 6
"""What a byte of a serialized message becomes at most: a control character in a string takes six."""


def from_struct(source: Struct) -> dict[str, Any]:
    """The JSON object of a message."""
    return {key: from_value(value) for key, value in source.fields.items()}


def from_value(source: Value) -> Any:
    """The JSON value of a message; whole numbers are integers."""
    match source.WhichOneof("kind"):
        case "string_value":
            return source.string_value
        case "number_value":
            number = source.number_value
            return int(number) if number.is_integer() and -MAX_INTEGER <= number <= MAX_INTEGER else number
        case "bool_value":
            return source.bool_value
        case "struct_value":
            return from_struct(source.struct_value)
        case "list_value":
            return [from_value(value) for value in source.list_value.values]
        case _:
            return None


def has_more_json(source: Struct | Value, limit: int) -> bool:
    """Whether the compact JSON has more bytes than that. For small messages it costs next to nothing to say."""
    if source.ByteSize() * _MOST_JSON_BYTES <= limit:
        return False
    return len(orjson.dumps(from_struct(source) if isinstance(source, Struct) else from_value(source))) > limit
