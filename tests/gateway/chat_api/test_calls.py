"""What the chat API asks the services for (spec §3, §4)."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import (
    GetAttachmentResponse,
    ListAttachmentsRequest,
    ListAttachmentsResponse,
    ReserveAttachmentResponse,
    UploadAttachmentResponse,
)
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    MESSAGE_ORDER_NEWEST_FIRST,
    EditMessageResponse,
    GetMessageResponse,
    ListMessagesRequest,
    ListMessagesResponse,
    SendMessageRequest,
    SendMessageResponse,
)
from roomline.v1.room_pb2 import ROOM_KIND_DIRECT, Room, UserRoom
from roomline.v1.room_service_pb2 import (
    GetUserRoomResponse,
    ListMembersResponse,
    ListUserRoomsResponse,
    MatchRoomResponse,
    OpenRoomResponse,
)

from services.common.errors import RoomlineError
from tests.gateway.backend import Backend, Call
from tests.gateway.chat_api.conftest import ANNA, BEN, CARL
from tests.gateway.client import Client

CID = "0190a5b0-7c00-7000-8000-0000000000c1"
MID = "0190a5b0-7c00-7000-8000-0000000000d1"
FILE = "0190a5b0-7c00-7000-8000-0000000000f1"
NOW = Timestamp(seconds=1_697_985_209, nanos=235_999_000)


def user_room(uid: str = CID, joined: int = 1, **fields: Any) -> UserRoom:
    room = Room(uid=uid, created_by_id="anna", kind=ROOM_KIND_DIRECT, member_user_ids=["anna", "ben"])
    return UserRoom(room=room, joined_at=Timestamp(seconds=joined), **fields)


def message(number: int = 1, user_id: str = "anna", text: str = "test") -> Message:
    return Message(
        id=number, uid=MID, room_uid=CID, user_id=user_id, parts=[Part(type="text/plain", content=text)], created_at=NOW
    )


def calls(backend: Backend, method: str) -> list[Call]:
    return [call for call in backend.calls if call.method == method]


async def test_a_list_takes_two_calls_whatever_its_length(client: Client, backend: Backend) -> None:
    rooms = [user_room(f"0190a5b0-7c00-7000-8000-{number:012}", number) for number in range(50)]
    rooms[3].last_message.CopyFrom(message(user_id="carl"))
    backend.answers["ListUserRooms"] = ListUserRoomsResponse(rooms=rooms)
    found = (await client.get("/api/v1/conversations.list?limit=10")).json
    assert [call.method for call in backend.calls] == ["ListUserRooms", "BatchGetAccounts"]
    assert backend.calls[0].request.user_id == "anna"
    assert backend.calls[0].request.with_last_messages
    assert list(backend.calls[1].request.user_ids) == ["anna", "ben", "carl"]
    assert [one["id"][-2:] for one in found] == ["03", "49", "48", "47", "46", "45", "44", "43", "42", "41"]
    assert (found[0]["last_msg_text"], found[0]["last_msg_uid"]) == ("test", CARL)


async def test_opening_translates_the_users(client: Client, backend: Backend) -> None:
    backend.answers["OpenRoom"] = OpenRoomResponse(room=user_room())
    reply = await client.post("/api/v1/conversations.open", {"users": [BEN, BEN.upper()]})
    assert reply.json["conversation"]["created_by"] == ANNA
    (opened,) = calls(backend, "OpenRoom")
    assert list(opened.request.user_ids) == ["ben"]
    assert opened.request.request_id
    assert len(calls(backend, "BatchGetAccounts")) == 1


async def test_a_match_that_cannot_be_costs_no_call(client: Client, backend: Backend) -> None:
    assert (await client.post("/api/v1/conversations.match", {"users": [BEN]})).status == 403
    reply = await client.post("/api/v1/conversations.match", {"users": [ANNA, MID]})
    assert reply.json == {"ok": True, "cid": None}
    assert calls(backend, "MatchRoom") == []
    backend.answers["MatchRoom"] = MatchRoomResponse()
    reply = await client.post("/api/v1/conversations.match", {"users": [ANNA, BEN]})
    assert reply.json == {"ok": True, "cid": None}
    assert list(backend.last.request.user_ids) == ["anna", "ben"]


async def test_only_absence_is_null(client: Client, backend: Backend) -> None:
    for name in ("ROOM_NOT_FOUND", "NOT_A_MEMBER"):
        backend.answers["GetUserRoom"] = RoomlineError(ErrorReason.Value(f"ERROR_REASON_{name}"))
        reply = await client.get(f"/api/v1/conversations.info?cid={CID}")
        assert (reply.status, reply.json) == (200, {"ok": True, "conversation": None})
    backend.answers["GetUserRoom"] = RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
    assert (await client.get(f"/api/v1/conversations.info?cid={CID}")).status == 503


async def test_members_are_cut_before_they_are_looked_up(client: Client, backend: Backend) -> None:
    backend.answers["ListMembers"] = ListMembersResponse(user_ids=["ben", "gone", "anna"])
    found = (await client.get(f"/api/v1/conversations.members?cid={CID}&limit=2")).json
    assert [one["id"] for one in found] == [BEN]
    (asked,) = calls(backend, "ListMembers")
    assert (asked.request.room_uid, asked.request.members_only) == (CID, True)
    assert list(backend.last.request.user_ids) == ["ben", "gone"]


async def test_a_history_goes_on_until_it_has_enough(client: Client, backend: Backend) -> None:
    def page(request: ListMessagesRequest) -> ListMessagesResponse:
        first = int(request.page_token or 100)
        token = str(first - 2) if first > 96 else ""
        return ListMessagesResponse(messages=[message(first), message(first - 1)], next_page_token=token)

    backend.answers["ListMessages"] = page
    reply = await client.get(f"/api/v1/conversations.replies?cid={CID}&ts_from=1500&ts_to=2500&limit=5")
    sizes = [call.request.page_size for call in calls(backend, "ListMessages")]
    assert sizes == [5, 3, 1]
    request = calls(backend, "ListMessages")[0].request
    assert (request.room_uid, request.with_unsent, request.members_only) == (CID, True, True)
    assert request.order == MESSAGE_ORDER_NEWEST_FIRST
    assert request.created_from == Timestamp(seconds=1, nanos=500_000_000)
    assert request.created_before == Timestamp(seconds=2, nanos=500_000_000)
    before = reply.headers["x-cursor-before"]
    await client.get(f"/api/v1/conversations.replies?cid={CID}&before={before}")
    assert calls(backend, "ListMessages")[3].request.before_id == 95


async def test_a_post_with_files_and_a_key(client: Client, backend: Backend) -> None:
    stored = Attachment(id=FILE, detected_type="image/png", uploaded_at=NOW, user_id="anna")
    backend.answers["GetAttachment"] = GetAttachmentResponse(attachment=stored)
    backend.answers["SendMessage"] = SendMessageResponse(message=message())
    body = {"conversation_id": CID, "content": {"text": "test"}, "attachments": [FILE], "reply_to": MID}
    sent: list[SendMessageRequest] = []
    for key in ({"client_message_id": MID}, {"client_message_id": MID.upper()}, {"client_message_id": FILE}, {}):
        reply = await client.post("/api/v1/chat.postMessage", {**body, **key})
        assert reply.json["created_at"] == 1_697_985_209_235
        sent.append(calls(backend, "SendMessage")[-1].request)
    expected = [Part(type="text/plain", content="test"), Part(type="image/png", attachment=Attachment(id=FILE))]
    assert list(sent[0].parts) == expected
    assert (sent[0].room_uid, sent[0].reply_to, sent[0].room_id) == (CID, MID, "")
    assert sent[0].request_id == sent[1].request_id
    assert len({request.request_id for request in sent}) == 3
    headers = {"Idempotency-Key": f'"{MID}"'}
    await client.request("POST", "/api/v1/chat.postMessage", body, headers)
    assert calls(backend, "SendMessage")[-1].request.request_id == sent[0].request_id
    other = {**body, "conversation_id": FILE, "client_message_id": MID}
    await client.post("/api/v1/chat.postMessage", other)
    assert calls(backend, "SendMessage")[-1].request.request_id != sent[0].request_id


async def test_a_time_to_live_is_the_same_however_often_it_is_posted(client: Client, backend: Backend) -> None:
    backend.answers["SendMessage"] = SendMessageResponse(message=message())
    body = {"conversation_id": CID, "content": {"text": "test"}, "client_message_id": MID, "expires_in": 60}
    for _ in range(2):
        assert (await client.post("/api/v1/chat.postMessage", body)).status == 200
    first, second = (call.request for call in calls(backend, "SendMessage"))
    assert first == second
    assert first.expires_in.seconds == 60


async def test_nothing_is_posted_that_could_not_be_answered(client: Client, backend: Backend) -> None:
    body = {"conversation_id": CID, "content": {"text": "test"}, "attachments": [FILE]}
    backend.answers["GetAttachment"] = GetAttachmentResponse(attachment=Attachment(id=FILE))
    reply = await client.post("/api/v1/chat.postMessage", body)
    assert (reply.status, reply.json["error"]) == (403, "operation_not_allowed")
    backend.answers["GetAttachment"] = RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
    reply = await client.post("/api/v1/chat.postMessage", body)
    assert (reply.status, reply.json["error"]) == (403, "operation_not_allowed")
    backend.answers["BatchGetAccounts"] = RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
    reply = await client.post("/api/v1/chat.postMessage", {"conversation_id": CID, "content": {"text": "test"}})
    assert reply.status == 503
    assert calls(backend, "SendMessage") == []


async def test_an_edit_keeps_the_files(client: Client, backend: Backend) -> None:
    old = message(text="old")
    old.reply_to = FILE
    old.parts.append(Part(type="image/png", attachment=Attachment(id=FILE, name="n")))
    backend.answers["GetMessage"] = GetMessageResponse(message=old)
    backend.answers["EditMessage"] = EditMessageResponse(message=message(text="new"))
    reply = await client.post(f"/api/v1/chat.update?mid={MID}", {"content": {"text": "new"}})
    assert reply.json["reply_to"] == FILE
    (edited,) = calls(backend, "EditMessage")
    assert edited.request.uid == MID
    assert [part.content or part.attachment.id for part in edited.request.parts] == ["new", FILE]


async def test_typing_names_the_conversation(client: Client, backend: Backend) -> None:
    reply = await client.post(f"/api/v1/conversations.typing?cid={CID.upper()}")
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert [(call.method, call.request.room_uid) for call in backend.calls] == [("ReportTyping", CID)]
    assert (await client.post("/api/v1/conversations.typing")).status == 400
    for name in ("NOT_A_MEMBER", "ROOM_NOT_FOUND", "PERMISSION_MISSING"):
        details = {"permission": "room:typing_indicator:create"} if name == "PERMISSION_MISSING" else {}
        backend.answers["ReportTyping"] = RoomlineError(ErrorReason.Value(f"ERROR_REASON_{name}"), **details)
        reply = await client.post(f"/api/v1/conversations.typing?cid={CID}")
        assert (reply.status, reply.json["error"]) == (403, "operation_not_allowed")


async def test_joining_leaving_and_marking_name_the_caller(client: Client, backend: Backend) -> None:
    backend.answers["GetUserRoom"] = GetUserRoomResponse(room=user_room())
    for verb, method in (("join", "JoinRoom"), ("leave", "LeaveRoom")):
        reply = await client.post(f"/api/v1/conversations.{verb}?cid={CID}")
        assert reply.status == 200
        (call,) = calls(backend, method)
        assert (call.request.user_id, call.request.room_uid) == ("anna", CID)
    await client.post(f"/api/v1/conversations.mark?cid={CID}&mid={MID}")
    (call,) = calls(backend, "SetCursor")
    assert (call.request.user_id, call.request.room_uid, call.request.message_uid) == ("anna", CID, MID)


async def test_a_stranger_reaches_no_further_than_the_door(client: Client, backend: Backend) -> None:
    backend.answers["GetUserRoom"] = RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
    body = {"conversation_id": CID, "users": [BEN]}
    assert (await client.post("/api/v1/conversations.invite", body)).status == 403
    assert (await client.post(f"/api/v1/conversations.leave?cid={CID}")).status == 403
    assert (await client.post(f"/api/v1/conversations.mark?cid={CID}&mid={MID}")).status == 403
    assert (await client.get(f"/api/v1/media.list?cid={CID}")).status == 403
    reached = {call.method for call in backend.calls}
    assert reached == {"GetUserRoom", "BatchGetAccounts"}


async def test_a_short_list_of_files_takes_few_calls(client: Client, backend: Backend) -> None:
    """Reservations without a file are left out; there may be many before the first file."""

    def page(request: ListAttachmentsRequest) -> ListAttachmentsResponse:
        start = int(request.page_token or 0)
        some = range(start, min(start + request.page_size, 1000))
        uploaded = Timestamp(seconds=1)
        found = [Attachment(id=str(number), uploaded_at=uploaded if number >= 998 else None) for number in some]
        return ListAttachmentsResponse(attachments=found, next_page_token=str(some.stop) if some.stop < 1000 else "")

    backend.answers["ListAttachments"] = page
    reply = await client.get("/api/v1/media.list?limit=1")
    assert [block["id"] for block in reply.json] == ["998"]
    assert len(calls(backend, "ListAttachments")) <= 10


async def test_the_files_of_a_form_are_all_or_none(client: Client, backend: Backend) -> None:
    ids = iter(["one", "two"])
    backend.answers["ReserveAttachment"] = lambda _: ReserveAttachmentResponse(attachment=Attachment(id=next(ids)))
    answers = iter([UploadAttachmentResponse()])

    def upload(_: object) -> UploadAttachmentResponse:
        answer = next(answers, None)
        if answer is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_FILE_TOO_LARGE, limit=5)
        return answer

    backend.answers["UploadAttachment"] = upload
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ndata\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = await client.request("POST", "/api/v1/media/content", part * 2 + b"--b--\r\n", headers)
    assert (reply.status, reply.json["error"]) == (413, "payload_too_large")
    assert [call.request.id for call in calls(backend, "DeleteAttachment")] == ["one", "two"]
