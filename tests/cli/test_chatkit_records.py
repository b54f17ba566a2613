"""What becomes of Chatkit's users, rooms and messages."""

import uuid
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from services.supervisor.chatkit.fields import UnusableError
from services.supervisor.chatkit.records import MANY, Converted, Converter
from services.supervisor.chatkit.uids import uid

TIMES = {"created_at": "2019-04-01T10:20:30Z", "updated_at": "2019-05-01T00:00:00.123456789+02:00"}
USER: dict[str, Any] = {"id": "ann", "name": "Ann", **TIMES}
ROOM: dict[str, Any] = {
    "id": "lobby",
    "created_by_id": "bob",
    "name": "Lobby",
    "member_ids": ["ann", "bob"],
    "private": True,
    **TIMES,
}
TEXT: dict[str, Any] = {"part_type": "inline", "payload": {"type": "text/plain", "content": "hi"}}
LINK: dict[str, Any] = {"part_type": "url", "payload": {"type": "image/png", "url": "https://example.org/a.png"}}
FILE: dict[str, Any] = {
    "part_type": "attachment",
    "payload": {"type": "image/png", "name": "a.png", "size": 12, "download_url": "https://files.example.org/a?s=1"},
}
MESSAGE: dict[str, Any] = {"id": 43, "sender_id": "ann", "room_id": "lobby", "parts": [TEXT], **TIMES}


@pytest.fixture
def converter() -> Converter:
    return Converter(lambda room_id: 1_554_114_030_000_000 if room_id == "lobby" else None)


def plain(converted: Converted) -> dict[str, Any]:
    """The record as JSON."""
    return MessageToDict(converted.record, preserving_proto_field_name=True)


def test_a_user(converter: Converter) -> None:
    data = {"a": 1, "b": [True, None, 2.5], "c": {}}
    user = converter.user({**USER, "avatar_url": "https://example.org/ann.png", "custom_data": data})
    assert plain(user) == {
        "user": {
            "user": {
                "id": "ann",
                "uid": uid(1_554_114_030_000_000, "user", "ann"),
                "name": "Ann",
                "avatar_url": "https://example.org/ann.png",
                "custom_data": data,
                "created_at": "2019-04-01T10:20:30Z",
                "updated_at": "2019-04-30T22:00:00.123456Z",
            }
        }
    }
    assert (user.losses, converter.unknown) == ([], {})


def test_null_is_absent(converter: Converter) -> None:
    user = converter.user({**USER, "avatar_url": None, "custom_data": None})
    assert plain(user) == plain(converter.user(USER))
    assert not user.record.user.user.HasField("custom_data")


def test_a_room_has_its_creator_first(converter: Converter) -> None:
    extra = {"push_notification_title_override": "Ping", "custom_data": {}, "last_message_at": TIMES["updated_at"]}
    room = plain(converter.room({**ROOM, **extra, "member_ids": ["ann", "bob", "ann"]}))["room"]
    assert [member["user_id"] for member in room["members"]] == ["bob", "ann"]
    assert {member["joined_at"] for member in room["members"]} == {TIMES["created_at"]}
    assert room["room"]["private"]
    assert room["room"]["push_notification_title_override"] == "Ping"
    assert room["room"]["custom_data"] == {}
    assert "last_message_at" not in room["room"]
    assert not converter.unknown


def test_a_message_with_all_kinds_of_parts(converter: Converter) -> None:
    message = converter.message({**MESSAGE, "parts": [TEXT, LINK, FILE]})
    (file,) = message.files
    attachment = plain(message)["message"]["message"]["parts"][2]["attachment"]
    assert attachment == {"id": file.record.attachment.id}
    record = MessageToDict(file.record, preserving_proto_field_name=True)["attachment"]
    assert file.url == "https://files.example.org/a?s=1"
    held = message.record.message.message
    assert record == {
        "id": attachment["id"],
        "user_id": "ann",
        "room_id": "lobby",
        "room_uid": held.room_uid,
        "name": "a.png",
        "content_type": "image/png",
        "size": "12",
        "created_at": TIMES["created_at"],
        "uses": [{"message_uid": held.uid, "room_uid": held.room_uid, "user_id": "ann"}],
    }
    assert [part.WhichOneof("body") for part in held.parts] == ["content", "url", "attachment"]
    assert held.id == 0
    assert message.losses == []


def test_ids_that_are_numbers(converter: Converter) -> None:
    assert converter.user({**USER, "id": 7}).id == "7"
    assert converter.room({**ROOM, "id": 7, "member_ids": [1, "1"]}).record.room.members[0].user_id == "1"
    keys = {43: 43, "43": 43, "043": "043", "x": "x", "9" * 30: "9" * 30, "²": "²"}
    for given, key in keys.items():
        assert converter.message({**MESSAGE, "id": given}).id == key


