"""What the chat API asks of the media service for pictures of users, and what a browser gets (spec §6)."""

from __future__ import annotations

import pytest
from roomline.v1.avatar_pb2 import Avatar
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import GetAvatarRequest, GetAvatarResponse, SetAvatarRequest

from services.common.errors import RoomlineError
from tests.gateway.backend import Backend
from tests.gateway.chat_api.conftest import ANNA, BEN
from tests.gateway.chat_api.test_calls import calls
from tests.gateway.client import Client, Reply

MID = "0190a5b0-7c00-7000-8000-0000000000d1"
PATH = "/api/v1/media/avatars"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ndata\r\n'
END = b"--b--\r\n"


async def post(client: Client, body: bytes = PART + END, query: str = "") -> Reply:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return await client.request("POST", PATH + query, body, headers)


async def test_a_picture_is_its_callers(client: Client, backend: Backend) -> None:
    reply = await post(client)
    assert (reply.status, reply.json) == (200, {"ok": True, "id": ANNA, "link": f"{PATH}/{ANNA}"})
    (call,) = calls(backend, "SetAvatar")
    assert call.request == [SetAvatarRequest(user_id="anna"), SetAvatarRequest(chunk=b"data")]
    assert call.metadata["authorization"] == client.authorization


async def test_a_query_names_somebody_else(client: Client, backend: Backend) -> None:
    assert (await post(client, query=f"?uid={BEN}")).json["id"] == BEN
    (call,) = calls(backend, "SetAvatar")
    assert call.request[0] == SetAvatarRequest(user_id="ben")
    assert (await post(client, query=f"?uid={MID}")).status == 403
    assert (await post(client, query="?uid=x")).status == 400
    backend.answers["SetAvatar"] = RoomlineError(ErrorReason.ERROR_REASON_SUBJECT_MISMATCH)
    reply = await post(client, query=f"?uid={BEN}")
    assert (reply.status, reply.json["error"]) == (403, "operation_not_allowed")


@pytest.mark.parametrize("body", [END, PART, PART[:-10], PART + PART + END, b""])
async def test_a_form_has_one_whole_file(client: Client, body: bytes) -> None:
    reply = await post(client, body)
    assert reply.status == 400
    assert reply.json["error"].startswith("Form deserialize error: ")


@pytest.mark.parametrize(
    ("name", "metadata", "refusal"),
    [
        ("PICTURE_UNUSABLE", {}, (415, "unsupported_media_type")),
        ("FILE_TOO_LARGE", {"limit": 5}, (413, "payload_too_large")),
        ("QUOTA_EXCEEDED", {"quota": "media bytes"}, (403, "quota_exceeded")),
        ("USER_NOT_FOUND", {}, (403, "operation_not_allowed")),
    ],
)
async def test_what_a_refusal_looks_like(
    client: Client, backend: Backend, name: str, metadata: dict[str, object], refusal: tuple[int, str]
) -> None:
    backend.answers["SetAvatar"] = RoomlineError(ErrorReason.Value(f"ERROR_REASON_{name}"), **metadata)
    reply = await post(client)
    assert (reply.status, reply.json["error"]) == refusal


async def test_a_browser_asks_for_what_it_does_not_have(client: Client, backend: Backend) -> None:
    avatar = Avatar(user_id="ben", content_type="image/webp", size=4, etag="the-tag")
    backend.answers["GetAvatar"] = GetAvatarResponse(avatar=avatar, data=b"data")
    reply = await client.get(f"{PATH}/{BEN.upper()}")
    assert (reply.status, reply.body) == (200, b"data")
    expected = {
        "content-type": "image/webp",
        "content-length": "4",
        "content-disposition": "inline",
        "etag": '"the-tag"',
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-site",
    }
    assert {name: reply.headers[name] for name in expected} == expected
    assert backend.last.request == GetAvatarRequest(user_id="ben")
    for tags in ('"the-tag"', 'W/"the-tag", "x"', "*"):
        reply = await client.request("GET", f"{PATH}/{BEN}", headers={"If-None-Match": tags})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", '"the-tag"')
    reply = await client.request("GET", f"{PATH}/{BEN}", headers={"If-None-Match": '"a", "b"'})
    assert reply.status == 200
    assert backend.last.request.known_etags == ["a", "b"]
    many = ", ".join([f'"{"x" * 129}"', *(f'"{number}"' for number in range(20))])
    await client.request("GET", f"{PATH}/{BEN}", headers={"If-None-Match": many})
    assert len(backend.last.request.known_etags) == 16
    head = await client.request("HEAD", f"{PATH}/{BEN}")
    assert (head.status, head.headers["content-length"]) == (200, "4")


@pytest.mark.parametrize("uid", [MID, "x", "5", "a%2Fb"])
async def test_nobody_has_no_picture(client: Client, backend: Backend, uid: str) -> None:
    reply = await client.get(f"{PATH}/{uid}")
    assert (reply.status, reply.json) == (404, {"ok": False, "error": "not_found"})
    assert calls(backend, "GetAvatar") == []


async def test_who_has_none(client: Client, backend: Backend) -> None:
    backend.answers["GetAvatar"] = RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
    reply = await client.get(f"{PATH}/{BEN}")
    assert (reply.status, reply.json) == (404, {"ok": False, "error": "not_found"})
