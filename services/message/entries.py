"""Events on their way to those who watch: whom they are about, and what must not be shown of them any more."""

from collections.abc import Callable

from roomline.v1.event_pb2 import Event
from roomline.v1.message_pb2 import Message

from services.common import timestamps
from services.message.event_store import Entry

_ROOMS: dict[str, Callable[[Event], list[str]]] = {
    "room_created": lambda event: [event.room_created.room.uid],
    "room_updated": lambda event: [event.room_updated.room.uid],
    "room_deleted": lambda event: [event.room_deleted.room_uid],
    "members_added": lambda event: [event.members_added.room_uid],
    "members_removed": lambda event: [event.members_removed.room_uid],
    "message_sent": lambda event: [event.message_sent.message.room_uid],
    "message_edited": lambda event: [event.message_edited.message.room_uid],
    "message_deleted": lambda event: [event.message_deleted.room_uid],
    "messages_imported": lambda event: [event.messages_imported.room_uid],
    "cursor_set": lambda event: [event.cursor_set.room_uid],
    "user_deleted": lambda event: list(event.user_deleted.room_uids),
    "user_typed": lambda event: [event.user_typed.room_uid],
}
"""The rooms that a change concerns; what concerns only one user is not here."""

_USERS: dict[str, Callable[[Event], list[str]]] = {
    "room_created": lambda event: list(event.room_created.room.member_user_ids),
    "room_deleted": lambda event: list(event.room_deleted.member_user_ids),
    "members_added": lambda event: list(event.members_added.user_ids),
    "members_removed": lambda event: list(event.members_removed.user_ids),
    "message_hidden": lambda event: [event.message_hidden.user_id],
    "room_discarded": lambda event: [event.room_discarded.user_id],
    "cursor_set": lambda event: [event.cursor_set.cursor.user_id],
    "user_deleted": lambda event: [event.user_deleted.user_id],
}


def entry_of(event: Event) -> Entry:
    """The entry of an event, whose message is not filled in yet."""
    kind = event.WhichOneof("change") or ""
    rooms, users = _ROOMS.get(kind), _USERS.get(kind)
    return Entry(event, tuple(rooms(event)) if rooms else (), tuple(users(event)) if users else ())


def bury(message: Message, at: int) -> None:
    """Takes away what a message says: it was deleted at that time."""
    empty(message)
    timestamps.fill(message.unsent_at, at)
    timestamps.fill(message.updated_at, at)


def empty(message: Message) -> None:
    """Takes away what a message says."""
    message.ClearField("parts")
    message.ClearField("custom_data")
    message.ClearField("reply_to")


def renew(entry: Entry, message: Message) -> None:
    """Shows a message as it is now, or what may be shown of it where it ends."""
    if entry.message is not None:
        entry.message.CopyFrom(message)
    elif entry.trace is not None:
        entry.trace.message.CopyFrom(message)
        empty(entry.trace.message)


def bury_in(entry: Entry, at: int) -> None:
    """Shows the message of an event as deleted at that time."""
    if entry.message is not None:
        bury(entry.message, at)
    elif entry.trace is not None:
        bury(entry.trace.message, at)


def lose(entry: Entry) -> None:
    """Shows the ids of the message, of which nothing is left: its room is gone."""
    message = entry.message
    if message is not None:
        ids = Message(
            id=message.id,
            uid=message.uid,
            user_id=message.user_id,
            room_id=message.room_id,
            room_uid=message.room_uid,
            unsent_at=entry.event.created_at,
        )
        message.CopyFrom(ids)
    elif entry.trace is not None:
        entry.trace.ClearField("message")
