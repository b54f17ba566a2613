"""The kinds of records in an archive: which file has them, which service takes them, what they are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from roomline.v1.archive_pb2 import ArchiveRecord


@dataclass(frozen=True)
class Kind:
    """One kind of thing."""

    plural: str
    """For people, and the file's name."""
    service: str
    """Who keeps it."""
    fields: tuple[str, ...]
    """Its fields in `ArchiveRecord.kind`."""
    id_of: Callable[[ArchiveRecord], str] = field(repr=False)
    """What a report calls one of them."""

    @property
    def file(self) -> str:
        """The file that has these records, one a line."""
        return f"{self.plural}.jsonl"


def _assignment_id(record: ArchiveRecord) -> str:
    one = record.assignment
    return f"{one.user_id} as {one.role_name}" + (f" in {one.room_id}" if one.HasField("room_id") else "")


def _room_id(record: ArchiveRecord) -> str:
    return record.room.room.id if record.HasField("room") else record.room_members.room_id


def _message_id(record: ArchiveRecord) -> str:
    return record.message.message.uid if record.HasField("message") else record.message_hidden.message_uid


def _attachment_id(record: ArchiveRecord) -> str:
    return record.attachment.id if record.HasField("attachment") else record.attachment_uses.attachment_id


USER = Kind("users", "user", ("user",), lambda record: record.user.user.id)
ROLE = Kind("roles", "message", ("role",), lambda record: record.role.name)
ROOM = Kind("rooms", "message", ("room", "room_members"), _room_id)
ASSIGNMENT = Kind("assignments", "message", ("assignment",), _assignment_id)
MESSAGE = Kind("messages", "message", ("message", "message_hidden"), _message_id)
ATTACHMENT = Kind("attachments", "media", ("attachment", "attachment_uses"), _attachment_id)
AVATAR = Kind("avatars", "media", ("avatar",), lambda record: record.avatar.user_id)

KINDS = (USER, ROLE, ROOM, ASSIGNMENT, MESSAGE, ATTACHMENT, AVATAR)
"""What archives have, in the order in which it is imported: what a record refers to comes before it."""
BY_FIELD = {name: kind for kind in KINDS for name in kind.fields}


def kind_of(record: ArchiveRecord) -> Kind | None:
    """The record's kind; None for one that this version does not know."""
    name = record.WhichOneof("kind")
    return BY_FIELD.get(name) if name else None
