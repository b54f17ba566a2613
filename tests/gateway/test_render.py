"""Messages of the contract as JSON (spec §0, §3, §4.1, §5.1, §8)."""

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.user_pb2 import User

from gateway.chatkit import render
from gateway.chatkit.dialect import NOT_REPRESENTABLE
from gateway.links import Links

NOON = Timestamp(seconds=1556712000, nanos=999_999_999)
LATER = Timestamp(seconds=1556712001)
TIMES = {"created_at": "2019-05-01T12:00:00Z", "updated_at": "2019-05-01T12:00:01Z"}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1970-01-01T00:00:00Z"), (951782399, "2000-02-28T23:59:59Z"), (4102444800, "2100-01-01T00:00:00Z")],
)
def test_times_are_whole_seconds_in_utc(seconds: int, expected: str) -> None:
    assert render.timestamp(Timestamp(seconds=seconds, nanos=1)) == expected


def test_a_user_with_nothing_optional() -> None:
    user = User(id="5", uid="hidden", name="", created_at=NOON, updated_at=LATER)
    assert render.user(user) == {"id": "5", "name": "", **TIMES}


def test_a_user_with_everything() -> None:
    user = User(id="a", name="b", avatar_url="", custom_data=Struct(), created_at=NOON, updated_at=LATER)
    assert render.user(user) == {"id": "a", "name": "b", "avatar_url": "", "custom_data": {}, **TIMES}


ROOM = {"id": "r", "name": "b", "created_by_id": "u", "private": False, **TIMES}


def room() -> Room:
    return Room(id="r", uid="hidden", name="b", created_by_id="u", created_at=NOON, updated_at=LATER)


def test_a_room_with_nothing_optional() -> None:
    assert render.room(room()) == ROOM
    assert render.room_with_members(room()) == {**ROOM, "member_user_ids": []}
    assert render.user_room(UserRoom(room=room())) == {**ROOM, "member_user_ids": [], "unread_count": 0}


def test_a_room_with_everything() -> None:
    full = room()
    full.custom_data.SetInParent()
    full.push_notification_title_override = ""
    full.last_message_at.CopyFrom(LATER)
    full.member_user_ids.extend(["b", "a"])
    optional = {"custom_data": {}, "push_notification_title_override": ""}
    assert render.room(full) == {**ROOM, **optional}
    assert render.user_room(UserRoom(room=full, unread_count=3)) == {
        **ROOM,
        **optional,
        "member_user_ids": ["b", "a"],
        "unread_count": 3,
        "last_message_at": "2019-05-01T12:00:01Z",
    }


def test_a_cursor_at_zero() -> None:
    cursor = Cursor(user_id="u", room_id="r", updated_at=NOON)
    expected = {"cursor_type": 0, "room_id": "r", "user_id": "u", "position": 0, "updated_at": "2019-05-01T12:00:00Z"}
    assert render.cursor(cursor) == expected


def message(*parts: Part) -> Message:
    return Message(id=5, uid="hidden", user_id="u", room_id="r", parts=parts, created_at=NOON, updated_at=LATER)


LINKS = Links("https://chat.example", "one")
MESSAGE = {"id": 5, "user_id": "u", "room_id": "r", **TIMES}


def test_a_message_of_parts() -> None:
    attachment = Attachment(
        id="1", download_url="/d", expiration=NOON, name="n", custom_data=Value(string_value="bare")
    )
    parts = [
        Part(type="text/plain", content=""),
        Part(type="image/png", url="https://a.example"),
        Part(type="image/png", attachment=attachment),
    ]
    shown = {
        "id": "1",
        "download_url": "https://chat.example/d",
        "refresh_url": "https://chat.example/services/chatkit/v6/one/rooms/r/attachments/1",
        "expiration": "2019-05-01T12:00:00Z",
        "name": "n",
    }
    assert render.parts_message(message(*parts), LINKS) == {
        **MESSAGE,
        "parts": [
            {"type": "text/plain", "content": ""},
            {"type": "image/png", "url": "https://a.example"},
            {"type": "image/png", "attachment": {**shown, "size": 0, "custom_data": "bare"}},
        ],
    }


def test_a_message_of_text() -> None:
    text = Part(type="text/plain", content="")
    assert render.text_message(message(text), LINKS) == {**MESSAGE, "text": ""}
    assert render.text_message(message(text, Part(type="image/png", url="https://a.example/b")), LINKS) == {
        **MESSAGE,
        "text": "",
        "attachment": {"resource_link": "https://a.example/b", "type": "image", "name": "b"},
    }
    assert render.text_message(message(text, text), LINKS)["text"] == NOT_REPRESENTABLE
