"""What events look like, and which make none (spec §7)."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.event_pb2 import (
    CursorSet,
    Event,
    MembersAdded,
    MembersRemoved,
    MessageDeleted,
    MessageEdited,
    MessageHidden,
    MessageSent,
    RoomCreated,
    RoomDeleted,
    RoomDiscarded,
    RoomUpdated,
    UserDeleted,
    UserTyped,
)
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.room_pb2 import Room

from gateway.chat_api import parse_live, render_live
from gateway.chat_api.people import NOBODY
from gateway.live.happening import Happening
from gateway.live.user_stream import Place
from tests.gateway.chat_api.conftest import ANNA, IDS

CID, MID = "0190a5b0-7c00-7000-8000-000000000100", "0190a5b0-7c00-7000-8000-000000000200"
EPOCH = "0123456789abcdef" * 2
TS = 1_697_985_209_235
NOW = Timestamp(seconds=1_697_985_209, nanos=235_999_999)
LATER = Timestamp(seconds=1_697_985_210)


class Names:
    """Anna, Ben and Carl."""

    def uid(self, user_id: str) -> str:
        return next((uid for uid, known in IDS.items() if known == user_id), NOBODY)


def shown(*, mine: bool = False, **change: Any) -> list[tuple[str, dict[str, Any]]]:
    happening = Happening(Event(position=7, created_at=NOW, **change))
    return [(one.name, one.data) for one in render_live.shown(happening, Names(), mine=mine)]


def message(**fields: Any) -> Message:
    return Message(id=1, uid=MID, room_uid=CID, user_id="anna", created_at=NOW, **fields)


def picture(**fields: object) -> dict[str, Any]:
    empty = dict.fromkeys(("unsent_at", "edited_at", "expires_at", "content", "attachments"))
    return {"id": MID, "conversation_id": CID, "created_by": ANNA, "created_at": TS, **empty, **fields}


HELLO = [Part(type="text/plain", content="hello")]


@pytest.mark.parametrize(
    ("name", "change", "fields"),
    [
        ("message.new", {"message_sent": MessageSent(message=message(parts=HELLO))}, {"content": {"text": "hello"}}),
        (
            "message.edited",
            {"message_edited": MessageEdited(message=message(parts=HELLO, edited_at=LATER))},
            {"content": {"text": "hello"}, "edited_at": 1_697_985_210_000},
        ),
        (
            "message.unsent",
            {"message_deleted": MessageDeleted(message=message(unsent_at=LATER))},
            {"unsent_at": 1_697_985_210_000},
        ),
        ("message.removed", {"message_hidden": MessageHidden(message=message())}, {}),
    ],
)
def test_messages(name: str, change: Any, fields: dict[str, object]) -> None:
    assert shown(**change) == [(name, {"conversation_id": CID, "message": picture(**fields), "ts": TS})]


@pytest.mark.parametrize(
    ("change", "mine", "others"),
    [
        ({"room_created": RoomCreated(room=Room(uid=CID))}, "conversation.new", "conversation.new"),
        ({"room_updated": RoomUpdated(room=Room(uid=CID))}, "conversation.updated", "conversation.updated"),
        ({"room_deleted": RoomDeleted(room_uid=CID)}, "conversation.deleted", "conversation.deleted"),
        ({"room_discarded": RoomDiscarded(room_uid=CID)}, "conversation.deleted", None),
        ({"cursor_set": CursorSet(cursor=Cursor(), room_uid=CID)}, "conversation.updated", None),
        ({"members_added": MembersAdded(room_uid=CID, user_ids=["anna", "x"])}, "conversation.new", "member.joined"),
        (
            {"members_removed": MembersRemoved(room_uid=CID, user_ids=["anna", "x"])},
            "conversation.deleted",
            "member.left",
        ),
    ],
)
def test_conversations(change: Any, mine: str, others: str | None) -> None:
    about = {"conversation_id": CID, "message": None, "ts": TS}
    assert shown(mine=True, **change) == [(mine, about)]
    if others is not None:
        users = {"users": [ANNA, NOBODY]} if others.startswith("member.") else {}
        assert shown(**change) == [(others, {**about, **users})]


def test_a_deleted_user_leaves_each_conversation() -> None:
    deleted = UserDeleted(user_id="anna", room_uids=[CID, MID])
    assert [(name, data["conversation_id"], data["users"]) for name, data in shown(user_deleted=deleted)] == [
        ("member.left", CID, [NOBODY]),
        ("member.left", MID, [NOBODY]),
    ]
    assert shown(user_deleted=deleted, mine=True) == []


@pytest.mark.parametrize(
    "change",
    [
        {"message_sent": MessageSent(message=message(expires_at=NOW, unsent_at=NOW))},
        {"message_deleted": MessageDeleted(message=message(expires_at=NOW, unsent_at=LATER))},
        {"message_deleted": MessageDeleted(message_id=1)},
        {"message_hidden": MessageHidden(message_id=1)},
        {"cursor_set": CursorSet(cursor=Cursor())},
        {"user_typed": UserTyped(room_uid=CID, user_id="anna")},
        {},
    ],
)
def test_nothing_is_told_of_the_rest(change: Any) -> None:
    assert shown(**change) == []


def test_a_message_that_was_unsent_before_its_time_is_a_tombstone() -> None:
    deleted = MessageDeleted(message=message(unsent_at=NOW, expires_at=LATER))
    ((name, data),) = shown(message_deleted=deleted)
    assert (name, data["message"]["unsent_at"]) == ("message.unsent", TS)


def test_everybody_who_is_shown_is_looked_up() -> None:
    event = Event(members_added=MembersAdded(user_ids=["anna", "ben"]))
    assert list(render_live.named(event)) == ["anna", "ben"]
    for change in (
        *(Event(message_sent=MessageSent(message=message())), Event(message_edited=MessageEdited(message=message()))),
        *(
            Event(message_deleted=MessageDeleted(user_id="anna")),
            Event(message_hidden=MessageHidden(message=message())),
        ),
    ):
        assert list(render_live.named(change)) == ["anna"]
    assert list(render_live.named(Event(user_typed=UserTyped(user_id="anna")))) == []


def test_places() -> None:
    place = Place(EPOCH, 7)
    assert render_live.event_id(place) == f"{EPOCH}:7"
    assert parse_live.place(f"{EPOCH}:7") == place
    assert parse_live.place("") is None
    for text in (
        "7",
        ":7",
        f"{EPOCH}:",
        f"{EPOCH}:-7",
        f"{EPOCH}:7 ",
        f"{EPOCH.upper()}:7",
        f"{EPOCH}:{10**18}",
        "-:0",
    ):
        assert parse_live.place(text) == parse_live.NOWHERE
