"""Rooms of v7 as JSON (spec §4.8), and that the versions before it know nothing of them."""

from typing import Any

import pytest
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import (
    CreateRoomResponse,
    GetRoomResponse,
    JoinRoomResponse,
    ListJoinableRoomsResponse,
    ListRoomsResponse,
    ListUserRoomsResponse,
)

from gateway.chatkit import render_v7
from tests.gateway.backend import Backend
from tests.gateway.client import V7_PREFIX, Client

NOON = Timestamp(seconds=1556712000)
CURSOR = Cursor(user_id="u", room_id="r", updated_at=NOON)
SHOWN_CURSOR = {
    "cursor_type": 0,
    "room_id": "r",
    "user_id": "u",
    "position": 0,
    "updated_at": "2019-05-01T12:00:00Z",
}

ROOM = {
    "id": "r",
    "name": "b",
    "created_by_id": "u",
    "private": False,
    "custom_data": None,
    "push_notification_title_override": None,
    "last_message_at": None,
    "created_at": "2019-05-01T12:00:00Z",
    "updated_at": "2019-05-01T12:00:00Z",
    "deleted_at": None,
}
MEMBERSHIP = {"room_id": "r", "user_ids": ["b", "a"]}


def room() -> Room:
    return Room(
        id="r",
        uid="hidden",
        name="b",
        created_by_id="u",
        member_user_ids=["b", "a"],
        created_at=NOON,
        updated_at=NOON,
    )


def test_a_room_with_nothing_optional() -> None:
    assert render_v7.room(room()) == ROOM


def test_a_room_with_everything() -> None:
    full = room()
    full.custom_data.SetInParent()
    full.push_notification_title_override = ""
    full.last_message_at.CopyFrom(NOON)
    assert render_v7.room(full) == {
        **ROOM,
        "custom_data": {},
        "push_notification_title_override": "",
        "last_message_at": "2019-05-01T12:00:00Z",
    }


@pytest.mark.parametrize(("cursor", "shown"), [(None, {}), (CURSOR, {"cursor": SHOWN_CURSOR})])
def test_a_read_state_has_a_cursor_if_one_is_set(cursor: Cursor | None, shown: dict[str, Any]) -> None:
    assert render_v7.read_state("r", 0, cursor) == {"room_id": "r", "unread_count": 0, **shown}


@pytest.mark.parametrize(
    ("method", "path", "answer", "shown"),
    [
        ("POST", "/rooms", CreateRoomResponse(room=room()), {"room": ROOM, "membership": MEMBERSHIP}),
        ("POST", "/users/u/rooms/r/join", JoinRoomResponse(room=room()), {"room": ROOM, "membership": MEMBERSHIP}),
        ("GET", "/rooms/r", GetRoomResponse(room=room()), {**ROOM, "member_user_ids": ["b", "a"]}),
        ("GET", "/rooms", ListRoomsResponse(rooms=[room()]), [ROOM]),
        (
            *("GET", "/users/u/rooms", ListUserRoomsResponse(rooms=[UserRoom(room=room(), unread_count=2)])),
            {"rooms": [ROOM], "memberships": [MEMBERSHIP], "read_states": [{"room_id": "r", "unread_count": 2}]},
        ),
        (
            *("GET", "/users/u/rooms", ListUserRoomsResponse(rooms=[UserRoom(room=room(), cursor=CURSOR)])),
            {
                "rooms": [ROOM],
                "memberships": [MEMBERSHIP],
                "read_states": [{"room_id": "r", "unread_count": 0, "cursor": SHOWN_CURSOR}],
            },
        ),
        ("GET", "/users/u/rooms", ListUserRoomsResponse(), {"rooms": [], "memberships": [], "read_states": []}),
        (
            *("GET", "/users/u/joinable_rooms", ListJoinableRoomsResponse(rooms=[room()])),
            {"rooms": [ROOM], "memberships": [MEMBERSHIP]},
        ),
        ("GET", "/users/u/rooms?joinable=1", ListJoinableRoomsResponse(), {"rooms": [], "memberships": []}),
    ],
)
async def test_what_the_calls_of_v7_answer(
    client: Client, backend: Backend, method: str, path: str, answer: ProtoMessage, shown: object
) -> None:
    backend.answers[answer.DESCRIPTOR.name.removesuffix("Response")] = answer
    reply = await client.request(method, V7_PREFIX + path, {"name": "b"} if method == "POST" else None)
    assert reply.status == (201 if method == "POST" else 200)
    assert reply.json == shown
