"""JSON values as `google.protobuf.Struct` and `Value`; `structs.py` has the way back.

Numbers are doubles there, so integers beyond 2^53 would change silently: they are refused. Protobuf parsers stop at 100
nested messages, and a level takes three, so the nesting is limited too.
"""

from typing import Any

import orjson
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from roomline.v1.user_service_pb2 import NewUser

from services.common.rules import invalid, rule_of
from services.common.structs import MAX_INTEGER

MAX_DEPTH = 24
MAX_BYTES = rule_of(NewUser, "custom_data").max_bytes
"""What no instance can exceed, as JSON or as a message: beyond it, nothing is copied."""


def fill_struct(target: Struct, data: Any, field: str) -> None:
    """Copies a JSON object into an empty message, which is set afterwards even if the object is empty.

    Raises FIELD_INVALID for `field` if it is no object, too large, too deep, or holds an integer that a double cannot.
    """
    if type(data) is not dict:
        raise invalid(field, "an object")
    _check_size(data, field)
    target.SetInParent()
    _fill_struct(target, data, field, 1)


def fill_value(target: Value, data: Any, field: str) -> None:
    """Copies any JSON value into an empty message. Raises FIELD_INVALID for `field` as `fill_struct` does."""
    _check_size(data, field)
    _fill_value(target, data, field, 0)


def _check_size(data: Any, field: str) -> None:
    try:
        size = len(orjson.dumps(data))
    except TypeError as error:  # it goes ten times as deep as we do
        raise invalid(field, f"at most {MAX_DEPTH} levels deep") from error
    if size > MAX_BYTES:
        raise invalid(field, f"at most {MAX_BYTES} bytes")


def _fill_struct(target: Struct, data: dict[str, Any], field: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise invalid(field, f"at most {MAX_DEPTH} levels deep")
    fields = target.fields
    for key, item in data.items():
        _fill_value(fields[key], item, field, depth)


def _fill_list(target: ListValue, data: list[Any], field: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise invalid(field, f"at most {MAX_DEPTH} levels deep")
    values = target.values
    for item in data:
        _fill_value(values.add(), item, field, depth)


def _fill_value(target: Value, item: Any, field: str, depth: int) -> None:
    kind = type(item)
    if kind is str:
        target.string_value = item
    elif kind is bool:
        target.bool_value = item
    elif kind is int or kind is float:
        # The parser gives integers beyond 64 bits as floats.
        if (kind is int or item.is_integer()) and not -MAX_INTEGER <= item <= MAX_INTEGER:
            raise invalid(field, "integers up to 2^53")
        target.number_value = item
    elif kind is dict:
        target.struct_value.SetInParent()
        _fill_struct(target.struct_value, item, field, depth + 1)
    elif kind is list:
        target.list_value.SetInParent()
        _fill_list(target.list_value, item, field, depth + 1)
    else:
        target.null_value = NULL_VALUE
