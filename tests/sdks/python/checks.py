"""Checks that hold for every answer, and what the case files need to begin with.

Plain `assert` would do in pytest, which explains it; here nobody does, so these say what they saw.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Sdk = Any
"""A `PusherChatKit`: the SDK has no types, and is not installed where these are checked."""

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def same(actual: object, expected: object) -> None:
    if actual != expected:
        raise AssertionError(f"expected {expected!r}\ngot      {actual!r}")


def timeless(entity: dict[str, Any]) -> dict[str, Any]:
    """Return the entity without its times, which are checked here."""
    times = {name: value for name, value in entity.items() if name in {"created_at", "updated_at"}}
    for name, value in times.items():
        if not TIMESTAMP.fullmatch(value):
            raise AssertionError(f"{name} is {value!r}")
    return {name: value for name, value in entity.items() if name not in times}


def ids_of(entities: list[dict[str, Any]]) -> list[Any]:
    return [entity["id"] for entity in entities]


@contextmanager
def raising(name: str, text: str = "") -> Iterator[None]:
    """Expect the SDK's exception of this class name, with a text that holds `text`."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != name or text not in str(error):
            raise
    else:
        raise AssertionError(f"{name} was not raised")


def make_users(sdk: Sdk, *ids: str) -> None:
    sdk.batch_create_user([{"id": user_id, "name": f"Name of {user_id}"} for user_id in ids])


def make_room(sdk: Sdk, *members: str) -> str:
    """Make a room of these members, of whom the first is its creator, and return its id."""
    make_users(sdk, *members)
    room_id: str = sdk.create_room("a room", members[0], user_ids=list(members))["id"]
    return room_id
