"""The table of errors is complete and gives nothing away (spec §11)."""

import re

import grpc
import pytest
from roomline.v1 import error_reason_pb2, options_pb2
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chatkit.errors import ANSWERS, response_to
from gateway.edge import EdgeError, EdgeReason
from gateway.problem import Problem, Reason, problem_of
from services.common.errors import RoomlineError, reason_name
from services.common.rules import invalid, required
from tests.gateway.client import Reply

REASONS = [number for number in ErrorReason.values() if number]
EDGE_METADATA = {
    EdgeReason.METHOD_NOT_ALLOWED: {"allow"},
    EdgeReason.TOO_MANY_ON_SOCKET: {"limit"},
    EdgeReason.HEARTBEAT_INVALID: {"header", "least", "most"},
}
CODE = re.compile(r"[a-z_{}]+(/[a-z_{}]+)*")


def rule_of(reason: ErrorReason.ValueType) -> options_pb2.ErrorRule:
    descriptor = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"].values_by_number[reason]
    return descriptor.GetOptions().Extensions[options_pb2.error]


def reply_to(error: Exception, method: str = "POST", service: str = "chatkit") -> Reply:
    response = response_to(problem_of(error), method, service, {})
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Reply(
        response.status, {**headers, "cache-control": "no-store", "access-control-allow-origin": "*"}, response.body
    )


@pytest.mark.parametrize("reason", REASONS, ids=reason_name)
def test_every_reason_of_the_contract_has_an_answer(reason: ErrorReason.ValueType) -> None:
    known = {"message", "service", *rule_of(reason).metadata}
    for answer in (ANSWERS[reason],):
        assert 400 <= answer.status < 600
        assert CODE.fullmatch(answer.error)
        used = re.findall(r"\{(\w+)\}", answer.error + answer.description + answer.retry_after)
        assert set(used) <= known


@pytest.mark.parametrize("reason", EdgeReason)
def test_every_reason_of_the_edge_has_an_answer(reason: EdgeReason) -> None:
    answer = ANSWERS[reason]
    used = re.findall(r"\{(\w+)\}", answer.error + answer.description)
    assert set(used) <= {"service", *EDGE_METADATA.get(reason, ())}


@pytest.mark.parametrize("reason", [*REASONS, *EdgeReason])
def test_a_server_error_shows_nothing_from_inside(reason: Reason) -> None:
    answer = ANSWERS[reason]
    if answer.status >= 500:
        assert "{" not in answer.description


@pytest.mark.parametrize(
    ("error", "status", "code", "description"),
    [
        (
            RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND),
            404,
            "services/chatkit/not_found/user_not_found",
            "The requested user does not exist",
        ),
        (
            RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission="room:delete"),
            401,
            "services/chatkit_authorizer/authorization/missing_permission",
            "User does not have access to requested resource",
        ),
        (
            RoomlineError(ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED, level="server"),
            401,
            "services/chatkit_authorizer/authorization/missing_permission",
            "User does not have access to requested resource",
        ),
        (
            RoomlineError(ErrorReason.ERROR_REASON_USERS_NOT_FOUND, missing=1, total=3),
            400,
            "services/chatkit/bad_request/users_not_found",
            "1 out of 3 users (including the room creator) could not be found",
        ),
        (
            RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE),
            422,
            "services/chatkit/unprocessable_entity/validation_failed",
            "Field `attachment.id` is invalid",
        ),
        (
            RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE, size=6000, limit=5120),
            422,
            "services/chatkit/unprocessable_entity/message_size_limit_exceeded",
            "The message has 6000 bytes of content, more than the 5120 allowed.",
        ),
        (
            required("user.id"),
            422,
            "services/chatkit/unprocessable_entity/validation_failed",
            "Field `id` is required",
        ),
        (EdgeError(EdgeReason.ROUTE_NOT_FOUND), 404, "not_found/route", "There is nothing at this path"),
        (ZeroDivisionError("secret"), 500, "internal_server_error", "The server failed to answer the request"),
    ],
)
def test_what_the_client_sees(error: Exception, status: int, code: str, description: str) -> None:
    reply = reply_to(error)
    assert reply.error == (status, code)
    assert reply.description == description


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("user.id", "id"),
        ("users[0].name", "users[0].name"),
        ("room.name", "name"),
        ("room_id", "room_id"),
        ("page_size", "limit"),
        ("ids[3]", "id"),
        ("parts[2].type", "parts[2].type"),
    ],
)
def test_fields_have_the_names_that_clients_know(field: str, name: str) -> None:
    assert reply_to(invalid(field, "short")).description == f"Field `{name}` is invalid"


def test_other_services_name_themselves_except_for_users_and_rooms() -> None:
    validation = reply_to(required("position"), service="chatkit_cursors")
    assert validation.error == (422, "services/chatkit_cursors/unprocessable_entity/validation_failed")
    room = reply_to(RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND), service="chatkit_cursors")
    assert room.error == (404, "services/chatkit/not_found/room_not_found")


@pytest.mark.parametrize(
    ("reason", "method", "retry_after"),
    [
        (ErrorReason.ERROR_REASON_SHUTTING_DOWN, "POST", "1"),
        (ErrorReason.ERROR_REASON_OVERLOADED, "GET", "1"),
        (ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "GET", "1"),
        # Repeated by the client, this could send a message twice.
        (ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, "POST", None),
        (ErrorReason.ERROR_REASON_CONNECTION_LOST, "DELETE", None),
    ],
)
def test_only_safe_repetitions_are_invited(reason: ErrorReason.ValueType, method: str, retry_after: str | None) -> None:
    reply = reply_to(RoomlineError(reason), method)
    assert reply.error == (503, "service_unavailable")
    assert reply.headers.get("retry-after") == retry_after


def test_a_rate_limit_says_when_to_come_back() -> None:
    reply = reply_to(RoomlineError(ErrorReason.ERROR_REASON_RATE_LIMITED, retry_after=30))
    assert reply.error == (429, "rate_limited")
    assert reply.headers["retry-after"] == "30"


def test_metadata_that_looks_like_a_template_stays_as_it_is() -> None:
    problem = Problem(ErrorReason.ERROR_REASON_FIELD_INVALID, "", {"field": "{message}", "rule": ""})
    assert b"Field `{message}` is invalid" in response_to(problem, "GET", "chatkit", {}).body


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 503),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
        (grpc.StatusCode.UNIMPLEMENTED, 500),
        (grpc.StatusCode.UNKNOWN, 500),
    ],
)
def test_what_only_grpc_itself_raises(code: grpc.StatusCode, status: int) -> None:
    metadata = grpc.aio.Metadata()
    reply = reply_to(grpc.aio.AioRpcError(code, metadata, metadata, details="secret host:port"))
    assert reply.status == status
    assert b"secret" not in reply.body
