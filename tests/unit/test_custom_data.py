"""JSON → Struct → JSON."""

import math
from typing import Any

import orjson
import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from services.common.custom_data import MAX_BYTES, MAX_DEPTH, fill_struct, fill_value
from services.common.errors import RoomlineError
from services.common.structs import MAX_INTEGER, from_struct, from_value, has_more_json

text = st.text(st.characters(exclude_categories=["Cs"]))
# A double that is a whole number comes back as an integer, so beyond 2^53 it counts as one.
numbers = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(-MAX_INTEGER, MAX_INTEGER)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def stored(data: Any) -> Struct:
    struct = Struct()
    fill_struct(struct, data, "custom_data")
    return Struct.FromString(struct.SerializeToString())


@given(st.dictionaries(text, values))
def test_json_comes_back(data: dict[str, Any]) -> None:
    assert from_struct(stored(orjson.loads(orjson.dumps(data)))) == data


def test_whole_numbers_are_printed_as_integers() -> None:
    assert orjson.dumps(from_struct(stored({"a": [5, 5.0, 0.5, -0.0]}))) == b'{"a":[5,5,0.5,0]}'


def test_large_doubles_of_other_clients_stay_numbers() -> None:
    assert from_value(Value(number_value=1e300)) == 1e300
    assert orjson.dumps(from_value(Value(number_value=math.nan))) == b"null"


def test_an_empty_object_is_set() -> None:
    holder = Value()
    fill_struct(holder.struct_value, {}, "custom_data")
    assert holder.HasField("struct_value")


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {"a": 1}
    for _ in range(levels - 1):
        data = {"a": data}
    return data


@pytest.mark.parametrize(
    "data",
    [
        {"a": MAX_INTEGER + 1},
        {"a": [{"b": -MAX_INTEGER - 1}]},
        {"a": float(MAX_INTEGER + 2)},
        {"a": 1e300},
        nested(MAX_DEPTH + 1),
        {"a": orjson.loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)},
        [],
        "text",
        5,
    ],
)
def test_what_would_change_or_break_is_refused(data: Any) -> None:
    with pytest.raises(RoomlineError) as refused:
        stored(data)
    assert refused.value.metadata["field"] == "custom_data"


def test_the_deepest_nesting_that_passes() -> None:
    assert from_struct(stored(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


@pytest.mark.parametrize(
    "data",
    [
        {"a": "x" * MAX_BYTES},
        {"a": [[]] * (MAX_BYTES // 3 + 1)},
        {"a": [1] * 500_000},
        nested(300),
    ],
    ids=["text", "lists", "numbers", "levels"],
)
def test_what_is_too_large_is_refused_before_it_is_copied(data: Any) -> None:
    struct, value = Struct(), Value()
    with pytest.raises(RoomlineError) as refused:
        fill_struct(struct, data, "custom_data")
    with pytest.raises(RoomlineError) as refused_too:
        fill_value(value, data, "custom_data")
    assert refused.value.metadata["field"] == refused_too.value.metadata["field"] == "custom_data"
    assert struct.ByteSize() == value.ByteSize() == 0


@given(st.dictionaries(text, values), st.integers(2, 200))
def test_the_size_is_that_of_the_json(data: dict[str, Any], limit: int) -> None:
    struct = stored(data)
    size = len(orjson.dumps(from_struct(struct)))
    assert has_more_json(struct, limit) == (size > limit)
    assert has_more_json(Value(struct_value=struct), limit) == (size > limit)


def test_json_of_8_kib_is_a_message_that_no_field_rule_refuses() -> None:
    size = 8192 - len('{"a":[]}')
    for item in ("1", "null", "[]", "{}", '""', "false", '"\\u0001"', "[[[[1]]]]", "-1e-300"):
        data = orjson.loads('{"a":[' + ",".join([item] * (size // (len(item) + 1))) + "]}")
        assert stored(data).ByteSize() <= MAX_BYTES
