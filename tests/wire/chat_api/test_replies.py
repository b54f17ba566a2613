"""The history of a conversation (spec §3, `conversations.replies`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.chat_api.client import MESSAGE_KEYS, Person, person, refused_query
from tests.wire.client import Server


@pytest.fixture(scope="module")
def talk(server: Server, ben: Person) -> tuple[Person, str, list[Any]]:
    """Somebody, a conversation, and the 250 messages in it."""
    anna = person(server)
    cid = anna.open(ben.id)["id"]
    return anna, cid, [(anna, ben)[number % 2].say(cid, str(number)) for number in range(250)]


Talk = tuple[Person, str, list[Any]]


def test_the_newest_two_hundred_ascending(talk: Talk) -> None:
    anna, cid, messages = talk
    assert anna.replies(cid) == messages[-200:]
    assert set(messages[0]) == MESSAGE_KEYS


@pytest.mark.parametrize("limit", [1, 7, 249, 250, 1000, 5000])
def test_a_limit(talk: Talk, limit: int) -> None:
    anna, cid, messages = talk
    assert anna.replies(cid, limit=limit) == messages[-limit:]


def test_a_window_begins_with_its_first_millisecond_and_ends_before_its_last(talk: Talk) -> None:
    anna, cid, messages = talk
    start, end = messages[100]["created_at"], messages[150]["created_at"]
    inside = [one for one in messages if start <= one["created_at"] < end]
    assert anna.replies(cid, ts_from=start, ts_to=end) == inside
    assert anna.replies(cid, ts_from=start, ts_to=end, limit=3) == inside[-3:]
    assert anna.replies(cid, ts_from=start, limit=1000) == [one for one in messages if one["created_at"] >= start]
    assert anna.replies(cid, ts_to=start, limit=1000) == [one for one in messages if one["created_at"] < start]
    assert anna.replies(cid, ts_from=end, ts_to=start) == []
    assert anna.replies(cid, ts_from=-5, ts_to=5) == []


@pytest.mark.parametrize("name", ["ts_from", "ts_to"])
@pytest.mark.parametrize("value", ["x", "1.5", "2023-10-22T14:20:09Z", "9" * 15, "9" * 30])
def test_no_time(talk: Talk, name: str, value: str) -> None:
    anna, cid, _ = talk
    assert name in refused_query(anna.get("conversations.replies", cid=cid, **{name: value}))


def test_pages_backwards(talk: Talk) -> None:
    anna, cid, messages = talk
    found: list[Any] = []
    query: dict[str, object] = {"limit": 60}
    while True:
        reply = anna.get("conversations.replies", cid=cid, **query)
        page = reply.read()
        if not page:
            break
        found = page + found
        query["before"] = reply.headers["X-Cursor-Before"]
    assert found == messages


def test_pages_forwards(talk: Talk) -> None:
    anna, cid, messages = talk
    reply = anna.get("conversations.replies", cid=cid, ts_to=messages[1]["created_at"])
    found = reply.read()
    after = reply.headers["X-Cursor-After"]
    while page := (reply := anna.get("conversations.replies", cid=cid, limit=60, after=after)).read():
        found += page
        after = reply.headers["X-Cursor-After"]
    assert found == messages


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("cursor", ["x", "!!", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA", "LTU", "\xe4"])
def test_no_cursor(talk: Talk, name: str, cursor: str) -> None:
    anna, cid, _ = talk
    assert name in refused_query(anna.get("conversations.replies", cid=cid, **{name: cursor}))
