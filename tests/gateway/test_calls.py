"""What each request asks of the services, and what the client gets (spec §3, §4, §5, §8, §12.3)."""

from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import (
    GetCursorRequest,
    GetCursorResponse,
    ListRoomCursorsRequest,
    ListRoomCursorsResponse,
    ListUserCursorsRequest,
    SetCursorRequest,
)
from roomline.v1.event_service_pb2 import ReportTypingRequest
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    MESSAGE_ORDER_NEWEST_FIRST,
    MESSAGE_ORDER_OLDEST_FIRST,
    DeleteMessageRequest,
    EditMessageRequest,
    GetMessageRequest,
    GetMessageResponse,
    ListMessagesRequest,
    ListMessagesResponse,
    SendMessageRequest,
    SendMessageResponse,
)
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    CreateRoomRequest,
    CreateRoomResponse,
    DeleteRoomRequest,
    GetRoomRequest,
    GetRoomResponse,
    JoinRoomRequest,
    JoinRoomResponse,
    LeaveRoomRequest,
    ListJoinableRoomsRequest,
    ListRoomsRequest,
    ListRoomsResponse,
    ListUserRoomsRequest,
    ListUserRoomsResponse,
    RemoveMembersRequest,
    UpdateRoomRequest,
)
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import (
    BatchCreateUsersRequest,
    BatchCreateUsersResponse,
    BatchGetUsersRequest,
    CreateUserRequest,
    CreateUserResponse,
    DeleteUserRequest,
    GetUserRequest,
    GetUserResponse,
    ListUsersRequest,
    ListUsersResponse,
    NewUser,
    UpdateUserRequest,
)

from tests.gateway.backend import Backend
from tests.gateway.client import CURSORS_PREFIX, TEXT_PREFIX, V7_PREFIX, Client

USER = User(id="a", name="b")
ROOM = Room(id="r", name="b", created_by_id="a", member_user_ids=["a"])
HELLO = Part(type="text/plain", content="hi")
MESSAGE = Message(id=5, user_id="a", room_id="r", parts=[HELLO])
CURSOR = Cursor(user_id="a", room_id="r", position=5)
CURSOR_PATH = f"{CURSORS_PREFIX}/cursors/0/rooms/r/users/a"

