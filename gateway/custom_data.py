"""JSON values as `google.protobuf.Struct` and `Value`, and back.

Numbers are doubles there, so integers beyond 2^53 would change silently: they are refused. Protobuf parsers stop at 100
nested messages, and a level takes three, so the nesting is limited too.
"""

from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from services.common.rules import invalid

MAX_INTEGER = 2**53
MAX_DEPTH = 24


def fill_struct(target: Struct, data: Any, field: str) -> None:
    """Copies a JSON object into an empty message, which is set afterwards even if the object is empty.

    Raises FIELD_INVALID for `field` if it is no object, too deep, or holds an integer that a double cannot.
    """
    if type(data) is not dict:
        raise invalid(field, "an object")
    target.SetInParent()
    _fill_struct(target, data, field, 1)


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
