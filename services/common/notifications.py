"""What a notification of a new message says (spec §10.12): alike in subscriptions and in web push."""

from typing import Any, NamedTuple

from roomline.v1.message_pb2 import Message
from roomline.v1.room_pb2 import Room

from services.common.text_parts import first_text

ICON = "https://pusher.com/favicon.ico"
LINK = "https://pusher.com?ck_room_id="
"""Clients of the hosted service compare both exactly."""
LENGTH = 140
"""Characters of the message's text."""
CUT = "…"
WITHOUT_TEXT = "📎"


class Wording(NamedTuple):
    """What is shown."""

    title: str
    body: str


def concerns(room: Room) -> bool:
    """Whether members of the room are notified of its messages: of a private one they are."""
    return room.private


def wording(room: Room, message: Message, sender_name: str, *, members: int) -> Wording:
    """Title and body for a message of the room, which has so many members."""
    text = shortened(first_text(message.parts), LENGTH) or WITHOUT_TEXT
    title = sender_name if members == 2 else room.name
    if room.HasField("push_notification_title_override"):
        title = room.push_notification_title_override
    return Wording(title, text if members == 2 else f"{sender_name}: {text}")


def shortened(text: str, length: int) -> str:
    """The text, cut after so many characters."""
    return text if len(text) <= length else text[:length] + CUT


def notification(room: Room, said: Wording) -> dict[str, Any]:
    """The JSON object that clients get."""
    return {
        "notification": {"title": said.title, "body": said.body, "icon": ICON, "deep_link": LINK + room.id},
        "data": {"chatkit": {"roomId": room.id}},
    }
