"""The chat API's JSON and queries as values (spec §1, §3, §4).

What is wrong raises InputError with the prefix that the API's clients know; unknown fields are ignored, and `null`
means absent. Lengths that a service checks too are only checked here where the API's own limit is lower.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.chat_api.errors import BODY, EMPTY_MESSAGE, QUERY, InputError, MediaTypeError

if TYPE_CHECKING:
    from gateway.request import Request

Json = dict[str, Any]

MAX_TEXT = 4000
"""Unicode scalar values of one message."""
MAX_ATTACHMENTS = 10
MAX_USERS = 1000
MAX_KEY = 255
DEFAULT_LIMIT = 200
MAX_LIMIT = 1000

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,16}")
_JSON_TYPE = re.compile(r"application/(?:[^\s;/]+\+)?json", re.IGNORECASE)
_FIRST_MILLISECOND = -62_135_596_800_000
LAST_MILLISECOND = 253_402_300_799_999
"""What a Timestamp can say: the years 1 to 9999."""
_MAX_SECONDS = 366 * 86_400


class NewMessage(NamedTuple):
    """The body of a post."""

    conversation: str
    text: str | None
    attachments: list[str]
    key: str
    """What makes a repeated post the same; empty if the client gave nothing."""
    expires_at: Timestamp | None
    expires_in: Duration | None
    reply_to: str | None


class Edit(NamedTuple):
    """The body of an edit. None leaves that half of the message as it is."""

    text: str | None
    attachments: list[str] | None


class Profile(NamedTuple):
    """The body of a change of one's own profile. None changes nothing."""

    first_name: str | None
    last_name: str | None
    old_password: str | None
    new_password: str | None


async def body(request: Request) -> Json:
    """The JSON object in the body. Raises MediaTypeError if the body says that it is something else."""
    media_type = request.header(b"content-type").partition(";")[0].strip()
    if media_type and not _JSON_TYPE.fullmatch(media_type):
        raise MediaTypeError
    value = await request.json()
    if type(value) is not dict:
        raise _wrong("the body", "an object")
    return value


def _wrong(field: str, expected: str) -> InputError:
    return InputError(BODY, f"{field}: expected {expected}")


def _missing(field: str) -> InputError:
    return InputError(BODY, f"missing field `{field}`")


def string(data: Json, name: str, path: str = "") -> str:
    """A text that must be there."""
    value = optional_string(data, name, path)
    if value is None:
        raise _missing(path + name)
    return value


def optional_string(data: Json, name: str, path: str = "") -> str | None:
    """A text, None if absent. NUL is refused: not every store can hold it."""
    value = data.get(name)
    if value is not None and type(value) is not str:
        raise _wrong(path + name, "a string")
    if value is not None and "\0" in value:
        raise InputError(BODY, f"{path}{name}: NUL is not allowed")
    return value


def _uuid(value: Any, field: str) -> str:
    if type(value) is not str or not _UUID.fullmatch(value):
        raise _wrong(field, "a UUID")
    return value.lower()


def optional_uuid(data: Json, name: str) -> str | None:
    """An id, None if absent."""
    value = data.get(name)
    return None if value is None else _uuid(value, name)


def _uuids(value: Any, field: str, most: int) -> list[str]:
    if type(value) is not list:
        raise _wrong(field, "a list of UUIDs")
    if len(value) > most:
        raise InputError(BODY, f"{field}: at most {most} items")
    return [_uuid(one, f"{field}[{index}]") for index, one in enumerate(value)]


def users(data: Json) -> list[str]:
    """The users that a body names, each once."""
    if data.get("users") is None:
        raise _missing("users")
    return list(dict.fromkeys(_uuids(data["users"], "users", MAX_USERS)))


def conversation(data: Json) -> str:
    """The conversation that a body names; `cid` is what the queries call it."""
    value = data.get("conversation_id")
    if value is None:
        value = data.get("cid")
    if value is None:
        raise _missing("conversation_id")
    return _uuid(value, "conversation_id")


def new_message(data: Json, header_key: str) -> NewMessage:
    """A message to post (spec §4). `header_key` is the `Idempotency-Key`, which a key in the body overrides."""
    conversation_id = conversation(data)
    text = _content(data)
    attachments = _attachments(data) or []
    if text is None and not attachments:
        raise InputError(BODY, EMPTY_MESSAGE)
    expires_at, expires_in = _expiry(data)
    return NewMessage(
        conversation=conversation_id,
        text=text,
        attachments=attachments,
        key=_key(data, header_key),
        expires_at=expires_at,
        expires_in=expires_in,
        reply_to=optional_uuid(data, "reply_to"),
    )


