"""Chatkit's JSON as protobuf messages.

Only shapes are checked here; lengths, counts and patterns are the services' rules. What is too much for any of them is
refused before it is made into messages. `null` means absent, unknown fields are ignored (spec §1.4). A value of the
wrong type raises FIELD_INVALID, named as in the JSON.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.media_service_pb2 import ReserveAttachmentRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import AddMembersRequest, CreateRoomRequest, UpdateRoomRequest
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import BatchCreateUsersRequest, NewUser, UpdateUserRequest

from gateway.chatkit import dialect
from gateway.edge import EdgeError, EdgeReason
from gateway.links import Links
from services.common.custom_data import fill_struct, fill_value
from services.common.rules import check_count, invalid, required

Json = dict[str, Any]

MAX_LIMIT = 1000
MAX_INT64 = 2**63 - 1

_PAYLOADS = ("content", "url", "attachment")


def json_object(value: Any, field: str = "body") -> Json:
    """The value, which must be an object."""
    if type(value) is not dict:
        raise invalid(field, "an object")
    return value


def _string(body: Json, name: str, path: str = "") -> str | None:
    value = body.get(name)
    if value is not None and type(value) is not str:
        raise invalid(path + name, "a string")
    return value


def identifier(body: Json, name: str, path: str = "") -> str:
    """An id or a name, empty if absent. NUL is refused: not every store can hold it."""
    value = _string(body, name, path) or ""
    if "\0" in value:
        raise invalid(path + name, "no NUL")
    return value


def _user_ids(body: Json, message: type[ProtoMessage]) -> list[str]:
    values = body.get("user_ids")
    if values is None:
        return []
    if type(values) is not list:
        raise invalid("user_ids", "a list of strings")
    check_count(message, "user_ids", values)
    if not all(type(value) is str and "\0" not in value for value in values):
        raise invalid("user_ids", "a list of strings")
    return values


def _boolean(body: Json, name: str) -> bool | None:
    value = body.get(name)
    if value is not None and type(value) is not bool:
        raise invalid(name, "a boolean")
    return value


def new_user(value: Any, path: str = "") -> NewUser:
    """A user to create (spec §3, U1)."""
    body = json_object(value, path.rstrip(".") or "body")
    user = NewUser(id=identifier(body, "id", path), name=_string(body, "name", path) or "")
    _avatar_and_custom_data(user, body, path)
    return user


def new_users(value: Any) -> list[NewUser]:
    """Users to create: `{users: […]}`, or the bare array that the Python SDK sends (U2)."""
    users = value if type(value) is list else json_object(value).get("users")
    if users is None:
        return []
    if type(users) is not list:
        raise invalid("users", "a list")
    check_count(BatchCreateUsersRequest, "users", users)
    return [new_user(user, f"users[{index}].") for index, user in enumerate(users)]


def _avatar_and_custom_data(user: NewUser | User, body: Json, path: str = "") -> list[str]:
    """Fills both if given; returns the names of those that are."""
    given = []
    avatar_url = _string(body, "avatar_url", path)
    if avatar_url is not None:
        user.avatar_url = avatar_url
        given.append("avatar_url")
    custom_data = body.get("custom_data")
    if custom_data is not None:
        fill_struct(user.custom_data, custom_data, path + "custom_data")
        given.append("custom_data")
    return given


def user_update(user_id: str, value: Any) -> UpdateUserRequest:
    """A change of a user: each given field is replaced (U6)."""
    body = json_object(value)
    request = UpdateUserRequest(user=User(id=user_id, name=_string(body, "name") or ""))
    given = ["name"] if body.get("name") is not None else []
    request.update_mask.paths.extend(given + _avatar_and_custom_data(request.user, body))
    return request


def new_room(value: Any) -> CreateRoomRequest:
    """A room to create (spec §4.3). The creator is never in the body: it is the token's user."""
    body = json_object(value)
    if body.get("id") == "":
        raise invalid("id", "not empty")  # in the contract an empty id asks for a generated one
    request = CreateRoomRequest(
        id=identifier(body, "id"),
        name=_string(body, "name") or "",
        private=_boolean(body, "private") or False,
        push_notification_title_override=_string(body, "push_notification_title_override"),
        user_ids=_user_ids(body, CreateRoomRequest),
    )
    if body.get("custom_data") is not None:
        fill_struct(request.custom_data, body["custom_data"], "custom_data")
    return request


def room_update(room_id: str, value: Any) -> UpdateRoomRequest:
    """A change of a room (spec §4.4): a title override of `null` clears it, every other `null` means "not given"."""
    body = json_object(value)
    title = "push_notification_title_override"
    room = Room(
        id=room_id,
        name=_string(body, "name") or "",
        private=_boolean(body, "private") or False,
        push_notification_title_override=_string(body, title),
    )
    if body.get("custom_data") is not None:
        fill_struct(room.custom_data, body["custom_data"], "custom_data")
    request = UpdateRoomRequest(room=room)
    request.update_mask.paths.extend(name for name in ("name", "private", "custom_data") if body.get(name) is not None)
    if title in body:
        request.update_mask.paths.append(title)
    return request


