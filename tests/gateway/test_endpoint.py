"""What holds for every Chatkit call: tokens, plus signs, errors, headers (spec §1.3, §2, §11)."""

from typing import Any

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import GetRoomRequest, GetRoomResponse
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import BatchGetUsersResponse

from gateway.server import Gateway
from services.common.errors import RoomlineError
from services.common.rules import invalid, required
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import CURSORS_PREFIX, INSTANCE, PREFIX, TEXT_PREFIX, Client, Connection
from tests.gateway.conftest import running_gateway

NOT_FOUND = RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
VALIDATION = "services/chatkit/unprocessable_entity/validation_failed"


async def test_the_token_goes_along_as_it_is(client: Client, backend: Backend) -> None:
    reply = await client.request("GET", "/users/a", headers={"Authorization": "bearer  x.y.z", "X-Request-Id": "mine"})
    assert backend.last.metadata["authorization"] == "bearer  x.y.z"
    assert backend.last.metadata["roomline-instance"] == INSTANCE
    assert backend.last.metadata["x-request-id"] == "mine"
    assert reply.headers["x-request-id"] == "mine"
    assert 10 < backend.last.seconds < 16


async def test_the_clients_request_id_is_no_key_of_a_change(client: Client, backend: Backend) -> None:
    for _ in range(2):
        await client.request("POST", "/users", {"id": "a", "name": "A"}, headers={"X-Request-Id": "mine"})
    ids = {call.request.request_id for call in backend.calls}
    assert len(ids) == 2
    assert "mine" not in ids


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a\tb"])
async def test_a_request_has_an_id_of_its_own_if_the_clients_is_unusable(client: Client, request_id: str) -> None:
    reply = await client.request("GET", "/users/a", headers={"X-Request-Id": request_id})
    assert len(reply.headers["x-request-id"]) == 36


@pytest.mark.parametrize("authorization", [None, ""])
async def test_without_a_token_nothing_is_called(gateway: Gateway, backend: Backend, authorization: str | None) -> None:
    client = Client(gateway.port, authorization=authorization)
    for path in ("/users/a", "/rooms/r/messages/x"):
        assert (await client.get(path)).error == (401, "authentication/missing_token")
    assert (await client.post("/users", b"{")).error == (401, "authentication/missing_token")
    assert backend.calls == []


@pytest.mark.parametrize(("path", "authorization"), [("/users/a", "Bearer \x80"), ("", "Bearer x")])
async def test_what_grpc_cannot_carry_is_an_invalid_token(
    client: Client, backend: Backend, path: str, authorization: str
) -> None:
    target = PREFIX + path if path else "/services/chatkit/v6/inst%C3%A4nce/users/a"
    lines = b"GET %b HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n\r\n"
    connection = await Connection.open(client.port)
    connection.write(lines % (target.encode(), authorization.encode("latin-1")))
    assert (await connection.reply()).error == (401, "authentication/jwt/invalid")
    await connection.close()
    assert backend.calls == []


@pytest.mark.parametrize("reason", [ErrorReason.ERROR_REASON_TOKEN_INVALID, ErrorReason.ERROR_REASON_TOKEN_EXPIRED])
async def test_a_bad_token_comes_before_bad_input(
    client: Client, backend: Backend, reason: ErrorReason.ValueType
) -> None:
    backend.answers["BatchGetUsers"] = RoomlineError(reason)
    replies = [
        await client.post("/users", b"{"),
        await client.post("/users", {"id": 5}),
        await client.post("/users", b" " * 5000),
        await client.get("/users?limit=x"),
        await client.get("/rooms/r/messages/x"),
        await client.delete("/rooms/r/messages/x"),
    ]
    code = "expired" if reason == ErrorReason.ERROR_REASON_TOKEN_EXPIRED else "jwt/invalid"
    assert {reply.error for reply in replies} == {(401, "authentication/" + code)}
    assert backend.calls == []
    assert {call.metadata["authorization"] for call in backend.inquiries} == {"Bearer the-token"}


