"""Protobuf messages as the chat API's JSON (spec §2).

Every key of a shape is always there, and `null` where it has no value; only `reply_to` shows up if it was sent. Times
are integer milliseconds, ids are `uid`s. Lists and a posted message are bare, everything else says `ok`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import LoginResponse, RefreshResponse
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.push_pb2 import PushSubscription
from roomline.v1.room_pb2 import (
    ROOM_KIND_CHANNEL,
    ROOM_KIND_DIRECT,
    ROOM_KIND_GROUP,
    Room,
    UserRoom,
)

from gateway.chat_api.people import Named, People
from services.common.file_headers import UNKNOWN_TYPE

Json = dict[str, Any]

CONTENT_PATH = "/api/v1/media/content/"
AVATAR_PATH = "/api/v1/media/avatars/"

_KINDS = {ROOM_KIND_DIRECT: "direct", ROOM_KIND_GROUP: "group", ROOM_KIND_CHANNEL: "channel"}
_NOUNS = {"image": ("a photo", "photos"), "video": ("a video", "videos"), "audio": ("an audio file", "audio files")}
_FILE = ("a file", "files")


def error(text: str) -> Json:
    """An error body."""
    return {"ok": False, "error": text}


def ok(**fields: Any) -> Json:
    """A success of the third shape."""
    return {"ok": True, **fields}


def milliseconds(value: Timestamp) -> int:
    """Since the Unix epoch, rounded down."""
    return value.seconds * 1000 + value.nanos // 1_000_000


def _optional_time(value: Message | Account | PushSubscription, name: str) -> int | None:
    return milliseconds(getattr(value, name)) if value.HasField(name) else None  # type: ignore[arg-type]


def tokens(value: LoginResponse | RefreshResponse) -> Json:
    """What a login or a refresh gives."""
    return ok(access_token=value.access_token, refresh_token=value.refresh_token)


def user(value: Account) -> Json:
    """A user; without an account it has no e-mail address, and its whole name is the first one (spec §11)."""
    return {
        "id": value.user_uid,
        "first_name": value.first_name,
        "last_name": value.last_name,
        "email": value.email if value.HasField("email") else None,
        "last_seen": _optional_time(value, "last_seen"),
    }


def conversation(value: UserRoom, people: People) -> Json:
    """A conversation as its member sees it."""
    last = value.last_message if value.HasField("last_message") and value.last_message.parts else None
    return {
        "id": value.room.uid,
        "created_by": people.uid(value.room.created_by_id),
        "conversation_type": conversation_type(value.room),
        "last_msg_text": last_text(last, people) if last else None,
        "last_msg_uid": people.uid(last.user_id) if last else None,
        "archived": value.archived,
        "joined_at": milliseconds(value.joined_at),
        "unread_count": value.unread_count,
        "participants": [user(account) for account in people.known(value.room.member_user_ids)],
    }


def conversation_type(value: Room) -> str:
    """What sort of conversation a room is; one made by Chatkit is a group if it is private."""
    return _KINDS.get(value.kind) or ("group" if value.private else "channel")


def message(value: Message, people: Named) -> Json:
    """A message; after it was unsent a tombstone."""
    says = None if value.HasField("unsent_at") else text(value.parts)
    files = [] if value.HasField("unsent_at") else attachments(value.parts)
    data: Json = {
        "id": value.uid,
        "conversation_id": value.room_uid,
        "created_by": people.uid(value.user_id),
        "created_at": milliseconds(value.created_at),
        "unsent_at": _optional_time(value, "unsent_at"),
        "edited_at": _optional_time(value, "edited_at"),
        "expires_at": _optional_time(value, "expires_at"),
        "content": None if says is None else {"text": says},
        "attachments": files or None,
    }
    if value.HasField("reply_to"):
        data["reply_to"] = value.reply_to
    return data


def text(parts: Sequence[Part]) -> str | None:
    """What a message says, None for nothing but files: its inline parts and links, a line each, in their order.

    A message of this API has one inline part at most. Chatkit's may have several, of any type, and URLs.
    """
    lines = []
    for part in parts:
        kind = part.WhichOneof("body")
        if kind == "content":
            lines.append(part.content)
        elif kind == "url":
            lines.append(part.url)
    return "\n".join(lines) if lines else None


def attachments(parts: Sequence[Part]) -> list[Json]:
    """The files of a message."""
    return [attachment(part.attachment, part.type) for part in parts if part.WhichOneof("body") == "attachment"]


def attachment(value: Attachment, fallback_type: str = "") -> Json:
    """A file inside a message."""
    return {
        "id": value.id,
        "link": CONTENT_PATH + value.id,
        "name": value.name,
        "mime_type": media_type(value) or fallback_type or UNKNOWN_TYPE,
    }


def media_block(value: Attachment) -> Json:
    """A file as its upload answers with it."""
    return {
        "id": value.id,
        "link": CONTENT_PATH + value.id,
        "caption": value.caption if value.HasField("caption") else None,
        "file_name": None if value.name == value.id else value.name,  # the id stands in for a name that is missing
    }


def avatar(user_uid: str) -> Json:
    """Where a user's picture is."""
    return ok(id=user_uid, link=AVATAR_PATH + user_uid)


def push_subscription(value: PushSubscription) -> Json:
    """A browser that is told of new messages."""
    return {
        "id": value.id,
        "endpoint": value.endpoint,
        "created_at": milliseconds(value.created_at),
        "updated_at": milliseconds(value.updated_at),
        "expires_at": _optional_time(value, "expires_at"),
    }


def media_type(value: Attachment) -> str:
    """The type that the server found in the bytes; until there are any, the one that was given."""
    return value.detected_type or value.content_type


def last_text(value: Message, people: People) -> str:
    """The text of a conversation's newest message; for one of nothing but files, a sentence to its reader (spec §2)."""
    says = text(value.parts)
    if says is not None:
        return says
    files = [part for part in value.parts if part.WhichOneof("body") == "attachment"]
    kinds = {(media_type(part.attachment) or part.type).partition("/")[0] for part in files}
    one, several = _NOUNS.get(kinds.pop(), _FILE) if len(kinds) == 1 else _FILE
    return f"{_subject(value.user_id, people)} sent {one if len(files) == 1 else f'{len(files)} {several}'}"


def _subject(user_id: str, people: People) -> str:
    if user_id == people.reader:
        return "You"
    account = people.get(user_id)
    return (account.first_name if account else "") or "Somebody"