CALLS: list[tuple[str, str, Any, ProtoMessage, ProtoMessage | None, int]] = [
    (
        *("POST", "/users", {"id": "a", "name": "b"}),
        *(CreateUserRequest(user=NewUser(id="a", name="b")), CreateUserResponse(user=USER), 201),
    ),
    (
        *("POST", "/batch_users", [{"id": "a", "name": "b"}]),
        *(BatchCreateUsersRequest(users=[NewUser(id="a", name="b")]), BatchCreateUsersResponse(users=[USER]), 201),
    ),
    ("GET", "/users/a", None, GetUserRequest(id="a"), GetUserResponse(user=USER), 200),
    ("GET", "/users", None, ListUsersRequest(), ListUsersResponse(users=[USER]), 200),
    (
        *("GET", "/users?limit=7&from_ts=1970-01-01T00:00:05Z&more=1", None),
        *(ListUsersRequest(page_size=7, created_from=Timestamp(seconds=5)), None, 200),
    ),
    ("GET", "/users?from_ts=&limit=0", None, ListUsersRequest(), None, 200),
    ("PUT", "/users/a", {}, UpdateUserRequest(user=User(id="a"), update_mask=FieldMask()), None, 204),
    ("DELETE", "/users/a", {"body": 1}, DeleteUserRequest(id="a"), None, 204),
    (
        *("POST", "/rooms", {"name": "b", "user_ids": ["a"]}),
        *(CreateRoomRequest(name="b", user_ids=["a"]), CreateRoomResponse(room=ROOM), 201),
    ),
    ("GET", "/rooms/r", None, GetRoomRequest(room_id="r"), GetRoomResponse(room=ROOM), 200),
    ("GET", "/rooms?id=x", None, ListRoomsRequest(page_size=100), ListRoomsResponse(rooms=[ROOM]), 200),
    (
        *("GET", "/rooms?from_id=a%2Fb&include_private=True", None),
        *(ListRoomsRequest(page_size=100, after_room_id="a/b", include_private=True), None, 200),
    ),
    ("PUT", "/rooms/r", None, UpdateRoomRequest(room=Room(id="r"), update_mask=FieldMask()), None, 204),
    ("DELETE", "/rooms/r", None, DeleteRoomRequest(room_id="r"), None, 204),
    (
        *("GET", "/users/a/rooms", None),
        *(ListUserRoomsRequest(user_id="a"), ListUserRoomsResponse(rooms=[UserRoom(room=ROOM)]), 200),
    ),
    ("GET", "/users/a/rooms?joinable=false", None, ListUserRoomsRequest(user_id="a"), None, 200),
    ("GET", "/users/a/rooms?joinable=1", None, ListJoinableRoomsRequest(user_id="a"), None, 200),
    ("GET", f"{V7_PREFIX}/users/a/joinable_rooms?joinable=0", None, ListJoinableRoomsRequest(user_id="a"), None, 200),
    ("PUT", f"{V7_PREFIX}/rooms/r", None, UpdateRoomRequest(room=Room(id="r"), update_mask=FieldMask()), None, 204),
    ("DELETE", f"{V7_PREFIX}/rooms/r", None, DeleteRoomRequest(room_id="r"), None, 204),
    ("POST", f"{V7_PREFIX}/users/a/rooms/r/leave", {}, LeaveRoomRequest(room_id="r", user_id="a"), None, 204),
    (
        *("POST", "/users/a/rooms/r/join", None),
        *(JoinRoomRequest(room_id="r", user_id="a"), JoinRoomResponse(room=ROOM), 201),
    ),
    ("POST", "/users/a/rooms/r/leave", None, LeaveRoomRequest(room_id="r", user_id="a"), None, 204),
    ("PUT", "/rooms/r/users/add", {"user_ids": ["a"]}, AddMembersRequest(room_id="r", user_ids=["a"]), None, 204),
    ("PUT", "/rooms/r/users/remove", {"user_ids": []}, RemoveMembersRequest(room_id="r"), None, 204),
    (
        *("POST", "/rooms/r/messages", {"parts": [{"type": "text/plain", "content": "hi"}], "sender_id": "x"}),
        *(SendMessageRequest(room_id="r", parts=[HELLO]), SendMessageResponse(message=MESSAGE), 201),
    ),
    (
        *("POST", f"{TEXT_PREFIX}/rooms/r/messages", {"text": "hi", "sender_id": "a", "user_id": "x"}),
        *(SendMessageRequest(room_id="r", parts=[HELLO], user_id="a"), SendMessageResponse(message=MESSAGE), 201),
    ),
    (
        *("PUT", f"{TEXT_PREFIX}/rooms/r/messages/5", {"text": "hi"}),
        *(EditMessageRequest(room_id="r", id=5, parts=[HELLO]), None, 204),
    ),
    (
        *("GET", "/rooms/r/messages", None),
        *(
            ListMessagesRequest(room_id="r", limited=True, order=MESSAGE_ORDER_NEWEST_FIRST),
            ListMessagesResponse(messages=[MESSAGE]),
            200,
        ),
    ),
    (
        *("GET", "/rooms/r/messages?initial_id=9&limit=2", None),
        *(
            ListMessagesRequest(room_id="r", limited=True, before_id=9, page_size=2, order=MESSAGE_ORDER_NEWEST_FIRST),
            None,
            200,
        ),
    ),
    (
        *("GET", "/rooms/r/messages?direction=newer&initial_id=0", None),
        *(ListMessagesRequest(room_id="r", limited=True, after_id=0, order=MESSAGE_ORDER_OLDEST_FIRST), None, 200),
    ),
    (
        *("GET", "/rooms/r/messages/5", None),
        *(GetMessageRequest(room_id="r", id=5), GetMessageResponse(message=MESSAGE), 200),
    ),
    ("DELETE", "/rooms/r/messages/5", None, DeleteMessageRequest(room_id="r", id=5), None, 204),
    ("DELETE", "/messages/5", None, DeleteMessageRequest(id=5), None, 204),
    ("DELETE", f"{TEXT_PREFIX}/messages/5", None, DeleteMessageRequest(id=5), None, 204),
    ("POST", "/rooms/a%2Fb/typing_indicators", None, ReportTypingRequest(room_id="a/b"), None, 204),
    ("POST", f"{TEXT_PREFIX}/rooms/r/typing_indicators", {}, ReportTypingRequest(room_id="r"), None, 204),
    (
        *("PUT", CURSOR_PATH, {"position": 0}),
        *(SetCursorRequest(user_id="a", room_id="r"), None, 201),
    ),
    (
        *("GET", CURSOR_PATH, None),
        *(GetCursorRequest(user_id="a", room_id="r"), GetCursorResponse(cursor=CURSOR), 200),
    ),
    ("GET", CURSOR_PATH, None, GetCursorRequest(user_id="a", room_id="r"), None, 200),
    ("GET", f"{CURSORS_PREFIX}/cursors/0/users/a", None, ListUserCursorsRequest(user_id="a"), None, 200),
    (
        *("GET", f"{CURSORS_PREFIX}/cursors/0/rooms/r", None),
        *(ListRoomCursorsRequest(room_id="r"), ListRoomCursorsResponse(cursors=[CURSOR]), 200),
    ),
    ("DELETE", "/resources", None, ResetInstanceRequest(), None, 204),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "request_message", "answer", "status"), CALLS, ids=[f"{c[0]} {c[1]}" for c in CALLS]
)
async def test_a_request_is_one_call(
    client: Client,
    backend: Backend,
    method: str,
    path: str,
    body: Any,
    request_message: ProtoMessage,
    answer: ProtoMessage | None,
    status: int,
) -> None:
    name = request_message.DESCRIPTOR.name.removesuffix("Request")
    if answer is not None:
        backend.answers[name] = answer
    reply = await client.request(method, path, body)
    assert reply.status == status
    (call,) = backend.calls
    assert call.method == name
    if "request_id" in request_message.DESCRIPTOR.fields_by_name:
        assert len(call.request.request_id) == 36
        call.request.ClearField("request_id")
    assert call.request == request_message
    if status == 204:
        assert reply.body == b""
        assert "content-length" not in reply.headers
        assert "transfer-encoding" not in reply.headers
    elif answer is not None:
        assert b'"a"' in reply.body or reply.json == {"message_id": 5}


