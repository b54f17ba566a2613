"""The `custom_data` of users and rooms: an object, kept as sent, within limits (spec §3.1, §4.3, §4.4)."""

import json
from collections.abc import Callable

import pytest

from tests.wire.client import Reply, Server, fresh

Store = Callable[[object], Reply]
"""Stores custom data with one of the four calls that take it."""

EXACT_INTEGER = 2**53 - 1


def nested(depth: int) -> object:
    """Build objects and lists inside each other, `depth` levels in all."""
    value: object = {}
    for level in range(depth - 1):
        value = {"in": value} if level % 2 or level == depth - 2 else [value]
    return value


@pytest.fixture(params=["create user", "update user", "create room", "update room"])
def store(request: pytest.FixtureRequest, server: Server, alice: str, room: str) -> Store:
    calls: dict[str, Store] = {
        "create user": lambda data: server.su().post("/users", {"id": fresh(), "name": "Ann", "custom_data": data}),
        "update user": lambda data: server.su().put(f"/users/{alice}", {"custom_data": data}),
        "create room": lambda data: server.su(alice).post("/rooms", {"name": "x", "custom_data": data}),
        "update room": lambda data: server.su().put(f"/rooms/{room}", {"custom_data": data}),
    }
    return calls[request.param]


@pytest.mark.parametrize("value", ["x", 5, 0, 1.5, True, False, [], [{}]], ids=repr)
def test_it_must_be_an_object(store: Store, value: object) -> None:
    store(value).refuses("custom_data", "invalid")


def test_it_may_be_20_levels_deep(store: Store) -> None:
    assert store(nested(20)).status in {201, 204}


def test_it_may_not_be_200_levels_deep(store: Store) -> None:
    store(nested(200)).refuses("custom_data", "invalid")


@pytest.mark.parametrize("number", [EXACT_INTEGER, -EXACT_INTEGER])
def test_it_may_hold_every_exact_integer(store: Store, number: int) -> None:
    assert store({"n": number}).status in {201, 204}


@pytest.mark.parametrize("number", [EXACT_INTEGER + 2, -EXACT_INTEGER - 2, 10**30])
def test_it_may_not_hold_integers_that_a_double_loses(store: Store, number: int) -> None:
    store({"n": {"in": [number]}}).refuses("custom_data", "invalid")


def test_it_may_have_8_kib(store: Store) -> None:
    assert store({"x": "y" * 8100}).status in {201, 204}


@pytest.mark.parametrize("item", [1, 0.5, None, [], "", {"a": [1]}], ids=repr)
def test_its_size_is_that_of_compact_json(store: Store, item: object) -> None:
    def sized(size: int) -> object:
        data = {"text": "", "items": [item] * (size // (len(compact(item)) + 1) - 20)}
        return {**data, "text": "x" * (size - len(compact(data)))}

    def compact(data: object) -> str:
        return json.dumps(data, separators=(",", ":"))

    assert len(compact(sized(8192))) == 8192
    assert store(sized(8192)).status in {201, 204}
    store(sized(8193)).refuses("custom_data", "invalid")


def test_it_may_not_have_more_than_8_kib(store: Store) -> None:
    store({"x": "y" * 8200}).refuses("custom_data", "invalid")


@pytest.mark.parametrize("item", [1, []], ids=repr)
def test_a_mebibyte_of_it_is_refused_like_any_other(store: Store, item: object) -> None:
    store({"a": [item] * (1_000_000 // (len(repr(item)) + 2))}).refuses("custom_data", "invalid")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"": "empty key", "\N{GRINNING FACE}": "e\N{COMBINING ACUTE ACCENT}", "quote": '"\\/\n\t'},
        {"zero": 0, "one": 1, "minus": -7, "half": 0.5, "large": EXACT_INTEGER},
        {"null": None, "yes": True, "no": False, "empty": "", "list": [], "object": {}},
        {"deep": [{"a": [1, [2, {"b": None}]]}, "x", 1.5]},
    ],
    ids=repr,
)
def test_it_comes_back_as_sent(server: Server, alice: str, data: object) -> None:
    def canonical(value: object) -> str:
        """Compare as text: 1, 1.0 and True are equal in Python and different in JSON."""
        return json.dumps(value, sort_keys=True)

    user = server.new_user(custom_data=data)
    room = server.new_room(alice, custom_data=data)
    assert canonical(server.su().get(f"/users/{user}").read()["custom_data"]) == canonical(data)
    assert canonical(server.room(room)["custom_data"]) == canonical(data)
