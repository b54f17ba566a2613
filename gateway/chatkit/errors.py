"""The one table from reasons to Chatkit's errors (spec §2.2, §11).

A client repeats a refused write if the answer has `Retry-After` (spec §10.5), so only refusals after which
surely nothing was done carry it on every method. The text of a 5xx is fixed: nothing from the inside shows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chatkit import render
from gateway.edge import EdgeReason
from gateway.problem import Problem, Reason
from gateway.response import Header, Response, json_response


class Answer(NamedTuple):
    """How a reason looks from outside. `{key}` stands for metadata, `{service}` for the Chatkit service of the path."""

    status: int
    error: str
    description: str = "{message}"
    """`{message}` is the contract's own text."""
    retry_after: str = ""
    """Seconds; empty for none."""
    outcome_unknown: bool = False
    """The call may have been carried out: `Retry-After` only goes to reads."""


_VALIDATION = "services/{service}/unprocessable_entity/validation_failed"
_UNAVAILABLE_TEXT = "The service is temporarily unavailable, try again in a moment"
_UNAVAILABLE = Answer(503, "service_unavailable", _UNAVAILABLE_TEXT, "1")
_UNKNOWN_OUTCOME = Answer(503, "service_unavailable", _UNAVAILABLE_TEXT, "1", outcome_unknown=True)
_INTERNAL = Answer(500, "internal_server_error", "The server failed to answer the request")
_NO_TOKEN_PROVIDER = Answer(
    404, "services/{service}/not_found/token_provider_not_found", "This instance has no test token provider"
)
_NO_PERMISSION = Answer(
    401,
    "services/chatkit_authorizer/authorization/missing_permission",
    "User does not have access to requested resource",
)
_NO_ROUTE = Answer(404, "not_found/route", "There is nothing at this path")

