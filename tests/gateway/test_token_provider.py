"""The test token provider (spec §2.3, §2.4)."""

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import IssueTestTokenRequest, IssueTestTokenResponse

from gateway.chatkit.token_provider import token_fields
from gateway.server import Gateway
from services.common.errors import RoomlineError
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, PROVIDER_PREFIX, Client

TOKEN = f"{PROVIDER_PREFIX}/token"
NOT_FOUND = "services/chatkit_token_provider/not_found/token_provider_not_found"


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(gateway.port, authorization=None)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?user_id=a%20b", b"grant_type=client_credentials"),
        ("?user_id=a+b&instance_locator=x", b""),
        ("", b"user_id=a+b&grant_type=client_credentials"),
        ("", b'{"user_id": "a b"}'),
        ("?user_id=a+b&grant_type=client_credentials", b""),
    ],
)
async def test_a_token_for_anybody(client: Client, backend: Backend, query: str, body: bytes) -> None:
    backend.answers["IssueTestToken"] = IssueTestTokenResponse(
        access_token="x.y.z", expires_in=86400, refresh_token="r"
    )
    reply = await client.post(TOKEN + query, body)
    assert reply.status == 200
    assert reply.json == {
        "access_token": "x.y.z",
        "token_type": "bearer",
        "expires_in": 86400,
        "user_id": "a b",
        "refresh_token": "r",
    }
    assert backend.last.request == IssueTestTokenRequest(instance_id=INSTANCE, user_id="a b")
    assert "authorization" not in backend.last.metadata


@pytest.mark.parametrize(
    ("query", "body", "status", "code"),
    [
        ("", b"", 400, "services/chatkit_token_provider/bad_request/validation_failed"),
        ("?user_id=", b'{"user_id": 5}', 400, "services/chatkit_token_provider/bad_request/validation_failed"),
        ("?user_id=a", b"grant_type=password", 422, "token_provider/invalid_grant_type"),
        ("?user_id=a", b"{", 400, "services/chatkit_token_provider/bad_request/malformed_json"),
        ("?user_id=a%00", b"", 422, "services/chatkit_token_provider/unprocessable_entity/validation_failed"),
        ("", b'{"user_id": "\\u0000"}', 422, "services/chatkit_token_provider/unprocessable_entity/validation_failed"),
    ],
)
async def test_refusals(client: Client, backend: Backend, query: str, body: bytes, status: int, code: str) -> None:
    assert (await client.post(TOKEN + query, body)).error == (status, code)
    assert backend.calls == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"grant_type=client_credentials&user_id=a%20b+c", {"grant_type": "client_credentials", "user_id": "a b c"}),
        (b' {"user_id": "a", "other": 5}', {"user_id": "a"}),
        (b"\xff\xfe", {}),
    ],
)
def test_a_token_request_is_a_form_or_json(body: bytes, fields: dict[str, str]) -> None:
    assert token_fields(body) == fields


def test_a_long_token_request_is_not_even_parsed() -> None:
    with pytest.raises(RoomlineError) as refused:
        token_fields(b"a=b&" * 5000)
    assert refused.value.reason == ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE


@pytest.mark.parametrize("form", [b"grant_type=refresh_token&refresh_token=x", b"grant_type=refresh_token"])
async def test_a_refresh_token_is_the_user_services_to_judge(client: Client, backend: Backend, form: bytes) -> None:
    backend.answers["IssueTestToken"] = RoomlineError(ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID)
    reply = await client.post(f"{TOKEN}?user_id=a", form)
    assert reply.error == (401, "token_provider/invalid_refresh_token")
    assert backend.last.request.refresh_token


@pytest.mark.parametrize(
    "reason", [ErrorReason.ERROR_REASON_TEST_TOKENS_DISABLED, ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND]
)
async def test_no_provider_and_no_instance_look_alike(
    client: Client, backend: Backend, reason: ErrorReason.ValueType
) -> None:
    backend.answers["IssueTestToken"] = RoomlineError(reason)
    reply = await client.post(f"{TOKEN}?user_id=a")
    assert reply.error == (404, NOT_FOUND)
    assert reply.description == "This instance has no test token provider"


async def test_a_page_may_send_its_cookies(client: Client) -> None:
    reply = await client.request("POST", f"{TOKEN}?user_id=a", headers={"Origin": "https://app.example"})
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["vary"] == "Origin"