async def test_every_change_has_a_request_id_of_its_own(client: Client, backend: Backend) -> None:
    for _ in range(2):
        await client.delete("/rooms/r")
    assert len({call.request.request_id for call in backend.calls}) == 2


async def test_empty_answers(client: Client) -> None:
    assert (await client.get(CURSOR_PATH)).body == b"null"
    assert (await client.put(CURSOR_PATH, {"position": 5})).body == b"{}"
    assert (await client.get("/users")).body == b"[]"


async def test_users_by_ids(client: Client, backend: Backend) -> None:
    assert (await client.get("/users_by_ids")).json == []
    assert backend.last.request == BatchGetUsersRequest()  # whoever asks for nobody shows a token too
    await client.get("/users_by_ids?id=a&id=b%2Cc&user_ids=d,e")
    assert backend.last.request == BatchGetUsersRequest(ids=["a", "b,c", "d", "e"])


async def test_users_by_ids_in_the_form_of_the_python_sdk(client: Client, backend: Backend) -> None:
    await client.get("/users_by_ids?id=%5B%27a%27%2C+%22it%27s%22%5D")
    assert [list(call.request.ids) for call in backend.calls] == [["""['a', "it's"]"""], ["a", "it's"]]


async def test_a_list_longer_than_any_id_is_looked_up_as_a_list_only(client: Client, backend: Backend) -> None:
    ids = [f"{number:036}" for number in range(5)]
    await client.get(f"/users_by_ids?id={quote(repr(ids))}")
    assert [list(call.request.ids) for call in backend.calls] == [ids]


@pytest.mark.parametrize("text", ["[", "[5]", "a", "[a]", "[" * 300 + "]" * 300, "['a'", "('a',)", "[{[]:1}]"])
async def test_other_ids_are_looked_up_once(client: Client, backend: Backend, text: str) -> None:
    assert (await client.get(f"/users_by_ids?id={text}")).json == []
    assert len(backend.calls) == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/users?limit=x", "limit"),
        ("/users?from_ts=x", "from_ts"),
        ("/rooms/r/messages?limit=1.5", "limit"),
        ("/rooms/r/messages?initial_id=x", "initial_id"),
        ("/rooms/r/messages?direction=up", "direction"),
        ("/users_by_ids?id=a%00", "id"),
        ("/rooms?from_id=a%00", "from_id"),
    ],
)
async def test_bad_queries_are_refused(client: Client, backend: Backend, path: str, name: str) -> None:
    reply = await client.get(path)
    assert reply.error == (422, "services/chatkit/unprocessable_entity/validation_failed")
    assert reply.description == f"Field `{name}` is invalid"
    assert backend.calls == []
