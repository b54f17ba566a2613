"""Protobuf messages as Chatkit's JSON (spec §3, §4.1, §5.1, §8).

Unset optional fields are absent; zero, false, "" and [] are data and always present (spec §0).
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.instance_service_pb2 import IssueTestTokenResponse
from roomline.v1.job_pb2 import Job, JobStatus
from roomline.v1.media_service_pb2 import ReserveAttachmentResponse
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.presence_pb2 import PRESENCE_STATE_ONLINE, PresenceState
from roomline.v1.role_pb2 import Role, RoleAssignment, RoleScope
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.user_pb2 import User

from gateway.chatkit import dialect
from gateway.links import Links
from services.common.structs import from_struct, from_value

Json = dict[str, Any]

ERROR_URI = "https://docs.pusher.com/errors/"


def timestamp(value: Timestamp) -> str:
    """RFC 3339 in UTC, whole seconds, literal `Z`: what the date parsers of the SDKs expect (spec §0.1)."""
    return _seconds(value.seconds)


@lru_cache(maxsize=4096)
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def error(code: str, description: str) -> Json:
    """An error body; all values are strings (spec §11)."""
    return {"error": code, "error_description": description, "error_uri": ERROR_URI + code}


def event(name: str, data: Json, at: Timestamp) -> Json:
    """The body of an event (spec §10.3)."""
    return {"event_name": name, "data": data, "timestamp": timestamp(at)}


def presence(state: PresenceState.ValueType) -> Json:
    """The data of a `presence_state` event (spec §9.1)."""
    return {"state": "online" if state == PRESENCE_STATE_ONLINE else "offline"}


def token(issued: IssueTestTokenResponse, user_id: str) -> Json:
    """What a token provider answers (spec §2.3)."""
    return {
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.expires_in,
        "user_id": user_id,
        "refresh_token": issued.refresh_token,
    }


def user(value: User) -> Json:
    """A user (spec §3)."""
    data: Json = {"id": value.id, "name": value.name}
    if value.HasField("avatar_url"):
        data["avatar_url"] = value.avatar_url
    if value.HasField("custom_data"):
        data["custom_data"] = from_struct(value.custom_data)
    data["created_at"] = timestamp(value.created_at)
    data["updated_at"] = timestamp(value.updated_at)
    return data


def room(value: Room) -> Json:
    """A room of v1 to v6 without its members, as in `GET /rooms` (spec §4.1)."""
    data: Json = {
        "id": value.id,
        "name": value.name,
        "created_by_id": value.created_by_id,
        "private": value.private,
        "created_at": timestamp(value.created_at),
        "updated_at": timestamp(value.updated_at),
    }
    if value.HasField("custom_data"):
        data["custom_data"] = from_struct(value.custom_data)
    if value.HasField("push_notification_title_override"):
        data["push_notification_title_override"] = value.push_notification_title_override
    return data


def room_with_members(value: Room) -> Json:
    """A room of v1 to v6 as in create, join, get one and the joinable rooms."""
    data = room(value)
    data["member_user_ids"] = list(value.member_user_ids)
    return data


def user_room(value: UserRoom) -> Json:
    """A room of v1 to v6 as one of its members sees it."""
    data = room_with_members(value.room)
    data["unread_count"] = value.unread_count
    if value.room.HasField("last_message_at"):
        data["last_message_at"] = timestamp(value.room.last_message_at)
    return data


def role(value: Role) -> Json:
    """A role (spec §7, A2)."""
    scope = "room" if value.scope == RoleScope.ROLE_SCOPE_ROOM else "global"
    return {"name": value.name, "scope": scope, "permissions": list(value.permissions)}


def role_assignment(value: RoleAssignment) -> Json:
    """A role that a user has (A5). SDKs read its name by either key."""
    data: Json = {"role_name": value.role.name, **role(value.role)}
    if value.HasField("room_id"):
        data["room_id"] = value.room_id
    return data


def job(value: Job) -> Json:
    """A deletion that goes on (spec §3.6)."""
    status = "completed" if value.status == JobStatus.JOB_STATUS_COMPLETED else "in_progress"
    return {"id": value.id, "status": status}


def cursor(value: Cursor) -> Json:
    """A read cursor (spec §8)."""
    return {
        "cursor_type": 0,
        "room_id": value.room_id,
        "user_id": value.user_id,
        "position": value.position,
        "updated_at": timestamp(value.updated_at),
    }


def parts_message(value: Message, links: Links) -> Json:
    """A message as v3 and later show it (spec §5.1)."""
    return {
        "id": value.id,
        "user_id": value.user_id,
        "room_id": value.room_id,
        "parts": [part(one, value.room_id, links) for one in value.parts],
        "created_at": timestamp(value.created_at),
        "updated_at": timestamp(value.updated_at),
    }


def text_message(value: Message, links: Links) -> Json:
    """A message as v1 and v2 show it (spec §5.1, §5.5)."""
    text, link = dialect.downgrade(value.parts)
    data: Json = {
        "id": value.id,
        "user_id": value.user_id,
        "room_id": value.room_id,
        "text": text,
        "created_at": timestamp(value.created_at),
        "updated_at": timestamp(value.updated_at),
    }
    if link is not None:
        data["attachment"] = {"resource_link": links.absolute(link.url), "type": link.type, "name": link.name}
    return data


def part(value: Part, room_id: str, links: Links) -> Json:
    """A part, with exactly one of the three payload keys."""
    kind = value.WhichOneof("body")
    if kind == "url":
        return {"type": value.type, "url": value.url}
    if kind == "attachment":
        return {"type": value.type, "attachment": attachment(value.attachment, room_id, links)}
    return {"type": value.type, "content": value.content}


def reservation(value: ReserveAttachmentResponse, links: Links) -> Json:
    """Where an attachment's bytes go; nothing but strings (spec §0.4, §6.1)."""
    return {"attachment_id": value.attachment.id, "upload_url": links.absolute(value.upload_url)}


def file(url: str, media_type: str, links: Links) -> Json:
    """An uploaded v2 file, as a message takes it (spec §6.6)."""
    return {"resource_link": links.absolute(url), "type": dialect.kind(media_type)}


def attachment(value: Attachment, room_id: str, links: Links) -> Json:
    """An uploaded file (spec §6.3)."""
    data: Json = {
        "id": value.id,
        "download_url": links.absolute(value.download_url),
        "refresh_url": links.refresh(room_id, value.id),
        "expiration": timestamp(value.expiration),
        "name": value.name,
        "size": value.size,
    }
    if value.HasField("custom_data"):
        data["custom_data"] = from_value(value.custom_data)
    return data
