"""What happens, as the chat API's events (spec §7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.event_pb2 import Event
from roomline.v1.message_pb2 import Message

from gateway.chat_api import render
from gateway.chat_api.people import NOBODY
from gateway.chat_api.render import Json
from services.common.timestamps import from_proto

if TYPE_CHECKING:
    from gateway.chat_api.people import Named
    from gateway.live.happening import Happening
    from gateway.live.user_stream import Place

RESYNC = "resync"


class Shown(NamedTuple):
    """One event, without its id."""

    name: str
    data: Json


def event_id(place: Place) -> str:
    """The id of what brings a client to a place."""
    return f"{place.epoch}:{place.position}"


def named(event: Event) -> Iterable[str]:
    """The ids of the users whom an event shows."""
    match event.WhichOneof("change"):
        case "message_sent":
            return (event.message_sent.message.user_id,)
        case "message_edited":
            return (event.message_edited.message.user_id,)
        case "message_deleted":
            return (event.message_deleted.user_id,)
        case "message_hidden":
            return (event.message_hidden.message.user_id,)
        case "members_added":
            return event.members_added.user_ids
        case "members_removed":
            return event.members_removed.user_ids
        case _:
            return ()


def shown(happening: Happening, people: Named, *, mine: bool) -> list[Shown]:
    """What a user is told of an event: nothing of some, and something for each conversation if another user is deleted.

    `mine` says that it is about the user itself, who has come or gone, for one.
    """
    event = happening.event
    change: Any = getattr(event, happening.kind) if happening.kind else None
    match happening.kind:
        case "message_sent":
            return _message("message.new", event, change.message, people)
        case "message_edited":
            return _message("message.edited", event, change.message, people)
        case "message_deleted" if change.HasField("message"):
            return _message("message.unsent", event, change.message, people)
        case "message_hidden" if change.HasField("message"):
            return _message("message.removed", event, change.message, people)
        case "room_created":
            return [_about("conversation.new", event, change.room.uid)]
        case "room_updated":
            return [_about("conversation.updated", event, change.room.uid)]
        case "room_deleted" | "room_discarded":
            return [_about("conversation.deleted", event, change.room_uid)]
        case "cursor_set":  # how much is unread
            return [_about("conversation.updated", event, change.room_uid)] if change.room_uid else []
        case "members_added":
            return [_member("member.joined", "conversation.new", event, change, people, mine=mine)]
        case "members_removed":
            return [_member("member.left", "conversation.deleted", event, change, people, mine=mine)]
        case "user_deleted" if not mine:
            return [_about("member.left", event, room_uid, users=[NOBODY]) for room_uid in change.room_uids]
        case _:
            return []


def resync(now: Timestamp) -> Shown:
    """What a client is told that has missed something."""
    return Shown(RESYNC, {"conversation_id": None, "message": None, "ts": render.milliseconds(now)})


def _message(name: str, event: Event, message: Message, people: Named) -> list[Shown]:
    """An expired message is absent, here as anywhere; that it would go its clients have known."""
    if _has_expired(message):
        return []
    return [_about(name, event, message.room_uid, render.message(message, people))]


def _has_expired(message: Message) -> bool:
    """A message that has expired is wiped like one that was unsent, when its time was over or later."""
    if not (message.HasField("expires_at") and message.HasField("unsent_at")):
        return False
    return from_proto(message.expires_at) <= from_proto(message.unsent_at)


def _member(name: str, my_name: str, event: Event, change: Any, people: Named, *, mine: bool) -> Shown:
    """Who comes into a conversation gets a new one, and who goes has one less; the others get the members."""
    if mine:
        return _about(my_name, event, change.room_uid)
    return _about(name, event, change.room_uid, users=[people.uid(user_id) for user_id in change.user_ids])


def _about(name: str, event: Event, room_uid: str, message: Json | None = None, **more: Json | list[str]) -> Shown:
    ts = render.milliseconds(event.created_at)
    return Shown(name, {"conversation_id": room_uid, "message": message, "ts": ts, **more})
