"""Checks requests against the field rules of `options.proto`.

The rules of a message type are compiled once; fields without rules cost nothing.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1 import options_pb2
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.options_pb2 import FieldRule

from services.common.errors import RoomlineError

_Check = Callable[[Any, str], None]
_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
_MAX_DURATION = 315_576_000_000
"""In seconds: about 10,000 years."""
_STRUCTS = {struct_pb2.Struct.DESCRIPTOR.full_name, struct_pb2.Value.DESCRIPTOR.full_name}


def invalid(field: str, rule: str) -> RoomlineError:
    """FIELD_INVALID for a field path such as `parts[0].type`."""
    return RoomlineError(ErrorReason.ERROR_REASON_FIELD_INVALID, field=field, rule=rule)


def required(field: str) -> RoomlineError:
    """FIELD_REQUIRED for a field path."""
    return RoomlineError(ErrorReason.ERROR_REASON_FIELD_REQUIRED, field=field)


def check(request: Message) -> None:
    """Raises FIELD_REQUIRED or FIELD_INVALID for the first field that breaks its rule."""
    for one in _checks(request.DESCRIPTOR):
        one(request, "")


def rule_of(message: type[Message], field: str) -> FieldRule:
    """What the contract says of a field, for whoever wants to refuse a value before it is in a message."""
    return _rule_of(message.DESCRIPTOR, field)


@cache
def _rule_of(descriptor: Descriptor, field: str) -> FieldRule:
    return descriptor.fields_by_name[field].GetOptions().Extensions[options_pb2.rule]


def check_count(message: type[Message], field: str, values: Sequence[object]) -> None:
    """Raises FIELD_INVALID if there are more values than a field of that message takes."""
    most = rule_of(message, field).max_items
    if most and len(values) > most:
        raise invalid(field, f"at most {most} items")


@cache
def _checks(descriptor: Descriptor) -> tuple[_Check, ...]:
    checks = (_field_check(field) for field in descriptor.fields)
    return tuple(one for one in checks if one is not None)


def _field_check(field: FieldDescriptor) -> _Check | None:
    rule = field.GetOptions().Extensions[options_pb2.rule]
    item = _item_check(field, rule)
    if field.is_repeated:
        return _repeated(field.name, rule, item)
    if item is None and not rule.required:
        return None
    return _singular(field, rule, item)


def _repeated(name: str, rule: FieldRule, item: _Check | None) -> _Check | None:
    if item is None and not rule.min_items and not rule.max_items:
        return None

    def run(message: Any, path: str) -> None:
        values = getattr(message, name)
        if rule.min_items and not values:
            raise required(path + name)
        if len(values) < rule.min_items:
            raise invalid(path + name, f"at least {rule.min_items} items")
        if rule.max_items and len(values) > rule.max_items:
            raise invalid(path + name, f"at most {rule.max_items} items")
        if item is not None:
            for index, value in enumerate(values):
                item(value, f"{path}{name}[{index}]")

    return run


def _singular(field: FieldDescriptor, rule: FieldRule, item: _Check | None) -> _Check:
    name, has_presence = field.name, field.has_presence
    empty = (0,) if field.enum_type is not None else ("", b"")
    # A field of a oneof is required only if it is the one that is set.
    in_oneof = field.containing_oneof is not None

    def run(message: Any, path: str) -> None:
        if has_presence and not message.HasField(name):
            if rule.required and not in_oneof:
                raise required(path + name)
            return
        value = getattr(message, name)
        if rule.required and value in empty:
            raise required(path + name)
        if item is not None:
            item(value, path + name)

    return run


def _item_check(field: FieldDescriptor, rule: FieldRule) -> _Check | None:
    if field.message_type is not None:
        return _message_check(field.message_type, rule)
    if field.enum_type is not None:
        return _enum_check(field.enum_type)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string_check(rule, may_be_empty=not field.is_repeated)
    if field.type == FieldDescriptor.TYPE_BYTES and rule.max_bytes:
        return _size_check(rule.max_bytes, len)
    if rule.HasField("minimum") or rule.HasField("maximum"):
        return _number_check(rule)
    return None


def _size_check(limit: int, size: Callable[[Any], int]) -> _Check:
    def run(value: Any, path: str) -> None:
        if size(value) > limit:
            raise invalid(path, f"at most {limit} bytes")

    return run


def _string_check(rule: FieldRule, *, may_be_empty: bool) -> _Check | None:
    if not (rule.max_length or rule.max_bytes or rule.pattern):
        return None
    pattern = re.compile(rule.pattern) if rule.pattern else None
    max_length, max_bytes = rule.max_length, rule.max_bytes

    def run(value: str, path: str) -> None:
        if max_length and len(value) > max_length:
            raise invalid(path, f"at most {max_length} characters")
        # A code point takes four bytes at most, so short strings need no encoding to be measured.
        if max_bytes and len(value) * 4 > max_bytes and len(value.encode()) > max_bytes:
            raise invalid(path, f"at most {max_bytes} bytes")
        if pattern and (value or not may_be_empty) and not pattern.fullmatch(value):
            raise invalid(path, f"must match {rule.pattern}")

    return run


def _enum_check(descriptor: EnumDescriptor) -> _Check:
    known = frozenset(descriptor.values_by_number)

    def run(value: int, path: str) -> None:
        if value not in known:
            raise invalid(path, f"a {descriptor.name}")

    return run


def _timestamp_check(value: Timestamp, path: str) -> None:
    """What RFC 3339 can say, as `Timestamp` demands."""
    if value.seconds not in _SECONDS or value.nanos not in _NANOS:
        raise invalid(path, "a time between the years 1 and 9999")


def _duration_check(value: Duration, path: str) -> None:
    """What `Duration` demands: both parts have one sign."""
    if abs(value.seconds) > _MAX_DURATION or abs(value.nanos) not in _NANOS or value.seconds * value.nanos < 0:
        raise invalid(path, "a duration of at most 10,000 years")


def _number_check(rule: FieldRule) -> _Check:
    def run(value: int, path: str) -> None:
        if rule.HasField("minimum") and value < rule.minimum:
            raise invalid(path, f"at least {rule.minimum}")
        if rule.HasField("maximum") and value > rule.maximum:
            raise invalid(path, f"at most {rule.maximum}")

    return run


def _message_check(descriptor: Descriptor, rule: FieldRule) -> _Check | None:
    if rule.unchecked:
        return None
    parts: list[_Check] = []
    if rule.max_bytes:
        parts.append(_size_check(rule.max_bytes, lambda value: int(value.ByteSize())))
    if descriptor.full_name == Timestamp.DESCRIPTOR.full_name:
        parts.append(_timestamp_check)
    elif descriptor.full_name == Duration.DESCRIPTOR.full_name:
        parts.append(_duration_check)
    elif descriptor.full_name in _STRUCTS:
        if rule.max_depth:
            parts.append(_json_check(rule.max_depth))
    else:
        parts.append(_nested_check(descriptor))
    if not parts:
        return None

    def run(value: Any, path: str) -> None:
        for part in parts:
            part(value, path)

    return run


def _nested_check(descriptor: Descriptor) -> _Check:
    def run(value: Any, path: str) -> None:
        for one in _checks(descriptor):  # looked up at run time: types may refer to themselves
            one(value, path + ".")

    return run


def _json_check(limit: int) -> _Check:
    """So deep at most, and nothing that JSON does not have: it could never be shown, delivered or exported."""

    def run(value: Any, path: str) -> None:
        level = [value]
        for _ in range(limit + 1):
            level = [child for parent in level for child in _children(parent, path)]
            if not level:
                return
        raise invalid(path, f"at most {limit} levels deep")

    return run


def _children(value: Any, path: str) -> list[Any]:
    if isinstance(value, struct_pb2.Struct):
        return list(value.fields.values())
    if isinstance(value, struct_pb2.ListValue):
        return list(value.values)
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return list(value.struct_value.fields.values())
    if kind == "list_value":
        return list(value.list_value.values)
    if kind is None:
        raise invalid(path, "no value without a kind")
    if kind == "number_value" and not math.isfinite(value.number_value):
        raise invalid(path, "finite numbers only")
    return []
