"""The state that a log leads to: events proved by state."""

from dataclasses import dataclass, field
from typing import Any

from roomline.v1.event_pb2 import Event


@dataclass
class _Room:
    members: set[str]
    messages: set[int] = field(default_factory=set)
    cursors: dict[str, int] = field(default_factory=dict)
    hidden: set[tuple[str, int]] = field(default_factory=set)


class Replay:
    """Applies the events of an instance, from the first one on, as a watcher of the whole instance would.

    An event that makes no sense where it stands, such as a message in a deleted room, is an error.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    def apply(self, event: Event) -> None:
        """Takes the next event."""
        match event.WhichOneof("change"):
            case "room_created":
                created = event.room_created.room
                assert created.id not in self._rooms
                self._rooms[created.id] = _Room(set(created.member_user_ids))
            case "room_deleted":
                gone = self._rooms.pop(event.room_deleted.room_id)
                assert gone.members == set(event.room_deleted.member_user_ids)
            case "members_added":
                members = self._rooms[event.members_added.room_id].members
                assert members.isdisjoint(event.members_added.user_ids)
                members |= {*event.members_added.user_ids}
            case "members_removed":
                members = self._rooms[event.members_removed.room_id].members
                assert members.issuperset(event.members_removed.user_ids)
                members -= {*event.members_removed.user_ids}
            case "message_sent":
                message = event.message_sent.message
                assert message.user_id in self._rooms[message.room_id].members
                self._rooms[message.room_id].messages.add(message.id)
            case "message_deleted":
                self._rooms[event.message_deleted.room_id].messages.remove(event.message_deleted.message_id)
            case "message_hidden":
                hidden = event.message_hidden
                room = self._rooms[hidden.room_id]
                assert hidden.user_id in room.members
                assert (hidden.user_id, hidden.message_id) not in room.hidden
                room.hidden.add((hidden.user_id, hidden.message_id))
            case "cursor_set":
                cursor = event.cursor_set.cursor
                self._rooms[cursor.room_id].cursors[cursor.user_id] = cursor.position
            case "user_deleted":
                user_id = event.user_deleted.user_id
                left = {room_id for room_id, room in self._rooms.items() if user_id in room.members}
                assert left == set(event.user_deleted.room_ids)
                for room in self._rooms.values():
                    room.members.discard(user_id)
                    room.cursors.pop(user_id, None)
                    room.hidden = {mark for mark in room.hidden if mark[0] != user_id}
            case "room_updated" | "message_edited" | "room_discarded":
                pass
            case unknown:
                raise AssertionError(f"what is {unknown}?")

    def state(self) -> dict[str, Any]:
        """Members, live messages, what is hidden, and cursors, by room."""
        return {
            room_id: {
                "members": sorted(room.members),
                "messages": sorted(room.messages),
                "hidden": sorted(room.hidden),
                "cursors": room.cursors,
            }
            for room_id, room in self._rooms.items()
        }