def user_ids(value: Any) -> list[str]:
    """The users of a change of members (R8, R9)."""
    return _user_ids(json_object(value), AddMembersRequest)


def sender_id(body: Json) -> str:
    """The sender that Python's v2 calls name, for a server token without `sub` (spec §5.2)."""
    return identifier(body, "sender_id")


def text_parts(body: Json, links: Links) -> list[Part]:
    """The parts of a message of v1 or v2 (spec §5.3, §5.6)."""
    text = _string(body, "text")
    link = body.get("attachment")
    if text is None or (not text and link is None):
        raise required("text")
    if link is None:
        return dialect.upgrade(text, None, "")
    link = json_object(link, "attachment")
    # An absent link is an empty one here, which the message service refuses.
    url = _string(link, "resource_link", "attachment.") or ""
    return dialect.upgrade(text, url, _string(link, "type", "attachment.") or "", links.attachment_id(url))


def parts(body: Json) -> list[Part]:
    """The parts of a message of v3 or later (spec §5.3)."""
    values = body.get("parts")
    if values is None:
        return []
    if type(values) is not list:
        raise invalid("parts", "a list")
    check_count(SendMessageRequest, "parts", values)
    return [_part(value, f"parts[{index}]") for index, value in enumerate(values)]


def _part(value: Any, path: str) -> Part:
    body = json_object(value, path)
    part = Part(type=_string(body, "type", path + ".") or "")
    given = [name for name in _PAYLOADS if body.get(name) is not None]
    if len(given) != 1:
        raise invalid(path, "exactly one of content, url and attachment")
    match given[0]:
        case "content":
            part.content = _string(body, "content", path + ".") or ""
        case "url":
            part.url = _string(body, "url", path + ".") or ""
        case _:
            path = f"{path}.attachment"
            attachment_id = identifier(json_object(body["attachment"], path), "id", path + ".")
            if not attachment_id:
                raise required(path + ".id")
            part.attachment.id = attachment_id
    return part


def new_attachment(room_id: str, value: Any) -> ReserveAttachmentRequest:
    """An upload to announce (spec §6.1)."""
    body = json_object(value)
    content_type = _string(body, "content_type")
    if not content_type:
        raise invalid("content_type", "a media type")  # a suite compares the description
    length = body.get("content_length")
    if length is None:
        raise required("content_length")
    if type(length) is not int or not 0 <= length <= MAX_INT64:
        raise invalid("content_length", "a size in bytes")
    request = ReserveAttachmentRequest(
        room_id=room_id, content_type=content_type, content_length=length, name=identifier(body, "name")
    )
    custom_data = body.get("custom_data")
    if custom_data is None:
        custom_data = body.get("customData")  # PHP
    if custom_data is not None:
        fill_value(request.custom_data, custom_data, "custom_data")
    return request


def position(value: Any) -> int:
    """The position of a cursor (spec §8, C1)."""
    number = json_object(value).get("position")
    if number is None:
        raise required("position")
    if type(number) is not int or abs(number) > MAX_INT64:
        raise invalid("position", "an integer")
    return number


def message_id(segment: str) -> int:
    """The message id in a path."""
    number = integer(segment)
    if number is None:
        raise EdgeError(EdgeReason.PATH_INVALID)
    return number


def query_id(value: str, name: str) -> int:
    """An id in a query."""
    number = integer(value)
    if number is None:
        raise invalid(name, "an integer")
    return number


def limit(value: str | None) -> int:
    """The `limit` of a list; 0 stands for its default (spec §3.4, §5.4). What an instance allows, services see to."""
    return 0 if value is None else max(-1, min(query_id(value, "limit"), MAX_LIMIT))


def integer(text: str) -> int | None:
    """A decimal number of 64 bits; None for anything else."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return None
    number = int(text)
    return number if abs(number) <= MAX_INT64 else None


def query_text(value: str | None, name: str) -> str:
    """A text in a query, empty if absent."""
    if value is not None and "\0" in value:
        raise invalid(name, "no NUL")
    return value or ""


def query_ids(query: Mapping[str, list[str]]) -> list[str]:
    """The ids of U5: `id` repeated, or `user_ids` with commas from v1."""
    ids = [*query.get("id", ()), *(one for text in query.get("user_ids", ()) for one in text.split(",") if one)]
    return [query_text(one, "id") for one in ids]


def flag(value: str | None) -> bool:
    """A boolean in a query (spec §1.3)."""
    return value in {"true", "True", "1"}


def timestamp(value: str, name: str) -> Timestamp:
    """An RFC 3339 time in a query, where an offset's unescaped `+` has become a space."""
    parsed = Timestamp()
    try:
        parsed.FromJsonString(value.replace(" ", "+").upper())
    except ValueError as error:
        raise invalid(name, "an RFC 3339 time") from error
    return parsed
