"""Attachments and files of the Chatkit dialect, as far as the gateway decides (spec §5.6, §6.1, §6.4, §6.6)."""

import asyncio
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.media_service_pb2 import (
    DeleteAttachmentRequest,
    RefreshAttachmentRequest,
    RefreshAttachmentResponse,
    ReserveAttachmentRequest,
    ReserveAttachmentResponse,
)
from roomline.v1.message_pb2 import Part

from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, PREFIX, TEXT_PREFIX, Client, Connection
from tests.gateway.media import DATA, ID, Endless, refusal

FILES = f"/services/chatkit_files/v1/{INSTANCE}/rooms/r/users/u/files"
VALIDATION = "unprocessable_entity/validation_failed"
RESERVED = ReserveAttachmentResponse(
    attachment=Attachment(id=ID),
    upload_url=f"/attachments/{ID}?signature=up",
    permanent_url=f"/attachments/{ID}?signature=p",
)
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"media_max_bytes": 1024 * 1024, "idle_timeout_seconds": 0.5})


@pytest.fixture(autouse=True)
def reserved(backend: Backend) -> None:
    backend.answers["ReserveAttachment"] = RESERVED


def form(data: bytes = DATA, content_type: str = "image/gif", field: str = "file") -> bytes:
    type_line = f"Content-Type: {content_type}\r\n" if content_type else ""
    disposition = f'Content-Disposition: form-data; name="{field}"; filename="other.png"\r\n'
    return f"--b\r\n{disposition}{type_line}\r\n".encode() + data + b"\r\n--b--\r\n"


async def test_a_reservation(client: Client, backend: Backend) -> None:
    body = {
        "content_type": "a/b",
        "content_length": 5,
        "name": "x/y ?&:.gif",
        "custom_data": {"a": [1, None]},
        "origin": "o",
    }
    reply = await client.post("/rooms/r/attachments", body)
    assert reply.status == 201
    assert reply.json == {"attachment_id": ID, "upload_url": f"http://localhost/attachments/{ID}?signature=up"}
    request = backend.last.request
    assert len(request.request_id) == 36
    request.ClearField("request_id")
    custom_data = Struct()
    custom_data.update({"a": [1, None]})
    assert request == ReserveAttachmentRequest(
        room_id="r",
        content_type="a/b",
        content_length=5,
        name="x/y ?&:.gif",
        custom_data=Value(struct_value=custom_data),
    )


@pytest.mark.parametrize("content_type", [None, "", 5, []], ids=repr)
async def test_a_reservation_without_a_type(client: Client, backend: Backend, content_type: object) -> None:
    reply = await client.post("/rooms/r/attachments", {"content_type": content_type, "content_length": 5})
    assert reply.error == (422, f"services/chatkit/{VALIDATION}")
    assert reply.description == "Field `content_type` is invalid"
    assert backend.calls == []


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_text_versions_have_no_attachments(client: Client, version: str) -> None:
    path = f"/services/chatkit/{version}/{INSTANCE}/rooms/r/attachments"
    assert (await client.post(path, {})).error == (404, "not_found/route")


async def test_a_refresh(client: Client, backend: Backend) -> None:
    attachment = Attachment(id=ID, download_url="/d", expiration=Timestamp(seconds=1556712000), name="n", size=7)
    backend.answers["RefreshAttachment"] = RefreshAttachmentResponse(attachment=attachment)
    reply = await client.get(f"/rooms/a%2Fb/attachments/{ID}")
    assert reply.status == 200
    assert reply.json == {
        "id": ID,
        "download_url": "http://localhost/d",
        "refresh_url": f"http://localhost{PREFIX}/rooms/a%2Fb/attachments/{ID}",
        "expiration": "2019-05-01T12:00:00Z",
        "name": "n",
        "size": 7,
    }
    assert backend.last.request == RefreshAttachmentRequest(room_id="a/b", id=ID)


async def test_a_file_is_reserved_and_passed_on(client: Client, backend: Backend) -> None:
    reply = await client.request("POST", f"{FILES}/my%20file%2F%3F.gif", form(), FORM)
    assert reply.status == 201
    assert reply.json == {"resource_link": f"http://localhost/attachments/{ID}?signature=p", "type": "image"}
    reserve, upload = backend.calls
    reserve.request.ClearField("request_id")
    assert reserve.request == ReserveAttachmentRequest(
        room_id="r", user_id="u", content_type="image/gif", name="my file/?.gif"
    )
    first, *rest = upload.request
    assert first.id == ID
    assert b"".join(step.chunk for step in rest) == DATA
    for call in backend.calls:
        assert call.metadata["authorization"] == "Bearer the-token"
        assert call.metadata["roomline-instance"] == INSTANCE


