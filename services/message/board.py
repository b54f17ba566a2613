"""The topics of one stream, found by what events are about, and how far each has come."""

from collections.abc import Set

from services.message.event_store import Entry
from services.message.topics import InstanceTopic, Topic, UserTopic

MAX_TOPICS = 10_000


class Group:
    """Topics that have come equally far. Nearly always there is one: others are behind only while they catch up."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.topics: dict[int, Topic] = {}


class Board:
    """The topics of one stream, by id."""

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}
        self._groups: list[Group] = []
        self._group_of: dict[int, Group] = {}
        self._by_room: dict[str, dict[int, Topic]] = {}
        self._by_user: dict[str, dict[int, Topic]] = {}
        self._of_all: dict[int, Topic] = {}

    def add(self, topic: Topic, cursor: int) -> None:
        """Adds a topic, which has come that far."""
        group = next((group for group in self._groups if group.cursor == cursor), None)
        if group is None:
            group = Group(cursor)
            self._groups.append(group)
        self.topics[topic.id] = topic
        group.topics[topic.id] = topic
        self._group_of[topic.id] = group
        match topic:
            case InstanceTopic():
                self._of_all[topic.id] = topic
            case UserTopic():
                self._by_user.setdefault(topic.viewer, {})[topic.id] = topic
        for room_uid in topic.filed:
            self._by_room.setdefault(room_uid, {})[topic.id] = topic

    def remove(self, topic_id: int) -> None:
        """Removes a topic, if it is there."""
        topic = self.topics.pop(topic_id, None)
        if topic is None:
            return
        group = self._group_of.pop(topic_id)
        del group.topics[topic_id]
        if not group.topics:
            self._groups.remove(group)
        self._of_all.pop(topic_id, None)
        for room_uid in topic.filed:
            _take_out(self._by_room, room_uid, topic_id)
        _take_out(self._by_user, topic.viewer, topic_id)

    def learn(self, entry: Entry, caller: str) -> bool:
        """Lets topics take note of an event that may change access; whether one has ended.

        The deletion of the caller, if that is a user, concerns all of them.
        """
        deleted = entry.event.user_deleted.user_id if entry.event.HasField("user_deleted") else ""
        topics = self.topics if caller and deleted == caller else self._near(entry)
        for topic in topics.values():
            topic.learn(entry)
            if isinstance(topic, UserTopic):
                for room_uid in topic.filed.intersection(entry.rooms):
                    self._by_room.setdefault(room_uid, {})[topic.id] = topic
        return any(topic.ended for topic in topics.values())

    def takers(self, entry: Entry, group: Group | None = None) -> list[Topic]:
        """The topics, of one group or of all, that the event is sent for, by id."""
        members = self.topics if group is None else group.topics
        found = {topic.id: topic for topic in self._near(entry).values() if topic.id in members and topic.takes(entry)}
        return [found[topic_id] for topic_id in sorted(found)]

    def may_take(self, rooms: Set[str], users: Set[str]) -> bool:
        """Whether events about these may be sent for a topic. Asked of every stream, whatever happens."""
        return (
            bool(self._of_all)
            or not self._by_room.keys().isdisjoint(rooms)
            or not self._by_user.keys().isdisjoint(users)
        )

    def hindmost(self) -> tuple[Group, int | None] | None:
        """The group that is furthest behind, and how far the next one is; None if there are no topics."""
        self._merge()
        if not self._groups:
            return None
        first, *others = self._groups
        return first, others[0].cursor if others else None

    def only(self) -> Group | None:
        """The group that all topics are in."""
        return self._groups[0] if len(self._groups) == 1 else None

    def _merge(self) -> None:
        """Joins groups that have come equally far; puts the hindmost first."""
        if len(self._groups) <= 1:
            return
        self._groups.sort(key=lambda group: group.cursor)
        merged = self._groups[:1]
        for group in self._groups[1:]:
            if group.cursor != merged[-1].cursor:
                merged.append(group)
                continue
            merged[-1].topics.update(group.topics)
            for topic_id in group.topics:
                self._group_of[topic_id] = merged[-1]
        self._groups = merged

    def _near(self, entry: Entry) -> dict[int, Topic]:
        """Topics that the event may have to do with."""
        found = dict(self._of_all)
        for room_uid in entry.rooms:
            found.update(self._by_room.get(room_uid, {}))
        for user_id in entry.users:
            found.update(self._by_user.get(user_id, {}))
        return found


def _take_out(index: dict[str, dict[int, Topic]], key: str, topic_id: int) -> None:
    found = index.get(key, {})
    found.pop(topic_id, None)
    if not found:
        index.pop(key, None)