@pytest.mark.parametrize(
    "reason", [ErrorReason.ERROR_REASON_SHUTTING_DOWN, ErrorReason.ERROR_REASON_OVERLOADED, "permission"]
)
async def test_bad_input_is_refused_if_nothing_is_known_against_the_token(
    client: Client, backend: Backend, reason: ErrorReason.ValueType | str
) -> None:
    missing = RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission="user:get")
    backend.answers["BatchGetUsers"] = missing if isinstance(reason, str) else RoomlineError(reason)
    assert (await client.post("/users", {"id": 5})).error == (422, VALIDATION)


async def test_nothing_more_is_asked_for_a_request_that_a_service_gets(client: Client, backend: Backend) -> None:
    backend.answers["GetUser"] = RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
    for path in ("/users", "/users/a", "/rooms/r"):
        await client.get(path)
    await client.post("/users", {"id": "a", "name": "x" * 4000})
    assert backend.inquiries == []


async def test_a_large_body_is_not_parsed_for_a_bad_token(settings: Settings, backend: Backend) -> None:
    settings = settings.model_copy(update={"max_request_bytes": 100_000})
    backend.answers["BatchGetUsers"] = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
    async with running_gateway(settings, backend) as gateway:
        client = Client(gateway.port)
        assert (await client.post("/users", b"{" * 9000)).error == (401, "authentication/jwt/invalid")
        assert len(backend.inquiries) == 1  # it was asked first, and its answer was the end
        backend.answers["BatchGetUsers"] = BatchGetUsersResponse()
        assert (await client.post("/users", {"id": "a", "name": "x" * 9000})).status == 201
        assert [len(backend.calls), len(backend.inquiries)] == [1, 2]


@pytest.mark.parametrize(
    ("existing", "meant"), [(["a b"], "a b"), (["a+b"], "a+b"), (["a+b", "a b"], "a+b"), ([], "a+b")]
)
async def test_a_user_in_the_path_is_who_exists(
    client: Client, backend: Backend, existing: list[str], meant: str
) -> None:
    backend.answers["BatchGetUsers"] = BatchGetUsersResponse(users=[User(id=user_id) for user_id in existing])
    cursors = f"{CURSORS_PREFIX}/cursors/0"
    for path in (f"{cursors}/rooms/r/users/a+b", f"{cursors}/users/a+b"):
        await client.get(path)
    await client.post("/users/a+b/rooms/r/leave")
    assert [call.request.user_id for call in backend.calls] == [meant] * 3
    assert [sorted(call.request.ids) for call in backend.inquiries] == [["a b", "a+b"]] * 3


@pytest.mark.parametrize(
    ("raw", "tried"),
    [
        ("a+b", ["a+b", "a b"]),
        ("a+b%2Bc", ["a+b+c", "a b+c"]),
        ("a%2Bb", ["a+b"]),
        ("ab", ["ab"]),
    ],
)
async def test_a_raw_plus_may_be_a_space(client: Client, backend: Backend, raw: str, tried: list[str]) -> None:
    backend.answers["GetRoom"] = NOT_FOUND
    assert (await client.get(f"/rooms/{raw}")).error == (404, "services/chatkit/not_found/room_not_found")
    assert [call.request.room_id for call in backend.calls] == tried


async def test_a_raw_plus_is_literal_if_that_exists(client: Client, backend: Backend) -> None:
    await client.get("/rooms/a+b")
    assert [call.request.room_id for call in backend.calls] == ["a+b"]


async def test_the_second_look_can_succeed_with_a_body(client: Client, backend: Backend) -> None:
    def join(request: Any) -> Any:
        if "+" in request.user_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_SUBJECT_MISMATCH)
        return type(request)()

    backend.answers["SetCursor"] = join
    path = f"{CURSORS_PREFIX}/cursors/0/rooms/r+r/users/a+b"
    assert (await client.put(path, {"position": 5})).status == 201
    assert (backend.last.request.room_id, backend.last.request.user_id) == ("r r", "a b")


async def test_the_second_look_can_fail_in_its_own_way(client: Client, backend: Backend) -> None:
    def get(request: GetRoomRequest) -> GetRoomResponse:
        raise NOT_FOUND if "+" in request.room_id else RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)

    backend.answers["GetRoom"] = get
    assert (await client.get("/rooms/a+b")).error == (403, "services/chatkit/forbidden/not_a_member")