ANSWERS: Mapping[Reason, Answer] = {
    ErrorReason.ERROR_REASON_TOKEN_MISSING: Answer(401, "authentication/missing_token"),
    ErrorReason.ERROR_REASON_TOKEN_INVALID: Answer(401, "authentication/jwt/invalid"),
    ErrorReason.ERROR_REASON_TOKEN_EXPIRED: Answer(401, "authentication/expired"),
    ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID: Answer(401, "token_provider/invalid_refresh_token"),
    ErrorReason.ERROR_REASON_SESSION_ENDED: Answer(401, "authentication/session_ended"),
    ErrorReason.ERROR_REASON_PERMISSION_MISSING: _NO_PERMISSION,
    ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED: _NO_PERMISSION,
    ErrorReason.ERROR_REASON_SUBJECT_MISMATCH: Answer(
        401, "services/chatkit_authorizer/authorization/invalid_token_subject"
    ),
    ErrorReason.ERROR_REASON_NOT_A_MEMBER: Answer(403, "services/{service}/forbidden/not_a_member"),
    ErrorReason.ERROR_REASON_ROOM_PRIVATE: Answer(403, "services/{service}/forbidden/private_room"),
    ErrorReason.ERROR_REASON_ROOM_MEMBERS_FIXED: Answer(403, "services/{service}/forbidden/room_members_fixed"),
    ErrorReason.ERROR_REASON_RESET_DISABLED: Answer(403, "services/{service}/forbidden/reset_disabled"),
    ErrorReason.ERROR_REASON_SIGNATURE_INVALID: Answer(403, "services/{service}/forbidden/signature_invalid"),
    ErrorReason.ERROR_REASON_QUOTA_EXCEEDED: Answer(403, "services/{service}/forbidden/quota_exceeded"),
    ErrorReason.ERROR_REASON_TEST_TOKENS_DISABLED: _NO_TOKEN_PROVIDER,
    ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND: _NO_TOKEN_PROVIDER,
    ErrorReason.ERROR_REASON_FIELD_REQUIRED: Answer(422, _VALIDATION, "Field `{field}` is required"),
    ErrorReason.ERROR_REASON_FIELD_INVALID: Answer(422, _VALIDATION, "Field `{field}` is invalid"),
    ErrorReason.ERROR_REASON_ACTOR_REQUIRED: Answer(422, _VALIDATION),
    ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID: Answer(422, _VALIDATION),
    ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE: Answer(
        422, "services/{service}/unprocessable_entity/message_size_limit_exceeded"
    ),
    ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE: Answer(422, _VALIDATION, "Field `attachment.id` is invalid"),
    ErrorReason.ERROR_REASON_ATTACHMENT_IN_USE: Answer(400, "services/{service}/bad_request/attachment_in_use"),
    ErrorReason.ERROR_REASON_PICTURE_UNUSABLE: Answer(400, "services/{service}/bad_request/picture_unusable"),
    ErrorReason.ERROR_REASON_SIZE_MISMATCH: Answer(400, "services/{service}/bad_request/size_mismatch"),
    ErrorReason.ERROR_REASON_USER_NOT_FOUND: Answer(404, "services/chatkit/not_found/user_not_found"),
    ErrorReason.ERROR_REASON_ROOM_NOT_FOUND: Answer(404, "services/chatkit/not_found/room_not_found"),
    ErrorReason.ERROR_REASON_INSTANCE_RESET: Answer(404, "services/{service}/not_found/instance_reset"),
    ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND: Answer(404, "services/{service}/not_found/message_not_found"),
    ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND: Answer(404, "services/{service}/not_found/attachment_not_found"),
    ErrorReason.ERROR_REASON_KEY_NOT_FOUND: Answer(404, "services/{service}/not_found/key_not_found"),
    ErrorReason.ERROR_REASON_ROLE_NOT_FOUND: Answer(404, "services/{service}/not_found/role_not_found"),
    ErrorReason.ERROR_REASON_JOB_NOT_FOUND: Answer(404, "services/{service}/not_found/job_not_found"),
    ErrorReason.ERROR_REASON_USERS_NOT_FOUND: Answer(400, "services/{service}/bad_request/users_not_found"),
    ErrorReason.ERROR_REASON_USER_ALREADY_EXISTS: Answer(400, "services/{service}/user_already_exists"),
    ErrorReason.ERROR_REASON_ROOM_ALREADY_EXISTS: Answer(400, "services/{service}/bad_request/duplicate_room_id"),
    ErrorReason.ERROR_REASON_INSTANCE_ALREADY_EXISTS: Answer(400, "services/{service}/instance_already_exists"),
    ErrorReason.ERROR_REASON_KEY_ALREADY_EXISTS: Answer(400, "services/{service}/key_already_exists"),
    ErrorReason.ERROR_REASON_ROLE_ALREADY_EXISTS: Answer(400, "services/{service}/role_already_exists"),
    ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE: Answer(413, "request_too_large"),
    ErrorReason.ERROR_REASON_FILE_TOO_LARGE: Answer(413, "services/{service}/file_too_large"),
    ErrorReason.ERROR_REASON_RANGE_INVALID: Answer(416, "services/{service}/range_invalid"),
    ErrorReason.ERROR_REASON_RATE_LIMITED: Answer(429, "rate_limited", retry_after="{retry_after}"),
    ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_SHUTTING_DOWN: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_OVERLOADED: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_DELETION_PENDING: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_CURSOR_EXPIRED: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_STORAGE_FULL: Answer(507, "insufficient_storage", "The server is out of storage", "60"),
    ErrorReason.ERROR_REASON_CONNECTION_LOST: _UNKNOWN_OUTCOME,
    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED: _UNKNOWN_OUTCOME,
    ErrorReason.ERROR_REASON_CANCELLED: _UNKNOWN_OUTCOME,
    ErrorReason.ERROR_REASON_METHOD_NOT_SERVED: _NO_ROUTE,
    # Accounts register and log in by the other dialect.
    ErrorReason.ERROR_REASON_ACCOUNTS_DISABLED: _NO_ROUTE,
    ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND: Answer(404, "services/{service}/not_found/account_not_found"),
    ErrorReason.ERROR_REASON_PASSWORD_INVALID: Answer(401, "authentication/password_invalid"),
    ErrorReason.ERROR_REASON_EMAIL_TAKEN: Answer(400, "services/{service}/email_taken"),
    ErrorReason.ERROR_REASON_REGISTRATION_CLOSED: Answer(403, "services/{service}/forbidden/registration_closed"),
    ErrorReason.ERROR_REASON_PUSH_NOT_CONFIGURED: _NO_ROUTE,
    # The rest can only be mistakes of ours: request ids and messages are made here.
    ErrorReason.ERROR_REASON_EXPORT_STALLED: _INTERNAL,
    ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND: _INTERNAL,
    ErrorReason.ERROR_REASON_METHOD_UNKNOWN: _INTERNAL,
    ErrorReason.ERROR_REASON_REQUEST_UNDECODABLE: _INTERNAL,
    ErrorReason.ERROR_REASON_REQUEST_ID_REUSED: _INTERNAL,
    ErrorReason.ERROR_REASON_RESPONSE_TOO_LARGE: _INTERNAL,
    ErrorReason.ERROR_REASON_INTERNAL: _INTERNAL,
    EdgeReason.ROUTE_NOT_FOUND: _NO_ROUTE,
    EdgeReason.METHOD_NOT_ALLOWED: Answer(405, "method_not_allowed", "This path takes {allow}"),
    EdgeReason.PATH_INVALID: Answer(
        422,
        "services/chatkit_authorizer/authorization/url_param_parsing_failed",
        "A parameter in the path could not be parsed",
    ),
    EdgeReason.JSON_MALFORMED: Answer(
        400, "services/{service}/bad_request/malformed_json", "The body is not valid JSON"
    ),
    EdgeReason.FORM_MALFORMED: Answer(
        400, "services/{service}/bad_request/malformed_form", "The body is not valid multipart/form-data"
    ),
    EdgeReason.FORM_TOO_LARGE: Answer(413, "request_too_large", "The form has too much besides its file"),
    EdgeReason.BODY_TOO_SLOW: Answer(408, "request_timeout", "The body did not arrive in time"),
    EdgeReason.REQUEST_MALFORMED: Answer(400, "bad_request", "The request is not valid HTTP"),
    EdgeReason.HEAD_TOO_LARGE: Answer(431, "request_head_too_large", "Path and headers are too large together"),
    EdgeReason.HEAD_TOO_SLOW: Answer(408, "request_timeout", "The request did not arrive in time"),
    EdgeReason.TOO_MANY_CONNECTIONS: _UNAVAILABLE,
    EdgeReason.TOO_MANY_SUBSCRIPTIONS: _UNAVAILABLE,
    EdgeReason.READER_TOO_SLOW: _UNAVAILABLE,
    EdgeReason.TOO_MANY_ON_SOCKET: Answer(
        429, "too_many_subscriptions", "One connection has at most {limit} subscriptions"
    ),
    EdgeReason.SUBSCRIPTION_ID_TAKEN: Answer(
        400, "bad_request", "The connection has a subscription of this id already; both have ended"
    ),
    EdgeReason.HEARTBEAT_INVALID: Answer(422, _VALIDATION, "Header `{header}` must be from {least} to {most}"),
    EdgeReason.WEBSOCKET_ONLY: Answer(426, "upgrade_required", "This path takes WebSocket connections only"),
    EdgeReason.FRAME_MALFORMED: Answer(400, "bad_request", "The message is not one of the protocol's"),
    EdgeReason.FRAME_TOO_LARGE: Answer(413, "request_too_large", "The message is too large"),
    EdgeReason.GRANT_TYPE_INVALID: Answer(
        422, "token_provider/invalid_grant_type", "The grant type must be `client_credentials`"
    ),
    EdgeReason.USER_ID_MISSING: Answer(
        400, "services/{service}/bad_request/validation_failed", "Field `user_id` is required"
    ),
}

