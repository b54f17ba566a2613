"""The chat API's table of errors is complete and gives nothing away (spec §1)."""

import re
from typing import Any

import orjson
import pytest
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chat_api import credentials
from gateway.chat_api.errors import ANSWERS, InputError, MediaTypeError, refusal
from gateway.edge import EdgeError, EdgeReason
from gateway.problem import Reason
from gateway.server import Gateway
from services.common.errors import RoomlineError, reason_name
from services.common.rules import invalid, required
from services.common.settings import Settings
from services.common.tokens import SERVICE_ISSUER
from tests.gateway.backend import Backend
from tests.gateway.chat_api.conftest import token
from tests.gateway.client import Client, Reply
from tests.gateway.conftest import running_gateway
from tests.gateway.test_errors import EDGE_METADATA, REASONS, rule_of

SPEC = {
    "Unauthorized": 401,
    "operation_not_allowed": 403,
    "Not found": 404,
    "Invalid email or password": 401,
    "User with that email already exists": 409,
    "registration_closed": 403,
    "idempotency_conflict": 409,
    "payload_too_large": 413,
    "rate_limited": 429,
    "internal_error": 500,
    "unavailable": 503,
    "timeout": 504,
    "not_found": 404,
    "method_not_allowed": 405,
}
"""The strings of the spec, with their statuses."""


def refused(error: BaseException, method: str = "POST", *, always_200: bool = False) -> tuple[int, str, dict[str, str]]:
    response = refusal(error, method, "an id", always_200=always_200)
    body = orjson.loads(response.body)
    assert set(body) == {"ok", "error"}
    assert body["ok"] is False
    return response.status, body["error"], {name.decode(): value.decode() for name, value in response.headers}


@pytest.mark.parametrize("reason", [*REASONS, *EdgeReason])
def test_every_reason_has_an_answer(reason: Reason) -> None:
    answer = ANSWERS[reason]
    assert 400 <= answer.status < 600
    known = EDGE_METADATA.get(reason, set()) if isinstance(reason, EdgeReason) else {*rule_of(reason).metadata}
    assert set(re.findall(r"\{(\w+)\}", answer.error + answer.retry_after)) <= {"prefix", *known}
    if answer.status >= 500:
        assert "{" not in answer.error


def test_the_strings_are_those_of_the_spec() -> None:
    found = {answer.error: answer.status for answer in ANSWERS.values()}
    assert {text: found.get(text) for text in SPEC} == SPEC


@pytest.mark.parametrize("name", ["ROOM_NOT_FOUND", "NOT_A_MEMBER", "ROOM_PRIVATE", "MESSAGE_NOT_FOUND"])
def test_absent_and_foreign_are_the_same(name: str) -> None:
    error = RoomlineError(ErrorReason.Value(f"ERROR_REASON_{name}"))
    assert refused(error)[:2] == (403, "operation_not_allowed")


@pytest.mark.parametrize(
    ("error", "method", "status", "text"),
    [
        (required("email"), "POST", 400, "Json deserialize error: missing field `email`"),
        (invalid("user_ids[3]", "no"), "POST", 400, "Json deserialize error: users[3]: no"),
        (invalid("page_size", "no"), "GET", 400, "Query deserialize error: limit: no"),
        (InputError("A: ", "b"), "POST", 400, "A: b"),
        (MediaTypeError(), "POST", 415, "unsupported_media_type"),
        (ZeroDivisionError("a secret"), "POST", 500, "internal_error"),
    ],
)
def test_what_the_client_sees(error: Exception, method: str, status: int, text: str) -> None:
    assert refused(error, method)[:2] == (status, text)


def test_headers_that_tell_what_to_do() -> None:
    error = RoomlineError(ErrorReason.ERROR_REASON_RATE_LIMITED, retry_after=17)
    assert refused(error)[2]["retry-after"] == "17"
    assert refused(EdgeError(EdgeReason.METHOD_NOT_ALLOWED, allow="GET"))[2]["allow"] == "GET"


@pytest.mark.parametrize("reason", [*REASONS], ids=reason_name)
def test_a_status_of_200_for_clients_that_only_read_ok(reason: ErrorReason.ValueType) -> None:
    error = RoomlineError(reason, **dict.fromkeys(rule_of(reason).metadata, "1"))
    status, text, headers = refused(error, always_200=True)
    assert status == 200
    assert (text, headers) == refused(error)[1:]


def error_of(reply: Reply) -> tuple[int, Any]:
    assert set(reply.json) == {"ok", "error"}
    assert "no-store" in reply.headers["cache-control"]
    assert "access-control-allow-origin" in reply.headers
    return reply.status, reply.json["error"]


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/nothing", "//api/v1/a/b/c", "/api/v1/media.avatars"])
async def test_an_unknown_path_is_refused_in_the_dialects_form(client: Client, backend: Backend, path: str) -> None:
    assert error_of(await client.get(path)) == (404, "not_found")
    assert backend.calls == []


@pytest.mark.parametrize("path", ["/api", "/api/v2/users.list", "/services/x", "/nowhere"])
async def test_other_paths_are_refused_as_before(client: Client, path: str) -> None:
    assert (await client.get(path)).error == (404, "not_found/route")


async def test_a_method_that_a_path_does_not_take(client: Client) -> None:
    reply = await client.post("/api/v1/users.list")
    assert error_of(reply) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS"
    assert error_of(await client.get("/api/v1/chat.unsend"))[0] == 405