async def test_other_errors_have_no_second_look(client: Client, backend: Backend) -> None:
    backend.answers["GetRoom"] = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
    assert (await client.get("/rooms/a+b")).error == (401, "authentication/expired")
    assert len(backend.calls) == 1


@pytest.mark.parametrize("path", ["/rooms/%FF", "/rooms/a%00b", "/rooms/r/messages/five", "/rooms/r/messages/%20"])
async def test_an_unusable_path(client: Client, backend: Backend, path: str) -> None:
    code = "services/chatkit_authorizer/authorization/url_param_parsing_failed"
    assert (await client.get(path)).error == (422, code)
    assert backend.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/services",
        f"/services/chatkit/v8/{INSTANCE}/users",
        f"/services/chatkit/v6/{INSTANCE}/users/a/joinable_rooms",
        f"/services/chatkit_authorizer/v3/{INSTANCE}/roles",
        f"/services/chatkit_cursors/v2/{INSTANCE}/cursors/1/users/a",
        "/room/r/messages/5",
    ],
)
async def test_an_unknown_path(client: Client, path: str) -> None:
    assert (await client.get(path)).error == (404, "not_found/route")


async def test_a_wrong_method_names_the_right_ones(client: Client) -> None:
    reply = await client.request("PATCH", "/users/a")
    assert reply.error == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD, PUT, DELETE, OPTIONS"


@pytest.mark.parametrize("body", [b"{", b"\xff", b'"\\ud800"', b'{"id": "\\udfff"}', b"[" * 5000 + b"]" * 5000, b"NaN"])
async def test_broken_json(client: Client, backend: Backend, body: bytes) -> None:
    body = body[:4000]
    assert (await client.post("/users", body)).error == (400, "services/chatkit/bad_request/malformed_json")
    assert backend.calls == []


async def test_a_refusal_of_a_service_is_translated(client: Client, backend: Backend) -> None:
    backend.answers["CreateUser"] = required("user.name")
    reply = await client.post("/users", {"id": "a"})
    assert reply.error == (422, VALIDATION)
    assert reply.description == "Field `name` is required"


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_text_message_is_refused_in_its_own_words(client: Client, backend: Backend, method: str) -> None:
    backend.answers["SendMessage"] = backend.answers["EditMessage"] = invalid("parts[1].url", "an URL")
    path = f"{TEXT_PREFIX}/rooms/r/messages" + ("/5" if method == "PUT" else "")
    reply = await client.request(method, path, {"text": "hi", "attachment": {"resource_link": "x"}})
    assert reply.error == (422, VALIDATION)
    assert reply.description == "Field `resource_link` is invalid: it must be an absolute URL"
    backend.answers["SendMessage"] = backend.answers["EditMessage"] = required("parts[1].url")
    reply = await client.request(method, path, {"text": "hi", "attachment": {}})
    assert reply.description == "Field `attachment.resource_link` is required"


async def test_a_mistake_of_ours_shows_nothing(client: Client, backend: Backend) -> None:
    backend.answers["GetUser"] = ZeroDivisionError("secret")
    reply = await client.get("/users/a")
    assert reply.error == (500, "internal_server_error")
    assert b"secret" not in reply.body


async def test_a_backend_that_shuts_down(client: Client, backend: Backend) -> None:
    backend.answers["GetUser"] = RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
    reply = await client.get("/users/a")
    assert reply.error == (503, "service_unavailable")
    assert reply.headers["retry-after"] == "1"


async def test_head_is_get_without_the_body(client: Client, backend: Backend) -> None:
    backend.answers["GetRoom"] = GetRoomResponse(room=Room(id="r"))
    head, get = await client.request("HEAD", "/rooms/r"), await client.get("/rooms/r")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))


async def test_personal_answers_are_kept_by_no_cache(client: Client) -> None:
    for reply in (await client.get("/users"), await client.delete("/users/a"), await client.get("/nowhere")):
        assert reply.headers["cache-control"] == "private, no-store"
