"""Clients that listen while an archive is imported: they get rooms, and are told of no message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest

from tests.gateway.live.house import gateway_of, token_of
from tests.gateway.live.stage import Socket, socket_at
from tests.support.archives import Archive
from tests.support.cluster import Cluster, running_cluster

BASE = "/services/chatkit/v6/one"
PATHS = (
    f"{BASE}/users",
    "/services/chatkit/v7/one/users",
    "/services/chatkit_cursors/v2/one/cursors/0/users/bob",
    "/services/chatkit_push_notifications/v1/one/users/bob",
    f"{BASE}/rooms/old",
    f"{BASE}/rooms/old/memberships",
)
LAST = ("room_updated", "read_state_updated", "", "push_notification", "new_message", "")
"""What each of them is told last of a new message."""
READ = 1_000_001
FIRST, SECOND = (f"01890000-0000-7000-8000-00000000000{number}" for number in (1, 2))


def room(room_id: str, uid: str) -> ArchiveRecord:
    """A private room of Alice and Bob, of which he had read a little."""
    record = ArchiveRecord()
    made = record.room.room
    made.id, made.uid, made.name, made.private, made.created_by_id = room_id, uid, room_id, True, "alice"
    made.created_at.CopyFrom(Timestamp(seconds=1_500_000_000))
    made.updated_at.CopyFrom(made.created_at)
    for user_id in ("alice", "bob"):
        record.room.members.add(user_id=user_id)
    record.room.cursors.add(user_id="bob", position=READ, updated_at=made.created_at)
    return record


def message(number: int, room_record: ArchiveRecord) -> ArchiveRecord:
    """A message of Alice's."""
    record, made = ArchiveRecord(), room_record.room.room
    sent = record.message.message
    sent.id, sent.uid = 1_000_000 + number, f"01890000-0000-7000-8000-1000000{number:05d}"
    sent.user_id, sent.room_id, sent.room_uid = "alice", made.id, made.uid
    sent.parts.add(type="text/plain", content=f"old news {number}")
    sent.created_at.CopyFrom(made.created_at)
    sent.updated_at.CopyFrom(made.created_at)
    return record


async def send(cluster: Cluster, room_id: str) -> None:
    request = SendMessageRequest(room_id=room_id, parts=[Part(type="text/plain", content="news")])
    await cluster.messages.SendMessage(request, metadata=cluster.as_user("alice"))


Told = dict[int, list[Any]]
"""What each subscription was told, by their numbers; its opening counts as something without a name."""


async def take(socket: Socket, told: Told, *until: tuple[int, str]) -> None:
    """Notes what comes, until these things have come; some may have come before."""
    while not all(any(body.get("event_name", "") == name for body in told.get(number, ())) for number, name in until):
        frame = await socket.receive()
        assert frame[0] in {101, 102}, frame
        told.setdefault(frame[1], []).append(frame[4] if frame[0] == 102 else {})


def named(bodies: list[Any], name: str) -> list[Any]:
    return [body["data"] for body in bodies if body.get("event_name") == name]


async def test_subscriptions_survive_an_import(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.add_users("alice", "bob")
        archive = Archive(cluster.message_channel, cluster.service.metadata("one"))
        old, new = room("old", FIRST), room("new", SECOND)
        await archive.take_all([old])
        async with gateway_of(cluster) as gateway, socket_at(gateway.port) as socket:
            told: Told = {}
            for number, path in enumerate(PATHS):
                await socket.subscribe(number, path, token_of(cluster))
                await take(socket, told, (number, ""))
            await take(socket, told, *((number, "initial_state") for number in (0, 1, 2, 5)))
            told.clear()
            await archive.take_all([message(1, old), message(2, old), new, message(3, new), message(4, new)])
            await send(cluster, "old")
            await take(socket, told, *((number, name) for number, name in enumerate(LAST) if name))
    assert [body.get("event_name") for body in told[0]] == ["added_to_room", "room_updated"]
    added, updated = (body["data"]["room"] for body in told[0])
    assert (added["id"], added["unread_count"], updated["id"], updated["unread_count"]) == ("new", 2, "old", 2)
    (added,) = named(told[1], "added_to_room")
    assert added["read_state"]["cursor"]["position"] == READ
    assert [one["data"]["chatkit"]["roomId"] for one in named(told[3], "push_notification")] == ["old"]
    (sent,) = named(told[4], "new_message")
    assert [part["content"] for part in sent["parts"]] == ["news"]
    assert "old news" not in repr(told)
    assert told.keys() == {0, 1, 3, 4}


async def test_what_is_read_at_an_import_is_known(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.add_users("alice", "bob")
        archive = Archive(cluster.message_channel, cluster.service.metadata("one"))
        old, read = room("old", FIRST), ArchiveRecord()
        del old.room.cursors[:]
        read.room_read.room_id, read.room_read.room_uid = "old", FIRST
        read.room_read.read_until.CopyFrom(old.room.room.created_at)
        await archive.take_all([old])
        async with gateway_of(cluster) as gateway, socket_at(gateway.port) as socket:
            told: Told = {}
            await socket.subscribe(0, PATHS[0], token_of(cluster))
            await take(socket, told, (0, "initial_state"))
            await archive.take_all([message(1, old), message(2, old), read])
            await send(cluster, "old")
            await take(socket, told, (0, "room_updated"))
            await socket.subscribe(1, PATHS[0], token_of(cluster))
            await take(socket, told, (1, "initial_state"))
    (updated,), (state,) = named(told[0], "room_updated"), named(told[1], "initial_state")
    assert updated["room"]["unread_count"] == 1
    assert [(one["room_id"], one["position"]) for one in state["cursors"]] == [("old", 1_000_002)]
    assert [one["unread_count"] for one in state["rooms"]] == [1]