@pytest.mark.parametrize(
    ("reason", "status", "text"),
    [
        ("SHUTTING_DOWN", 503, "unavailable"),
        ("CONNECTION_LOST", 503, "unavailable"),
        ("OVERLOADED", 503, "unavailable"),
        ("DEADLINE_EXCEEDED", 504, "timeout"),
        ("INTERNAL", 500, "internal_error"),
        ("STORAGE_FULL", 507, "insufficient_storage"),
        ("REQUEST_ID_REUSED", 409, "idempotency_conflict"),
        ("SESSION_ENDED", 401, "Unauthorized"),
    ],
)
async def test_failures_of_a_service(client: Client, backend: Backend, reason: str, status: int, text: str) -> None:
    backend.answers["ListAccounts"] = RoomlineError(ErrorReason.Value(f"ERROR_REASON_{reason}"))
    assert error_of(await client.get("/api/v1/users.list")) == (status, text)


async def test_what_is_wrong_with_the_token_comes_first(client: Client, backend: Backend) -> None:
    backend.answers["BatchGetUsers"] = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
    for method, path, body in (
        ("POST", "/api/v1/chat.postMessage", b"{"),
        ("POST", "/api/v1/chat.postMessage", {"conversation_id": "x" * 3000}),
        ("GET", "/api/v1/conversations.info", None),
        ("GET", "/api/v1/users.list?limit=0", None),
    ):
        assert error_of(await client.request(method, path, body)) == (401, "Unauthorized")
    assert backend.calls == []


async def test_a_large_body_waits_for_the_token(backend: Backend, settings: Settings) -> None:
    async with running_gateway(settings.model_copy(update={"max_request_bytes": 100_000}), backend) as gateway:
        client = Client(gateway.port, authorization=f"Bearer {token()}")
        backend.answers["BatchGetUsers"] = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        reply = await client.post("/api/v1/chat.postMessage", b"{" + b" " * 50_000)
        assert error_of(reply) == (401, "Unauthorized")
        assert error_of(await client.post("/api/v1/chat.unsend?mid=x", b"x" * 200_000)) == (401, "Unauthorized")
        backend.answers.clear()
        assert error_of(await client.post("/api/v1/chat.unsend?mid=x", b"x" * 200_000)) == (413, "payload_too_large")


async def test_the_setting_holds_for_json_and_not_for_files(settings: Settings, backend: Backend) -> None:
    backend.answers["DownloadAttachment"] = RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
    async with running_gateway(settings.model_copy(update={"chat_api_always_200": True}), backend) as gateway:
        client = Client(gateway.port, authorization=f"Bearer {token()}")
        assert error_of(await client.get("/api/v1/nothing")) == (200, "not_found")
        assert error_of(await client.get("/api/v1/conversations.info"))[0] == 200
        path = "/api/v1/media/content/0190a5b0-7c00-7000-8000-000000000001"
        assert error_of(await client.get(path)) == (404, "not_found")
        assert (await client.get("/services/x")).status == 404


async def test_without_an_instance_nothing_is_served(settings: Settings, backend: Backend) -> None:
    async with running_gateway(settings.model_copy(update={"chat_api_instance": ""}), backend) as gateway:
        client = Client(gateway.port)
        assert error_of(await client.get("/api/v1/users.list")) == (404, "not_found")
        assert error_of(await client.get("/.well-known/jwks.json")) == (404, "not_found")


async def test_metadata_of_calls(gateway: Gateway, client: Client, backend: Backend) -> None:
    await client.request("GET", "/api/v1/users.list", headers={"X-Request-Id": "mine"})
    assert backend.last.metadata["authorization"] == client.authorization
    assert backend.last.metadata["roomline-instance"] == "the-instance"
    assert backend.last.metadata["x-request-id"] == "mine"


async def test_a_client_without_a_session_is_spoken_for_by_the_gateway(client: Client, backend: Backend) -> None:
    account = {"first_name": "A", "last_name": "B", "email": "a@example.org", "password": "x" * 8}
    calls = {
        "register": ("Register", account),
        "login": ("Login", account),
        "refresh": ("Refresh", {"refresh_token": "x"}),
    }
    for path, (method, body) in calls.items():
        await client.post(f"/api/v1/auth/{path}", body)
        assert backend.last.method == method
        assert credentials.claims(str(backend.last.metadata["authorization"]))["iss"] == SERVICE_ISSUER
        assert "roomline-instance" not in backend.last.metadata
        if method != "Refresh":
            assert backend.last.request.remote_address == "127.0.0.1"


@pytest.mark.parametrize(("su", "passes"), [(True, True), (False, False), ("true", False)])
async def test_only_a_servers_token_goes_along_with_a_registration(
    gateway: Gateway, backend: Backend, su: object, passes: bool
) -> None:
    client = Client(gateway.port, authorization=f"Bearer {token(su=su)}")
    body = {"first_name": "A", "last_name": "B", "email": "a@example.org", "password": "x" * 8}
    await client.post("/api/v1/auth/register", body)
    assert (backend.last.metadata["authorization"] == client.authorization) is passes


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer a.b.c", "Bearer a.W10.c", "Bearer ä", "Bearer a.e30"])
async def test_a_token_without_a_subject(gateway: Gateway, backend: Backend, authorization: str) -> None:
    reply = await Client(gateway.port, authorization=authorization).get("/api/v1/conversations.list")
    assert error_of(reply)[0] in {401, 403}
    assert backend.calls == []
