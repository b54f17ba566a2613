"""Posting and editing (spec §4, §0 rows 14 and 27)."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from tests.wire.chat_api.client import (
    MESSAGE_KEYS,
    NOBODY,
    NOT_ALLOWED,
    UUID,
    Api,
    Person,
    person,
    refused,
    refused_json,
    refused_query,
)
from tests.wire.client import Server, fresh, path_of
from tests.wire.files import reserve

EMPTY = "content or attachments required"


def test_text_and_files_go_together(anna: Person, ben: Person, direct: str) -> None:
    files = [anna.file(b"one", "1.txt"), anna.file(b"two", "2.txt")]
    message = anna.show(direct, *files, content={"text": "look"})
    assert message["content"] == {"text": "look"}
    assert [one["id"] for one in message["attachments"]] == files
    assert ben.replies(direct)[-1] == message


@pytest.mark.parametrize("text", [" ", " a ", "\n", "ä", "\U0001f600", "\u202e", "x" * 4000])
def test_texts_come_back_as_they_are(anna: Person, direct: str, text: str) -> None:
    assert anna.say(direct, text)["content"] == {"text": text}


@pytest.mark.parametrize("text", ["ä" * 4000, "\U0001f600" * 4000], ids=["two bytes", "four bytes"])
def test_a_text_has_four_thousand_characters_of_any_size(anna: Person, direct: str, text: str) -> None:
    assert anna.say(direct, text)["content"] == {"text": text}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"content": None},
        {"content": None, "attachments": None},
        {"attachments": []},
        {"content": {}},
        {"content": {"text": None}},
        {"content": {"text": ""}},
    ],
)
def test_a_message_says_something(anna: Person, direct: str, fields: dict[str, object]) -> None:
    assert refused_json(anna.post("chat.postMessage", {"conversation_id": direct, **fields})) == EMPTY


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "test"},
        {"content": ["test"]},
        {"content": {"text": 5}},
        {"content": {"text": {"body": "test"}}},
        {"content": {"text": "x" * 4001}},
        {"content": {"text": "a\0"}},
        {"attachments": "x"},
        {"attachments": ["x"]},
        {"attachments": [5]},
        {"attachments": {"id": NOBODY}},
        {"attachments": [str(uuid.uuid4()) for _ in range(11)]},
        {"content": {"text": "a"}, "conversation_id": "x"},
        {"content": {"text": "a"}, "conversation_id": 5},
        {"content": {"text": "a"}, "conversation_id": None},
        {"content": {"text": "a"}, "client_message_id": "x"},
        {"content": {"text": "a"}, "client_message_id": 5},
        {"content": {"text": "a"}, "expires_in": 0},
        {"content": {"text": "a"}, "expires_in": -5},
        {"content": {"text": "a"}, "expires_in": "5"},
        {"content": {"text": "a"}, "expires_in": True},
        {"content": {"text": "a"}, "expires_in": 10**12},
        {"content": {"text": "a"}, "expires_at": 1},
        {"content": {"text": "a"}, "expires_at": 10**18},
        {"content": {"text": "a"}, "expires_at": 2.5},
        {"content": {"text": "a"}, "expires_at": 1, "expires_in": 1},
        {"content": {"text": "a"}, "reply_to": "x"},
    ],
)
def test_what_is_no_message(anna: Person, direct: str, fields: dict[str, object]) -> None:
    refused_json(anna.post("chat.postMessage", {"conversation_id": direct, **fields}))


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b"", b'{"content": {"text": "\\ud800"}}', b'{"content": "\xff"}'])
def test_a_body_that_cannot_be_read(anna: Person, body: bytes) -> None:
    refused_json(anna.call("POST", "chat.postMessage", body))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type(anna: Person, direct: str, kind: str) -> None:
    body = {"conversation_id": direct, "content": {"text": "test"}}
    reply = anna.call("POST", "chat.postMessage", body, {"Content-Type": kind})
    assert refused(reply) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json", ""])
def test_a_body_of_json_by_any_name(anna: Person, direct: str, kind: str) -> None:
    body = {"conversation_id": direct, "content": {"text": "test"}, "unknown": [1]}
    assert set(anna.call("POST", "chat.postMessage", body, {"Content-Type": kind}).read()) == MESSAGE_KEYS


def test_a_body_without_a_type_is_json(anna: Person, direct: str) -> None:
    data = json.dumps({"conversation_id": direct, "content": {"text": "test"}}).encode()
    headers = {"Authorization": f"Bearer {anna.token}", "Content-Length": str(len(data))}
    reply = anna.server.request("POST", "/api/v1/chat.postMessage", headers, data)
    assert set(reply.read()) == MESSAGE_KEYS


def test_a_body_may_have_a_mebibyte(anna: Person, direct: str) -> None:
    body = {"conversation_id": direct, "content": {"text": "a"}, "padding": "x" * 1024 * 1024}
    assert refused(anna.post("chat.postMessage", body)) == (413, "payload_too_large")


def test_strangers_learn_nothing(anna: Person, eve: Person, direct: str) -> None:
    for cid in (direct, fresh(), NOBODY):
        body = {"conversation_id": cid, "content": {"text": "a"}}
        reply = eve.post("chat.postMessage", body)
        assert refused(reply) == NOT_ALLOWED
    message = anna.say(direct)
    for mid in (message["id"], fresh()):
        for path in ("chat.remove", "chat.unsend"):
            assert refused(eve.post(path, mid=mid)) == NOT_ALLOWED
        assert refused(eve.post("chat.update", {"content": {"text": "a"}}, mid=mid)) == NOT_ALLOWED


def test_a_file_of_somebody_else_or_of_nobody(anna: Person, ben: Person, direct: str) -> None:
    mine = anna.file(b"x")
    for media in (mine, fresh()):
        reply = ben.post("chat.postMessage", {"conversation_id": direct, "attachments": [media]})
        assert refused(reply) == NOT_ALLOWED
    anna.show(direct, mine)
    reply = ben.post("chat.postMessage", {"conversation_id": direct, "attachments": [mine]})
    assert refused(reply) == NOT_ALLOWED


def test_a_file_that_has_not_arrived(server: Server, anna: Person, direct: str) -> None:
    room = server.user(anna.id).get(path_of("users", anna.id, "rooms")).read()[0]["id"]
    promised = reserve(server.user(anna.id), room).id
    reply = anna.post("chat.postMessage", {"conversation_id": direct, "attachments": [promised]})
    assert refused(reply) == NOT_ALLOWED


def test_a_file_may_be_posted_more_than_once(anna: Person, ben: Person, direct: str, group: str) -> None:
    media = anna.file(b"data")
    first, second = anna.show(direct, media), anna.show(group, media)
    anna.post("chat.unsend", mid=first["id"]).read()
    assert ben.get(f"media/content/{media}").body == b"data"
    anna.post("chat.unsend", mid=second["id"]).read()
    assert refused(ben.get(f"media/content/{media}")) == (404, "not_found")


def test_a_text_with_ten_files(anna: Person, direct: str) -> None:
    files = [anna.file(b"%d" % number) for number in range(10)]
    message = anna.show(direct, *files, content={"text": "ten"})
    assert [one["id"] for one in message["attachments"]] == files


@pytest.mark.parametrize("by", ["body", "header"])
def test_a_key_makes_a_repeated_post_the_same(anna: Person, direct: str, by: str) -> None:
    key = str(uuid.uuid4())

    def post(text: str) -> Any:
        body: dict[str, object] = {"conversation_id": direct, "content": {"text": text}}
        headers = {"Idempotency-Key": key} if by == "header" else {}
        if by == "body":
            body["client_message_id"] = key
        return anna.call("POST", "chat.postMessage", body, headers)

    first = post(key).read()
    assert post(key).read() == first
    assert refused(post("another text")) == (409, "idempotency_conflict")
    assert [one["content"] for one in anna.replies(direct, limit=2)].count({"text": key}) == 1


def test_a_key_holds_for_one_person_and_one_conversation(anna: Person, ben: Person, direct: str, group: str) -> None:
    key = str(uuid.uuid4())
    posted = [
        someone.say(conversation, client_message_id=key)["id"]
        for someone in (anna, ben)
        for conversation in (direct, group)
    ]
    assert len(set(posted)) == 4


def test_a_repeated_post_that_expires_is_the_same(anna: Person, direct: str) -> None:
    key = str(uuid.uuid4())
    first = anna.say(direct, client_message_id=key, expires_in=60)
    time.sleep(0.05)
    assert anna.say(direct, client_message_id=key, expires_in=60) == first
    body = {"conversation_id": direct, "content": {"text": "test"}, "client_message_id": key, "expires_in": 61}
    assert refused(anna.post("chat.postMessage", body)) == (409, "idempotency_conflict")


def test_a_message_goes_by_itself(anna: Person, ben: Person, direct: str) -> None:
    before = int(time.time() * 1000)
    lasting = anna.say(direct, "lasting", expires_at=before + 3_600_000)
    assert lasting["expires_at"] == before + 3_600_000
    media = anna.file(b"data")
    brief = anna.show(direct, media, expires_in=1)
    assert before + 1000 <= brief["expires_at"] <= int(time.time() * 1000) + 1000
    deadline = time.monotonic() + 10
    while brief["id"] in {one["id"] for one in ben.replies(direct)}:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the message goes at a time, not with an event
    assert ben.replies(direct)[-1] == lasting
    assert refused(ben.get(f"media/content/{media}")) == (404, "not_found")


def test_an_answer_names_what_it_answers(anna: Person, ben: Person, direct: str) -> None:
    question = anna.say(direct, "?")
    assert "reply_to" not in question
    answer = ben.say(direct, "!", reply_to=question["id"])
    assert set(answer) == {*MESSAGE_KEYS, "reply_to"}
    assert answer["reply_to"] == question["id"]
    assert anna.replies(direct)[-1] == answer


def test_one_answers_what_was_said_there(anna: Person, ben: Person, direct: str, group: str) -> None:
    for mid in (anna.say(group)["id"], fresh()):
        body = {"conversation_id": direct, "content": {"text": "!"}, "reply_to": mid}
        assert refused(ben.post("chat.postMessage", body)) == NOT_ALLOWED


def test_times_do_not_go_back(anna: Person, ben: Person, direct: str) -> None:
    posted = [(anna, ben)[number % 2].say(direct) for number in range(10)]
    times = [message["created_at"] for message in posted]
    assert times == sorted(times)
    assert [message["id"] for message in anna.replies(direct, limit=10)] == [message["id"] for message in posted]


def test_an_edit_keeps_what_it_does_not_name(anna: Person, ben: Person, direct: str) -> None:
    media = anna.file(b"data")
    message = anna.show(direct, media, content={"text": "first"})
    edited = anna.post("chat.update", {"content": {"text": "second"}}, mid=message["id"]).read()
    assert type(edited["edited_at"]) is int
    assert edited == {**message, "content": {"text": "second"}, "edited_at": edited["edited_at"]}
    assert ben.replies(direct)[-1] == edited
    bare = anna.post("chat.update", {"attachments": []}, mid=message["id"]).read()
    assert (bare["content"], bare["attachments"]) == ({"text": "second"}, None)
    assert refused(ben.get(f"media/content/{media}")) == (404, "not_found")


def test_an_edit_leaves_something(anna: Person, direct: str) -> None:
    message = anna.show(direct, anna.file(b"data"))
    body: dict[str, object] = {"attachments": []}
    assert refused_json(anna.post("chat.update", body, mid=message["id"])) == EMPTY
    assert refused_json(anna.post("chat.update", {}, mid=message["id"])) == EMPTY
    assert anna.replies(direct)[-1] == message


def test_only_the_author_edits(anna: Person, ben: Person, direct: str) -> None:
    message = anna.say(direct)
    assert refused(ben.post("chat.update", {"content": {"text": "x"}}, mid=message["id"])) == NOT_ALLOWED
    anna.post("chat.unsend", mid=message["id"]).read()
    assert refused(anna.post("chat.update", {"content": {"text": "x"}}, mid=message["id"])) == NOT_ALLOWED


@pytest.mark.parametrize("path", ["chat.update", "chat.remove", "chat.unsend"])
@pytest.mark.parametrize("query", [{}, {"mid": ""}, {"mid": "5"}])
def test_a_message_needs_an_id(anna: Person, path: str, query: dict[str, str]) -> None:
    assert "mid" in refused_query(anna.post(path, {"content": {"text": "x"}}, **query))


def test_a_chatkit_token_posts_too(server: Server, ben: Person) -> None:
    someone = person(server)
    user = Api(server, server.user_token(someone.id))
    message = user.say(user.open(ben.id)["id"])
    assert message["created_by"] == someone.id
    assert UUID.fullmatch(message["id"])