@pytest.mark.parametrize(
    ("given", "name", "content_type", "kind"),
    [
        ("image/gif", "x.mp4", "image/gif", "image"),
        ("image/jif", "x", "image/jif", "image"),
        ("VIDEO/mp4; codecs=x", "x", "VIDEO/mp4; codecs=x", "video"),
        ("audio/ogg", "x", "audio/ogg", "audio"),
        ("application/json", "x.gif", "application/json", "file"),
        ("", "x.gif", "image/gif", "image"),
        ("", "x.webp", "image/webp", "image"),
        ("", "x.mp4", "video/mp4", "video"),
        ("", "x.mp3", "audio/mpeg", "audio"),
        ("", "x.json", "application/json", "file"),
        ("", "x", "application/octet-stream", "file"),
        ("", "gif", "application/octet-stream", "file"),
        ("", "data:image%2Fpng,x", "application/octet-stream", "file"),
        ("", "http:%2F%2Fa.gif%2Fx", "application/octet-stream", "file"),
        ("nonsense", "x.gif", "image/gif", "image"),
    ],
)
async def test_the_type_of_a_file(
    client: Client, backend: Backend, given: str, name: str, content_type: str, kind: str
) -> None:
    reply = await client.request("POST", f"{FILES}/{name}", form(content_type=given), FORM)
    assert reply.json["type"] == kind
    assert backend.calls[0].request.content_type == content_type


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", FORM, 400, "services/chatkit_files/bad_request/malformed_form"),
        (b"{}", {"Content-Type": "application/json"}, 400, "services/chatkit_files/bad_request/malformed_form"),
        (form(b"x", field="files"), FORM, 422, f"services/chatkit_files/{VALIDATION}"),
        (b"--b\r\n\r\n\r\n" * 1000, FORM, 413, "request_too_large"),
        (b"", {**FORM, "Content-Length": "2000000"}, 413, "services/chatkit_files/file_too_large"),
    ],
    ids=["empty", "json", "no file", "parts", "announced"],
)
async def test_a_form_that_is_refused(
    client: Client, backend: Backend, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    assert (await client.request("POST", f"{FILES}/x", body, headers)).error == (status, code)
    assert backend.calls == []


@pytest.mark.parametrize(
    "body", [form()[:-4], form()[:-6], form()[:-4] + b"X" * 100_000], ids=["end", "dashes", "more"]
)
async def test_a_form_that_breaks_off_leaves_nothing(client: Client, backend: Backend, body: bytes) -> None:
    reply = await client.request("POST", f"{FILES}/x", body, FORM)
    assert reply.status in {400, 413}
    assert [call.method for call in backend.calls] == ["ReserveAttachment", "UploadAttachment", "DeleteAttachment"]
    backend.last.request.ClearField("request_id")
    assert backend.last.request == DeleteAttachmentRequest(id=ID)


async def test_a_client_that_leaves_inside_its_form(gateway: Gateway, backend: Backend) -> None:
    endless = Endless()
    backend.answers["UploadAttachment"] = endless.upload
    connection = await Connection.open(gateway.port)
    lines = "Host: x\r\nAuthorization: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 900000"
    connection.write(f"POST {FILES}/x HTTP/1.1\r\n{lines}\r\n\r\n".encode() + form()[:-100])
    await endless.began.wait()
    await connection.close()
    await endless.ended()
    while backend.last.method != "DeleteAttachment":  # noqa: ASYNC110 - the backend has no event for it
        await asyncio.sleep(0.01)


async def test_a_file_that_is_not_wanted(client: Client, backend: Backend) -> None:
    backend.answers["ReserveAttachment"] = refusal("SUBJECT_MISMATCH")
    reply = await client.request("POST", f"{FILES}/x", form(), FORM)
    assert reply.error == (401, "services/chatkit_authorizer/authorization/invalid_token_subject")
    assert len(backend.calls) == 1


async def test_a_file_needs_a_token(client: Client, backend: Backend) -> None:
    client.authorization = None
    reply = await client.request("POST", f"{FILES}/x", form(), FORM)
    assert reply.error == (401, "authentication/missing_token")
    assert backend.calls == []


async def test_a_second_look_at_the_path_has_the_whole_file(client: Client, backend: Backend) -> None:
    """Android writes spaces as plus signs."""

    def reserve(request: Any) -> Any:
        if "+" in request.room_id:
            raise refusal("ROOM_NOT_FOUND")
        return RESERVED

    backend.answers["ReserveAttachment"] = reserve
    path = FILES.replace("/r/", "/a+room/").replace("/u/", "/a+user/")
    assert (await client.request("POST", f"{path}/x", form(), FORM)).status == 201
    _, reserved, upload = backend.calls
    assert (reserved.request.room_id, reserved.request.user_id) == ("a room", "a user")
    assert b"".join(step.chunk for step in upload.request[1:]) == DATA


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PUT", "/5")])
@pytest.mark.parametrize("base", ["http://localhost", "https://localhost:8443"])
async def test_a_link_to_a_file_of_ours_is_an_attachment(
    client: Client, backend: Backend, method: str, path: str, base: str
) -> None:
    attachment = {"resource_link": f"{base}/attachments/{ID}?signature=p", "type": "image"}
    path = f"{TEXT_PREFIX}/rooms/r/messages{path}"
    await client.request(method, path, {"text": "hi", "attachment": attachment})
    assert list(backend.last.request.parts) == [
        Part(type="text/plain", content="hi"),
        Part(type="image/x-pusher-img", attachment=Attachment(id=ID)),
    ]


async def test_a_link_to_somebody_elses_file_is_a_link(client: Client, backend: Backend) -> None:
    url = f"http://elsewhere.example/attachments/{ID}?signature=p"
    body = {"text": "hi", "attachment": {"resource_link": url, "type": "image"}}
    await client.post(f"{TEXT_PREFIX}/rooms/r/messages", body)
    assert backend.last.request.parts[1] == Part(type="image/x-pusher-img", url=url)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (TEXT_PREFIX, {"text": "hi"}, "attachment.resource_link"),
        (PREFIX, {"parts": [{"type": "a/b", "attachment": {"id": "x"}}]}, "attachment.id"),
    ],
)
async def test_an_attachment_that_cannot_be_used(
    client: Client, backend: Backend, path: str, body: dict[str, Any], field: str
) -> None:
    backend.answers["SendMessage"] = refusal("ATTACHMENT_UNUSABLE")
    reply = await client.post(f"{path}/rooms/r/messages", body)
    assert reply.error == (422, f"services/chatkit/{VALIDATION}")
    assert reply.description == f"Field `{field}` is invalid"