def edit(data: Json) -> Edit:
    """A change of a message."""
    change = Edit(_content(data), _attachments(data))
    if change.text is None and change.attachments is None:
        raise InputError(BODY, EMPTY_MESSAGE)
    return change


def _content(data: Json) -> str | None:
    content = data.get("content")
    if content is None:
        return None
    if type(content) is not dict:
        raise _wrong("content", "an object")
    text = optional_string(content, "text", "content.")
    if text == "":
        raise InputError(BODY, EMPTY_MESSAGE)
    if text is not None and len(text) > MAX_TEXT:
        raise InputError(BODY, f"content.text: at most {MAX_TEXT} characters")
    return text


def _attachments(data: Json) -> list[str] | None:
    value = data.get("attachments")
    return None if value is None else list(dict.fromkeys(_uuids(value, "attachments", MAX_ATTACHMENTS)))


def _expiry(data: Json) -> tuple[Timestamp | None, Duration | None]:
    at, seconds = data.get("expires_at"), data.get("expires_in")
    if at is not None and seconds is not None:
        raise InputError(BODY, "expires_at and expires_in exclude each other")
    if at is not None and (type(at) is not int or not _FIRST_MILLISECOND <= at <= LAST_MILLISECOND):
        raise _wrong("expires_at", "milliseconds since the Unix epoch")
    if seconds is not None and (type(seconds) is not int or not 0 < seconds <= _MAX_SECONDS):
        raise _wrong("expires_in", f"1 to {_MAX_SECONDS} seconds")
    return (None if at is None else timestamp(at)), (None if seconds is None else Duration(seconds=seconds))


def _key(data: Json, header_key: str) -> str:
    value = data.get("client_message_id")
    if value is not None:
        return _uuid(value, "client_message_id")
    if len(header_key) > MAX_KEY:
        raise InputError(BODY, f"Idempotency-Key: at most {MAX_KEY} characters")
    # The header may have the same UUID, in quotes too.
    bare = header_key.strip().strip('"')
    return bare.lower() if _UUID.fullmatch(bare) else bare


def request_id(*names: str) -> str:
    """One id of names that together are unique, whatever they hold."""
    digest = hashlib.blake2b(digest_size=20)
    for name in names:
        data = name.encode()
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()


def profile(data: Json) -> Profile:
    """A change of the caller's profile."""
    password = data.get("password")
    if password is not None and type(password) is not dict:
        raise _wrong("password", "an object")
    return Profile(
        optional_string(data, "first_name"),
        optional_string(data, "last_name"),
        optional_string(password, "old", "password.") if password is not None else None,
        string(password, "new", "password.") if password is not None else None,
    )


def query_uuid(request: Request, name: str) -> str:
    """An id in the query, which must be there."""
    value = query_optional_uuid(request, name)
    if value is None:
        raise InputError(QUERY, f"missing field `{name}`")
    return value


def query_optional_uuid(request: Request, name: str) -> str | None:
    """An id in the query, if it is there."""
    value = request.query_value(name)
    if value is None:
        return None
    if not _UUID.fullmatch(value):
        raise InputError(QUERY, f"{name}: invalid UUID")
    return value.lower()


def path_uuid(request: Request, name: str) -> str | None:
    """An id in the path; None if it cannot be one."""
    value = request.parameters[name]
    return value.lower() if _UUID.fullmatch(value) else None


def query_integer(request: Request, name: str) -> int | None:
    """A number in the query, if it is there."""
    value = request.query_value(name)
    if value is None:
        return None
    if not _INTEGER.fullmatch(value):
        raise InputError(QUERY, f"{name}: not an integer")
    return int(value)


def query_time(request: Request, name: str) -> Timestamp | None:
    """Milliseconds since the Unix epoch in the query, if they are there."""
    value = query_integer(request, name)
    if value is None:
        return None
    if not _FIRST_MILLISECOND <= value <= LAST_MILLISECOND:
        raise InputError(QUERY, f"{name}: out of range")
    return timestamp(value)


def limit(request: Request, default: int = DEFAULT_LIMIT) -> int:
    """How many items a list shall have."""
    value = query_integer(request, "limit")
    if value is None:
        return default
    if value < 1:
        raise InputError(QUERY, "limit: must be positive")
    return min(value, MAX_LIMIT)


def timestamp(milliseconds: int) -> Timestamp:
    """The message for a time."""
    seconds, rest = divmod(milliseconds, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)
