"""The one table from reasons to the chat API's errors (spec §1): `{"ok": false, "error": "<string>"}`.

A conversation or a message that is not there, or not the caller's to see, is refused in the same words as what he may
not do: nobody learns what exists. The text of a 5xx is fixed: nothing from the inside shows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chat_api import render
from gateway.edge import EdgeReason
from gateway.problem import Problem, Reason, problem_of
from gateway.response import Header, Response, json_response
from services.common.errors import RoomlineError

log = structlog.get_logger()

BODY = "Json deserialize error: "
QUERY = "Query deserialize error: "
FORM = "Form deserialize error: "

EMPTY_MESSAGE = "content or attachments required"
"""What is wrong with a message that says nothing (spec §1)."""


class InputError(Exception):
    """Something in a request that cannot be read; its text is what the client sees."""

    def __init__(self, prefix: str, detail: str) -> None:
        super().__init__(prefix + detail)


class MediaTypeError(Exception):
    """The body is of a type that the call does not take."""


class Answer(NamedTuple):
    """How a reason looks from outside. `{key}` stands for metadata."""

    status: int
    error: str
    retry_after: str = ""
    """Seconds; empty for none."""


_UNAUTHORIZED = Answer(401, "Unauthorized")
_NOT_ALLOWED = Answer(403, "operation_not_allowed")
_NOT_FOUND = Answer(404, "not_found")
_TOO_LARGE = Answer(413, "payload_too_large")
_UNSUPPORTED_TYPE = Answer(415, "unsupported_media_type")
_UNAVAILABLE = Answer(503, "unavailable", "1")
_TIMEOUT = Answer(504, "timeout")
_INTERNAL = Answer(500, "internal_error")
_TOO_SLOW = Answer(408, "request_timeout")
_CONFLICT = Answer(409, "conflict")
_MISSING_FIELD = Answer(400, "{prefix}missing field `{field}`")
_INVALID_FIELD = Answer(400, "{prefix}{field}: {rule}")

ANSWERS: Mapping[Reason, Answer] = {
    ErrorReason.ERROR_REASON_TOKEN_MISSING: _UNAUTHORIZED,
    ErrorReason.ERROR_REASON_TOKEN_INVALID: _UNAUTHORIZED,
    ErrorReason.ERROR_REASON_TOKEN_EXPIRED: _UNAUTHORIZED,
    ErrorReason.ERROR_REASON_SESSION_ENDED: _UNAUTHORIZED,
    ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID: _UNAUTHORIZED,
    ErrorReason.ERROR_REASON_PASSWORD_INVALID: Answer(401, "Invalid email or password"),
    ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND: Answer(404, "Not found"),
    ErrorReason.ERROR_REASON_EMAIL_TAKEN: Answer(409, "User with that email already exists"),
    ErrorReason.ERROR_REASON_REGISTRATION_CLOSED: Answer(403, "registration_closed"),
    ErrorReason.ERROR_REASON_ACCOUNTS_DISABLED: _NOT_FOUND,
    ErrorReason.ERROR_REASON_INSTANCE_RESET: _NOT_FOUND,
    ErrorReason.ERROR_REASON_PUSH_NOT_CONFIGURED: Answer(404, "push_not_configured"),
    ErrorReason.ERROR_REASON_PERMISSION_MISSING: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_SUBJECT_MISMATCH: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ACTOR_REQUIRED: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_NOT_A_MEMBER: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ROOM_PRIVATE: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ROOM_MEMBERS_FIXED: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ROOM_NOT_FOUND: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_USER_NOT_FOUND: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_USERS_NOT_FOUND: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ATTACHMENT_IN_USE: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_SIGNATURE_INVALID: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_RESET_DISABLED: _NOT_ALLOWED,
    ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND: _NOT_FOUND,
    ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND: _NOT_FOUND,
    ErrorReason.ERROR_REASON_KEY_NOT_FOUND: _NOT_FOUND,
    ErrorReason.ERROR_REASON_ROLE_NOT_FOUND: _NOT_FOUND,
    ErrorReason.ERROR_REASON_JOB_NOT_FOUND: _NOT_FOUND,
    ErrorReason.ERROR_REASON_TEST_TOKENS_DISABLED: _NOT_FOUND,
    ErrorReason.ERROR_REASON_METHOD_NOT_SERVED: _NOT_FOUND,
    ErrorReason.ERROR_REASON_FIELD_REQUIRED: _MISSING_FIELD,
    ErrorReason.ERROR_REASON_FIELD_INVALID: _INVALID_FIELD,
    ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID: Answer(400, QUERY + "invalid cursor"),
    ErrorReason.ERROR_REASON_PICTURE_UNUSABLE: _UNSUPPORTED_TYPE,
    ErrorReason.ERROR_REASON_SIZE_MISMATCH: Answer(400, FORM + "the file is not complete"),
    ErrorReason.ERROR_REASON_REQUEST_ID_REUSED: Answer(409, "idempotency_conflict"),
    ErrorReason.ERROR_REASON_USER_ALREADY_EXISTS: _CONFLICT,
    ErrorReason.ERROR_REASON_ROOM_ALREADY_EXISTS: _CONFLICT,
    ErrorReason.ERROR_REASON_INSTANCE_ALREADY_EXISTS: _CONFLICT,
    ErrorReason.ERROR_REASON_KEY_ALREADY_EXISTS: _CONFLICT,
    ErrorReason.ERROR_REASON_ROLE_ALREADY_EXISTS: _CONFLICT,
    ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE: _TOO_LARGE,
    ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE: _TOO_LARGE,
    ErrorReason.ERROR_REASON_FILE_TOO_LARGE: _TOO_LARGE,
    ErrorReason.ERROR_REASON_RANGE_INVALID: Answer(416, "range_not_satisfiable"),
    ErrorReason.ERROR_REASON_QUOTA_EXCEEDED: Answer(403, "quota_exceeded"),
    ErrorReason.ERROR_REASON_RATE_LIMITED: Answer(429, "rate_limited", "{retry_after}"),
    ErrorReason.ERROR_REASON_STORAGE_FULL: Answer(507, "insufficient_storage", "60"),
    ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_CONNECTION_LOST: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_SHUTTING_DOWN: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_OVERLOADED: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_DELETION_PENDING: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_CURSOR_EXPIRED: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_CANCELLED: _UNAVAILABLE,
    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED: _TIMEOUT,
    # The rest can only be mistakes of ours.
    ErrorReason.ERROR_REASON_EXPORT_STALLED: _INTERNAL,
    ErrorReason.ERROR_REASON_WEBHOOK_NOT_FOUND: _INTERNAL,
    ErrorReason.ERROR_REASON_METHOD_UNKNOWN: _INTERNAL,
    ErrorReason.ERROR_REASON_REQUEST_UNDECODABLE: _INTERNAL,
    ErrorReason.ERROR_REASON_RESPONSE_TOO_LARGE: _INTERNAL,
    ErrorReason.ERROR_REASON_INTERNAL: _INTERNAL,
    EdgeReason.ROUTE_NOT_FOUND: _NOT_FOUND,
    EdgeReason.PATH_INVALID: _NOT_FOUND,
    EdgeReason.METHOD_NOT_ALLOWED: Answer(405, "method_not_allowed"),
    EdgeReason.JSON_MALFORMED: Answer(400, BODY + "the body is not valid JSON"),
    EdgeReason.FORM_MALFORMED: Answer(400, FORM + "the body is not valid multipart/form-data"),
    EdgeReason.FORM_TOO_LARGE: _TOO_LARGE,
    EdgeReason.BODY_TOO_SLOW: _TOO_SLOW,
    EdgeReason.HEAD_TOO_SLOW: _TOO_SLOW,
    EdgeReason.REQUEST_MALFORMED: Answer(400, "bad_request"),
    EdgeReason.HEAD_TOO_LARGE: Answer(431, "request_head_too_large"),
    EdgeReason.TOO_MANY_CONNECTIONS: _UNAVAILABLE,
    EdgeReason.TOO_MANY_SUBSCRIPTIONS: _UNAVAILABLE,
    EdgeReason.READER_TOO_SLOW: _UNAVAILABLE,
    # This dialect has no WebSockets.
    EdgeReason.TOO_MANY_ON_SOCKET: Answer(429, "too_many_subscriptions"),
    EdgeReason.SUBSCRIPTION_ID_TAKEN: Answer(400, "bad_request"),
    EdgeReason.HEARTBEAT_INVALID: Answer(400, "bad_request"),
    EdgeReason.WEBSOCKET_ONLY: Answer(426, "upgrade_required"),
    EdgeReason.FRAME_MALFORMED: Answer(400, "bad_request"),
    EdgeReason.FRAME_TOO_LARGE: _TOO_LARGE,
    # Of the other dialect.
    EdgeReason.GRANT_TYPE_INVALID: Answer(400, "bad_request"),
    EdgeReason.USER_ID_MISSING: Answer(400, "bad_request"),
}

_FIELD_NAMES = {
    "page_size": "limit",
    "page_token": "after",
    "created_from": "ts_from",
    "created_before": "ts_to",
    "room_uid": "conversation_id",
    "user_ids": "users",
    "user_uids": "users",
    "parts": "attachments",
    "old_password": "password.old",
    "new_password": "password.new",
    "p256dh": "keys.p256dh",
    "auth": "keys.auth",
}
"""Fields of requests whose names in the JSON or the query differ."""

_FAILURES = (grpc.aio.AioRpcError, RoomlineError, asyncio.CancelledError)


def refusal(
    error: BaseException, method: str, request_id: str, *, always_200: bool = False, logged: bool = True
) -> Response:
    """The response to a request that failed. The reason of a 5xx goes to the log, not to the client.

    Without `logged` only what nobody foresaw does: whoever ends many streams says why once.
    """
    problem = problem_of(error)
    answer, values = _answer(error, problem, method)
    headers: list[Header] = []
    if answer.retry_after:
        headers.append((b"retry-after", _filled(answer.retry_after, values).encode()))
    if problem.reason is EdgeReason.METHOD_NOT_ALLOWED:
        headers.append((b"allow", problem.metadata["allow"].encode()))
    if problem.reason == ErrorReason.ERROR_REASON_RANGE_INVALID:
        headers.append((b"content-range", f"bytes */{problem.metadata['size']}".encode()))
    if answer.status >= 500:
        details = {"reason": problem.name, "message": problem.message, "request_id": request_id}
        if isinstance(error, _FAILURES):
            if logged:
                log.warning("request_failed", **details)
        else:
            log.error("handler_failed", exc_info=error, **details)
    body = render.error(_filled(answer.error, values))
    return json_response(body, 200 if always_200 else answer.status, headers)


def _answer(error: BaseException, problem: Problem, method: str) -> tuple[Answer, Mapping[str, str]]:
    if isinstance(error, InputError):
        return Answer(400, "{text}"), {"text": str(error)}
    if isinstance(error, MediaTypeError):
        return _UNSUPPORTED_TYPE, {}
    values = {"prefix": QUERY if method in {"GET", "HEAD"} else BODY, **problem.metadata}
    if "field" in values:
        values["field"] = _field_name(values["field"])
    return ANSWERS[problem.reason], values


def _field_name(field: str) -> str:
    """The field as the client knows it: `user_ids[0]` is `users[0]`."""
    name, bracket, rest = field.partition("[")
    return _FIELD_NAMES.get(name, name) + bracket + rest


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], ""), template)
