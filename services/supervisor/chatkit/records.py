"""Users, rooms and messages as Chatkit exported them, as records of an archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message as ProtoMessage
from google.protobuf.struct_pb2 import Value
from roomline.v1.archive_pb2 import (
    ArchiveRecord,
    AttachmentRecord,
    AttachmentUseRecord,
    MemberRecord,
    MessageRecord,
    RoomRecord,
    UserRecord,
)
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.room_pb2 import Room
from roomline.v1.user_pb2 import User

from services.common.custom_data import fill_struct, fill_value
from services.common.errors import RoomlineError
from services.common.rules import check, rule_of
from services.common.timestamps import from_proto
from services.supervisor.chatkit.fields import Fields, UnusableError
from services.supervisor.chatkit.uids import uid

MANY = 200
"""So many unknown keys are counted, each by itself."""


@dataclass(frozen=True, slots=True)
class File:
    """An attachment of a message: its record, and where Chatkit has the bytes, for seven days."""

    record: ArchiveRecord
    url: str


@dataclass(slots=True)
class Converted:
    """What was made of a value."""

    id: str | int
    """For a message, its id in its room: in the data that Chatkit exported, messages of two rooms can have the same."""
    created_at: int
    """In microseconds."""
    record: ArchiveRecord
    room_id: str = ""
    """Of a message."""
    files: list[File] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    """What had to be left out of it."""


class Converter:
    """Makes records. Raises UnusableError for values of which none can be made.

    `room_created_at` says when a room was created, in microseconds; None for a room that is not known.
    """

    def __init__(self, room_created_at: Callable[[str], int | None]) -> None:
        self._room_created_at = room_created_at
        self.unknown: Counter[str] = Counter()
        """How often there was a key that has no meaning here."""

    def user(self, value: Any) -> Converted:
        """A user."""
        fields = Fields(value)
        fields.refuse_deleted()
        user = User(
            id=fields.identifier("id"),
            name=fields.text("name"),
            created_at=fields.time("created_at"),
            updated_at=fields.time("updated_at"),
        )
        created_at = from_proto(user.created_at)
        user.uid = uid(created_at, "user", user.id)
        converted = Converted(user.id, created_at, ArchiveRecord(user=UserRecord(user=user)))
        _optional_text(converted, fields, "avatar_url", converted.record.user.user)
        _custom_data(converted, fields, converted.record.user.user)
        self._count(fields)
        return converted

    def room(self, value: Any) -> Converted:
        """A room with its members."""
        fields = Fields(value)
        fields.refuse_deleted()
        room = Room(
            id=fields.identifier("id"),
            name=fields.text("name"),
            created_by_id=fields.identifier("created_by_id"),
            private=fields.flag("private"),
            created_at=fields.time("created_at"),
            updated_at=fields.time("updated_at"),
        )
        fields.get("last_message_at")  # follows from the messages
        created_at = from_proto(room.created_at)
        room.uid = room_uid(room.id, created_at)
        # Who created the room comes first in what Chatkit shows.
        member_ids = sorted(fields.identifiers("member_ids"), key=lambda user_id: user_id != room.created_by_id)
        members = [MemberRecord(user_id=user_id, joined_at=room.created_at) for user_id in member_ids]
        record = ArchiveRecord(room=RoomRecord(room=room, members=members))
        converted = Converted(room.id, created_at, record)
        _optional_text(converted, fields, "push_notification_title_override", record.room.room)
        _custom_data(converted, fields, record.room.room)
        self._count(fields)
        return converted

    def message(self, value: Any) -> Converted:
        """A message; it draws an id of its own from the server."""
        fields = Fields(value)
        fields.refuse_deleted()
        key, room_id = fields.key("id"), fields.identifier("room_id")
        message = Message(
            user_id=fields.identifier("sender_id"),
            room_id=room_id,
            created_at=fields.time("created_at"),
            updated_at=fields.time("updated_at"),
        )
        room_created_at = self._room_created_at(room_id)
        if room_created_at is None:
            raise UnusableError(f"there is no room {room_id}")
        created_at = from_proto(message.created_at)
        message.room_uid = room_uid(room_id, room_created_at)
        message.uid = uid(created_at, "message", room_id, key)
        converted = Converted(key, created_at, ArchiveRecord(message=MessageRecord(message=message)), room_id)
        for index, part in enumerate(fields.items("parts")):
            try:
                self._part(converted, part, index)
            except UnusableError as error:
                converted.losses.append(f"part {index} is left out: {error}")
        if not converted.record.message.message.parts:
            raise UnusableError("; ".join(converted.losses) or "it has no parts")
        self._count(fields)
        return converted

    def _part(self, converted: Converted, value: Any, index: int) -> None:
        fields = Fields(value)
        kind = fields.text("part_type")
        payload = Fields(fields.get("payload"), "its payload")
        part = Part(type=payload.text("type"))
        file = None
        match kind:
            case "inline":
                part.content = payload.text("content")
            case "url":
                part.url = payload.text("url")
            case "attachment":
                file = self._file(converted, payload, part.type, index)
                part.attachment.CopyFrom(Attachment(id=file.record.attachment.id))
            case _:
                raise UnusableError(f"its part_type is {kind[:64]!r}")
        _check(part)
        if file is not None:
            _check(file.record)
            converted.files.append(file)
        converted.record.message.message.parts.append(part)
        self._count(fields, "parts.")
        self._count(payload, "parts.payload.")

    @staticmethod
    def _file(converted: Converted, payload: Fields, content_type: str, index: int) -> File:
        message = converted.record.message.message
        attachment = AttachmentRecord(
            id=uid(converted.created_at, "attachment", message.room_id, converted.id, index),
            user_id=message.user_id,
            room_id=message.room_id,
            room_uid=message.room_uid,
            name=payload.text("name"),
            content_type=content_type,
            size=payload.number("size"),
            created_at=message.created_at,
            uses=[AttachmentUseRecord(message_uid=message.uid, room_uid=message.room_uid, user_id=message.user_id)],
        )
        _custom_data(converted, payload, attachment, f"of part {index} ")
        url = payload.optional_text("download_url") or ""
        return File(ArchiveRecord(attachment=attachment), url)

    def _count(self, fields: Fields, path: str = "") -> None:
        names = (path + name for name in fields.unknown)
        self.unknown.update(name if name in self.unknown or len(self.unknown) < MANY else "others" for name in names)


def room_uid(room_id: str, created_at: int) -> str:
    """The `uid` of a room that was created then, in microseconds."""
    return uid(created_at, "room", room_id)


def _check(part: ProtoMessage) -> None:
    """Has one part be left out that breaks a rule of the contract, and not all of its message."""
    try:
        check(part)
    except RoomlineError as error:
        raise UnusableError(str(error)) from error


def _optional_text(converted: Converted, fields: Fields, name: str, target: ProtoMessage) -> None:
    """Takes over a text that is not needed; one that cannot be kept is a loss, and no reason to lose the rest."""
    rule = rule_of(type(target), name)
    try:
        text = fields.optional_text(name)
        if text is not None and len(text) > (rule.max_length or len(text)):
            raise UnusableError(f"it has more than {rule.max_length} characters")
        if text is not None and len(text.encode()) > (rule.max_bytes or len(text.encode())):
            raise UnusableError(f"it has more than {rule.max_bytes} bytes")
    except UnusableError as error:
        converted.losses.append(f"{name} is left out: {error}")
        return
    if text is not None:
        setattr(target, name, text)


def _custom_data(converted: Converted, fields: Fields, target: ProtoMessage, of: str = "") -> None:
    """Takes over `custom_data`; what cannot be kept is a loss, and no reason to lose the rest."""
    data = fields.get("custom_data")
    if data is None:
        return
    made: Any = target
    kept = type(made.custom_data)()
    try:
        fill_value(kept, data, "custom_data") if isinstance(kept, Value) else fill_struct(kept, data, "custom_data")
    except (RoomlineError, UnicodeEncodeError) as error:
        converted.losses.append(f"custom_data {of}is left out: {error}")
        return
    made.custom_data.CopyFrom(kept)