def test_ids_in_two_rooms_are_two_messages() -> None:
    converter = Converter(lambda _: 0)
    one, other = (converter.message({**MESSAGE, "room_id": room}) for room in ("lobby", "attic"))
    assert one.id == other.id
    assert one.record.message.message.uid != other.record.message.message.uid


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": ""}, "id: an id is not empty"),
        ({"id": "a\0b"}, "NUL"),
        ({"id": True}, "id: an id is a text"),
        ({"name": None}, "name is missing"),
        ({"name": 1}, "name is no text"),
        ({"created_at": "yesterday"}, "created_at is no time such as .*: 'yesterday'"),
        ({"created_at": "2019-04-01T10:20:30"}, "created_at is no time"),
        ({"created_at": "2019-02-30T10:20:30Z"}, "created_at is no time"),
        ({"created_at": 1554114030}, "created_at is no text"),
    ],
)
def test_an_unusable_user(converter: Converter, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableError, match=problem):
        converter.user({**USER, **change})


@pytest.mark.parametrize("value", [None, 7, "x", [], [USER]])
def test_what_is_no_object(converter: Converter, value: Any) -> None:
    with pytest.raises(UnusableError, match="it is no object"):
        converter.user(value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"member_ids": "ann"}, "member_ids is no list"),
        ({"member_ids": [{}]}, "member_ids: an id is a text"),
        ({"private": "yes"}, "private is neither"),
        ({"created_by_id": None}, "created_by_id is missing"),
    ],
)
def test_an_unusable_room(converter: Converter, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableError, match=problem):
        converter.room({**ROOM, **change})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"room_id": "attic"}, "there is no room attic"),
        ({"parts": []}, "it has no parts"),
        ({"parts": {}}, "parts is no list"),
        ({"parts": [{**TEXT, "part_type": "video"}]}, "part 0 is left out: its part_type is 'video'"),
        ({"parts": [7]}, "part 0 is left out: it is no object"),
        ({"parts": [{"part_type": "inline"}]}, "part 0 is left out: its payload is no object"),
        ({"parts": [{"part_type": "inline", "payload": {"type": "text/plain"}}]}, "content is missing"),
        ({"parts": [{**FILE, "payload": {**FILE["payload"], "size": -1}}]}, "size is no whole number"),
    ],
)
def test_an_unusable_message(converter: Converter, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableError, match=problem):
        converter.message({**MESSAGE, **change})


def test_a_part_that_cannot_be_used_costs_itself_only(converter: Converter) -> None:
    message = converter.message({**MESSAGE, "parts": [7, TEXT, {**FILE, "payload": {"type": "a/b"}}]})
    assert len(message.record.message.message.parts) == 1
    assert message.losses == ["part 0 is left out: it is no object", "part 2 is left out: name is missing"]
    assert message.files == []


@pytest.mark.parametrize(
    "data", ["text", [1], {"n": 2**53 + 1}, {"n": 1e300}, {"deep": [[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]}]
)
def test_custom_data_that_cannot_be_kept_costs_itself_only(converter: Converter, data: Any) -> None:
    user = converter.user({**USER, "custom_data": data})
    assert not user.record.user.user.HasField("custom_data")
    assert [loss.partition(":")[0] for loss in user.losses] == ["custom_data is left out"]


def test_an_attachment_takes_any_custom_data(converter: Converter) -> None:
    part = {**FILE, "payload": {**FILE["payload"], "custom_data": "text"}}
    (file,) = converter.message({**MESSAGE, "parts": [part]}).files
    assert file.record.attachment.custom_data.string_value == "text"


def test_unknown_keys_are_counted(converter: Converter) -> None:
    for _ in range(2):
        converter.message(
            {**MESSAGE, "mood": 1, "parts": [{**TEXT, "x": 1}, {**LINK, "payload": {**LINK["payload"], "y": 1}}]}
        )
    assert converter.unknown == {"mood": 2, "parts.x": 2, "parts.payload.y": 2}
    converter.user({**USER, **{f"key{number}": 1 for number in range(2 * MANY)}})
    assert len(converter.unknown) <= MANY + 1
    assert converter.unknown.total() == 6 + 2 * MANY


@pytest.mark.parametrize("created_at", [1_554_114_030_123_456, 0, -(10**15), 2**63 - 1])
def test_uids_are_uuids_of_their_time(created_at: int) -> None:
    one = uuid.UUID(uid(created_at, "user", "ann"))
    assert (one.version, one.variant) == (7, uuid.RFC_4122)
    assert one.int >> 80 == min(max(created_at // 1000, 0), 2**48 - 1)
    assert str(one) == uid(created_at, "user", "ann")


def test_uids_tell_all_ids_apart() -> None:
    others = {
        uid(0, "user", "ab"),
        uid(0, "room", "ab"),
        uid(0, "x", "a", "b"),
        uid(0, "x", "ab"),
        uid(0, "x", 1),
        uid(0, "x", "1"),
    }
    assert len(others) == 6