_FIELD_NAMES = {
    "page_size": "limit",
    "created_from": "from_ts",
    "before_id": "initial_id",
    "after_id": "initial_id",
    "after_room_id": "from_id",
    "ids": "id",
}
"""Fields of requests whose names in the JSON or the query differ."""

_REPEATABLE = {"GET", "HEAD", "SUBSCRIBE"}
_SPREAD_SECONDS = 5
"""Over how long they come back who have all lost their subscriptions, or are refused, at the same time."""

_RESOURCE_LINK = "attachment.resource_link"


def response_to(problem: Problem, method: str, service: str, field_names: Mapping[str, str]) -> Response:
    """The answer to a failed request. `service` is the Chatkit service in its path (spec §1.1)."""
    answer = ANSWERS[problem.reason]
    values = {"message": problem.message, "service": service, **problem.metadata}
    if "field" in values:
        values["field"] = _field_name(values["field"], field_names)
    code = _filled(answer.error, values)
    description = _filled(answer.description, values)
    if values.get("field") == _RESOURCE_LINK and problem.reason == ErrorReason.ERROR_REASON_FIELD_INVALID:
        description = "Field `resource_link` is invalid: it must be an absolute URL"
    if problem.reason == ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE:
        description = f"Field `{_field_name('attachment.id', field_names)}` is invalid"
    headers: list[Header] = []
    if answer.retry_after and not (answer.outcome_unknown and method not in _REPEATABLE):
        headers.append((b"retry-after", _seconds(_filled(answer.retry_after, values), problem, method).encode()))
    if problem.reason is EdgeReason.WEBSOCKET_ONLY:
        headers.append((b"upgrade", b"websocket"))
    if problem.reason is EdgeReason.METHOD_NOT_ALLOWED:
        headers.append((b"allow", problem.metadata["allow"].encode()))
    if problem.reason == ErrorReason.ERROR_REASON_RANGE_INVALID:
        headers.append((b"content-range", f"bytes */{problem.metadata['size']}".encode()))
    return json_response(render.error(code, description), answer.status, headers)


def _seconds(least: str, problem: Problem, method: str) -> str:
    if method == "SUBSCRIBE" or problem.reason is EdgeReason.TOO_MANY_CONNECTIONS:
        return str(int(least) + random.randrange(_SPREAD_SECONDS))  # noqa: S311 - no secret
    return least


def _field_name(field: str, field_names: Mapping[str, str]) -> str:
    """The field as the client knows it: `user.id` and `ids[0]` → `id`, `users[0].name` as it is."""
    name = field_names.get(field) or _FIELD_NAMES.get(field.partition("[")[0]) or field
    return name.removeprefix("user.").removeprefix("room.").removeprefix("role.")


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], ""), template)
