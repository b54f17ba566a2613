"""Protobuf messages as the chat API's JSON (spec §2, §11)."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.account_pb2 import Account
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.room_pb2 import ROOM_KIND_CHANNEL, ROOM_KIND_DIRECT, ROOM_KIND_GROUP, Room, UserRoom

from gateway.chat_api import render
from gateway.chat_api.people import NOBODY, People

TIME = Timestamp(seconds=1_697_985_209, nanos=235_999_999)
MILLISECONDS = 1_697_985_209_235
TEXT = Part(type="text/plain", content="test")
LINK = Part(type="image/png", url="https://pictures.example/dog")


@pytest.fixture
def people() -> People:
    people = People("anna")
    people.add(
        [
            Account(user_id="anna", user_uid="uid-a", first_name="Anna", last_name="Smith", email="a@example.org"),
            Account(user_id="ben", user_uid="uid-b", first_name="Ben of Chatkit"),
            Account(user_id="mute", user_uid="uid-m"),
        ]
    )
    return people


def file(detected: str = "image/png", part_type: str = "image/x", **fields: Any) -> Part:
    return Part(type=part_type, attachment=Attachment(id="f", name="n", detected_type=detected, **fields))


def message(*parts: Part, user_id: str = "anna", **fields: Any) -> Message:
    return Message(id=7, uid="m", room_id="r", room_uid="c", user_id=user_id, parts=parts, created_at=TIME, **fields)


def test_a_message_has_every_key(people: People) -> None:
    assert render.message(message(TEXT, updated_at=TIME), people) == {
        "id": "m",
        "conversation_id": "c",
        "created_by": "uid-a",
        "created_at": MILLISECONDS,
        "unsent_at": None,
        "edited_at": None,
        "expires_at": None,
        "content": {"text": "test"},
        "attachments": None,
    }


def test_a_tombstone_says_nothing(people: People) -> None:
    shown = render.message(message(TEXT, file(), unsent_at=TIME), people)
    assert (shown["content"], shown["attachments"], shown["unsent_at"]) == (None, None, MILLISECONDS)


def test_optional_times_and_the_answered_message(people: People) -> None:
    shown = render.message(message(TEXT, edited_at=TIME, expires_at=TIME, reply_to="m0"), people)
    assert (shown["edited_at"], shown["expires_at"], shown["reply_to"]) == (MILLISECONDS, MILLISECONDS, "m0")


def test_who_is_gone_is_nobody(people: People) -> None:
    assert render.message(message(TEXT, user_id="gone"), people)["created_by"] == NOBODY


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([TEXT], "test"),
        ([], None),
        ([file()], None),
        ([TEXT, file(), TEXT], "test\ntest"),
        ([LINK], "https://pictures.example/dog"),
        ([Part(type="application/json", content="{}"), LINK], "{}\nhttps://pictures.example/dog"),
        ([Part(type="text/plain", content="")], ""),
    ],
)
def test_what_a_message_of_any_parts_says(parts: list[Part], text: str | None) -> None:
    assert render.text(parts) == text


@pytest.mark.parametrize(
    ("attachment", "part_type", "shown"),
    [
        (Attachment(detected_type="image/png", content_type="text/html"), "a/b", "image/png"),
        (Attachment(content_type="text/html"), "a/b", "text/html"),
        (Attachment(), "a/b", "a/b"),
        (Attachment(), "", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file_is_the_one_in_its_bytes(attachment: Attachment, part_type: str, shown: str) -> None:
    assert render.attachment(attachment, part_type)["mime_type"] == shown


def test_a_media_block() -> None:
    link = "/api/v1/media/content/f"
    block = render.media_block(Attachment(id="f", name="n"))
    assert block == {"id": "f", "link": link, "caption": None, "file_name": "n"}
    block = render.media_block(Attachment(id="f", name="f", caption=""))
    assert block == {"id": "f", "link": link, "caption": "", "file_name": None}


def test_users_with_and_without_an_account(people: People) -> None:
    anna, ben = people.known(["anna", "gone", "ben"])
    assert render.user(anna) == {
        "id": "uid-a",
        "first_name": "Anna",
        "last_name": "Smith",
        "email": "a@example.org",
        "last_seen": None,
    }
    assert (render.user(ben)["email"], render.user(ben)["last_name"]) == (None, "")
    anna.last_seen.CopyFrom(TIME)
    assert render.user(anna)["last_seen"] == MILLISECONDS


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (Room(kind=ROOM_KIND_DIRECT, private=True), "direct"),
        (Room(kind=ROOM_KIND_GROUP, private=True), "group"),
        (Room(kind=ROOM_KIND_CHANNEL), "channel"),
        (Room(private=True), "group"),
        (Room(), "channel"),
    ],
)
def test_types_of_conversations(room: Room, shown: str) -> None:
    assert render.conversation_type(room) == shown


def test_a_conversation_of_its_member(people: People) -> None:
    room = Room(id="r", uid="c", created_by_id="ben", kind=ROOM_KIND_GROUP, member_user_ids=["ben", "gone", "anna"])
    shown = render.conversation(UserRoom(room=room, joined_at=TIME, archived=True, unread_count=3), people)
    assert [one["id"] for one in shown.pop("participants")] == ["uid-b", "uid-a"]
    assert shown == {
        "id": "c",
        "created_by": "uid-b",
        "conversation_type": "group",
        "last_msg_text": None,
        "last_msg_uid": None,
        "archived": True,
        "joined_at": MILLISECONDS,
        "unread_count": 3,
    }


@pytest.mark.parametrize(
    ("parts", "sender", "sentence"),
    [
        ([TEXT, file()], "anna", "test"),
        ([file()], "anna", "You sent a photo"),
        ([file()], "ben", "Ben of Chatkit sent a photo"),
        ([file()], "gone", "Somebody sent a photo"),
        ([file()], "mute", "Somebody sent a photo"),
        ([file(), file("image/gif")], "anna", "You sent 2 photos"),
        ([file("video/mp4")], "anna", "You sent a video"),
        ([file("audio/ogg")], "anna", "You sent an audio file"),
        ([file("audio/ogg"), file("audio/ogg"), file("audio/mp4")], "anna", "You sent 3 audio files"),
        ([file("text/plain")], "anna", "You sent a file"),
        ([file("", "video/x")], "anna", "You sent a video"),
        ([file(), file("video/mp4")], "anna", "You sent 2 files"),
    ],
)
def test_the_newest_message_in_a_sentence(people: People, parts: list[Part], sender: str, sentence: str) -> None:
    assert render.last_text(message(*parts, user_id=sender), people) == sentence


def test_an_unsent_newest_message_is_none(people: People) -> None:
    shown = render.conversation(UserRoom(room=Room(uid="c"), last_message=message(unsent_at=TIME)), people)
    assert (shown["last_msg_text"], shown["last_msg_uid"]) == (None, None)
