"""Bodies and queries as messages of the contract."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.message_pb2 import Part
from roomline.v1.room_pb2 import Room

from gateway.chatkit import parse
from gateway.edge import EdgeError, EdgeReason
from gateway.links import Links
from services.common.errors import RoomlineError


def update_room(body: Any) -> Any:
    return parse.room_update("r", body)


def update_user(body: Any) -> Any:
    return parse.user_update("u", body)


def text_parts(body: Any) -> Any:
    return parse.text_parts(body, Links("https://chat.example", "one"))


REFUSED: list[tuple[Callable[[Any], Any], Any, str]] = [
    (parse.new_user, [], "body"),
    (parse.new_user, {"id": 5}, "id"),
    (parse.new_user, {"id": "a\0"}, "id"),
    (parse.new_user, {"id": "a", "name": ["b"]}, "name"),
    (parse.new_user, {"custom_data": []}, "custom_data"),
    (parse.new_user, {"custom_data": "x"}, "custom_data"),
    (parse.new_user, {"avatar_url": {}}, "avatar_url"),
    (parse.new_users, {"users": {}}, "users"),
    (parse.new_users, [{}, 5], "users[1]"),
    (parse.new_users, {"users": [{"name": 5}]}, "users[0].name"),
    (parse.new_users, "users", "body"),
    (parse.new_users, [{}] * 1000 + [5], "users"),
    (parse.new_room, {"private": "yes"}, "private"),
    (parse.new_room, {"private": 1}, "private"),
    (parse.new_room, {"user_ids": "a"}, "user_ids"),
    (parse.new_room, {"user_ids": ["a", 5]}, "user_ids"),
    (parse.new_room, {"user_ids": ["a\0"]}, "user_ids"),
    (parse.new_room, {"id": ""}, "id"),
    (update_room, {"push_notification_title_override": 5}, "push_notification_title_override"),
    (update_user, {"custom_data": {"a": 2**53 + 1}}, "custom_data"),
    (parse.user_ids, {"user_ids": {"a": "b"}}, "user_ids"),
    (text_parts, {}, "text"),
    (text_parts, {"text": ""}, "text"),
    (text_parts, {"text": None, "attachment": {"resource_link": "https://a.example"}}, "text"),
    (text_parts, {"text": "hi", "attachment": "https://a.example"}, "attachment"),
    (text_parts, {"text": "hi", "attachment": {"resource_link": 5}}, "attachment.resource_link"),
    (text_parts, {"text": "hi", "attachment": {"resource_link": "x", "type": 5}}, "attachment.type"),
    (parse.parts, {"parts": {}}, "parts"),
    (parse.parts, {"parts": ["hi"]}, "parts[0]"),
    (parse.parts, {"parts": ["hi"] * 17}, "parts"),
    (parse.parts, {"parts": [{"type": "a/b"}]}, "parts[0]"),
    (parse.parts, {"parts": [{"type": "a/b", "content": None}]}, "parts[0]"),
    (parse.parts, {"parts": [{"type": "a/b", "content": "x", "url": "https://a.example"}]}, "parts[0]"),
    (parse.parts, {"parts": [{"type": 5, "content": "x"}]}, "parts[0].type"),
    (parse.parts, {"parts": [{"type": "a/b", "content": 5}]}, "parts[0].content"),
    (parse.parts, {"parts": [{"type": "a/b", "attachment": "x"}]}, "parts[0].attachment"),
    (parse.parts, {"parts": [{"type": "a/b", "attachment": {}}]}, "parts[0].attachment.id"),
    (parse.position, {}, "position"),
    (parse.position, {"position": "5"}, "position"),
    (parse.position, {"position": True}, "position"),
    (parse.position, {"position": 5.5}, "position"),
    (parse.position, {"position": 2**63}, "position"),
    (parse.limit, "ten", "limit"),
    (parse.limit, "\N{SUPERSCRIPT TWO}", "limit"),
    (parse.limit, "9" * 5000, "limit"),
]


@pytest.mark.parametrize(("read", "value", "field"), REFUSED)
def test_wrong_shapes_are_refused_by_name(read: Callable[[Any], Any], value: Any, field: str) -> None:
    with pytest.raises(RoomlineError) as refused:
        read(value)
    assert refused.value.metadata["field"] == field


def test_null_is_absent_and_unknown_fields_are_ignored() -> None:
    user = parse.new_user({"id": "a", "name": "b", "avatar_url": None, "custom_data": None, "more": [{}]})
    assert not user.HasField("avatar_url")
    assert not user.HasField("custom_data")
    room = parse.new_room({"name": "b", "id": None, "private": None, "user_ids": None, "CreatorID": "c"})
    assert (room.id, room.private, list(room.user_ids)) == ("", False, [])
    assert not room.HasField("push_notification_title_override")


def test_empty_values_are_values() -> None:
    user = parse.new_user({"avatar_url": "", "custom_data": {}})
    assert user.HasField("avatar_url")
    assert user.HasField("custom_data")


def test_a_batch_comes_in_either_form() -> None:
    users = [{"id": "a", "name": "b"}, {"id": "c", "name": "d"}]
    assert parse.new_users({"users": users}) == parse.new_users(users)
    assert [user.id for user in parse.new_users(users)] == ["a", "c"]
    assert parse.new_users({}) == []


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, []),
        ({"name": None, "custom_data": None}, []),
        ({"name": "b"}, ["name"]),
        ({"avatar_url": "x", "custom_data": {}}, ["avatar_url", "custom_data"]),
    ],
)
def test_a_user_changes_in_what_is_given(body: dict[str, Any], paths: list[str]) -> None:
    assert list(update_user(body).update_mask.paths) == paths


@pytest.mark.parametrize(
    ("body", "paths", "room"),
    [
        ({}, [], Room(id="r")),
        ({"name": None, "private": None, "custom_data": None}, [], Room(id="r")),
        ({"private": False}, ["private"], Room(id="r")),
        (
            {"push_notification_title_override": None},
            ["push_notification_title_override"],
            Room(id="r"),
        ),
        (
            {"push_notification_title_override": "x"},
            ["push_notification_title_override"],
            Room(id="r", push_notification_title_override="x"),
        ),
    ],
)
def test_a_room_changes_in_what_is_given_and_null_clears_the_title(
    body: dict[str, Any], paths: list[str], room: Room
) -> None:
    request = update_room(body)
    assert list(request.update_mask.paths) == paths
    assert request.room == room


def test_parts_of_each_kind_and_stray_keys() -> None:
    parts = parse.parts(
        {
            "parts": [
                {"type": "text/plain", "content": "", "url": None, "name": "stray"},
                {"type": "image/png", "url": "https://a.example"},
                {"type": "image/png", "attachment": {"id": "1", "name": "stray"}, "customData": {}},
            ]
        }
    )
    assert parts[0].WhichOneof("body") == "content"
    assert parts[1] == Part(type="image/png", url="https://a.example")
    assert parts[2].attachment.id == "1"
    assert parts[2].attachment.name == ""


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("-5", -5), (str(2**63 - 1), 2**63 - 1)])
def test_a_message_id_in_a_path(text: str, number: int) -> None:
    assert parse.message_id(text) == number


@pytest.mark.parametrize("text", ["x", "", "-", "1.0", "1e3", "+5", " 5", "\N{ARABIC-INDIC DIGIT FIVE}", str(2**63)])
def test_what_is_no_message_id(text: str) -> None:
    with pytest.raises(EdgeError) as refused:
        parse.message_id(text)
    assert refused.value.reason is EdgeReason.PATH_INVALID


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, 0),
        ("0", 0),
        ("7", 7),
        ("-1", -1),
        ("-99999999999", -1),
        ("1000", 1000),
        ("1001", 1000),
        ("99999999999", 1000),
    ],
)
def test_a_limit_fits_the_contract(text: str | None, expected: int) -> None:
    assert parse.limit(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2019-05-01T12:34:56Z",
        "2019-05-01t12:34:56z",
        "2019-05-01T12:34:56.000Z",
        "2019-05-01T14:34:56+02:00",
        "2019-05-01T14:34:56 02:00",
    ],
)
def test_times_in_a_query(text: str) -> None:
    assert parse.timestamp(text, "from_ts") == Timestamp(seconds=1556714096)


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2019-05-01", "2019-05-01T12:34:56", "2019-13-01T00:00:00Z", "5", "Z", "2019-05-01T12:34:56+x"],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(RoomlineError) as refused:
        parse.timestamp(text, "from_ts")
    assert refused.value.metadata["field"] == "from_ts"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, []),
        ({"id": ["a,b", "c"]}, ["a,b", "c"]),
        ({"user_ids": ["a,b", "c,"]}, ["a", "b", "c"]),
    ],
)
def test_ids_in_a_query(query: dict[str, list[str]], ids: list[str]) -> None:
    assert parse.query_ids(query) == ids
