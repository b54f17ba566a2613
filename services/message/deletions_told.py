"""What topics are told of the deletion of a user: of no other rooms than those that they have to do with."""

from collections.abc import Iterable, Sequence

from roomline.v1.event_pb2 import UserDeleted

from services.message.event_store import Entry
from services.message.topics import InstanceTopic, Topic


def told_alike(entry: Entry, takers: Sequence[Topic]) -> Iterable[Sequence[Topic]]:
    """The topics for which one message serves: what a deletion says of rooms depends on whom it is told."""
    if not entry.event.HasField("user_deleted") or len(takers) == 1:
        return (takers,)
    alike: dict[tuple[str, ...], list[Topic]] = {}
    for topic in takers:
        alike.setdefault(tuple(narrowed(entry.event.user_deleted, (topic,)).room_uids), []).append(topic)
    return alike.values()


def narrowed(deleted: UserDeleted, takers: Sequence[Topic]) -> UserDeleted:
    """The deletion, with the rooms that those topics may know that the user was in."""
    if any(isinstance(topic, InstanceTopic) for topic in takers):
        return deleted
    told = UserDeleted(user_id=deleted.user_id)
    for room_id, room_uid in zip(deleted.room_ids, deleted.room_uids, strict=True):
        if any(topic.knows(room_uid) for topic in takers):
            told.room_ids.append(room_id)
            told.room_uids.append(room_uid)
    return told
