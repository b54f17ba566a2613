"""A snapshot, and the events with a greater position than its own, make a fresh snapshot: no gap, no overlap."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from roomline.v1.cursor_service_pb2 import ListRoomCursorsRequest
from roomline.v1.event_pb2 import Event
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.message_service_pb2 import ListMessagesRequest
from roomline.v1.room_service_pb2 import ListMembersRequest

from tests.services.message.stream import said, watching
from tests.support.cluster import Cluster, running_cluster
from tests.support.talker import Talker

pytestmark = pytest.mark.thorough


CHANCE = random.Random(os.environ.get("ROOMLINE_SEED", "snapshots"))  # noqa: S311 - a failure can be repeated
USERS = ("bob", "ann", "eve")
STEPS = 60
SNAPSHOTS = 12


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path) as running:
        await running.add_users(*USERS)
        yield running


@dataclass
class Picture:
    """A room as three snapshots show it, each taken at a moment of its own."""

    members: set[str] = field(default_factory=set)
    messages: dict[int, str] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict, compare=False)

    def apply(self, event: Event) -> None:
        """Does what an event says, to the parts that are older."""
        newer = {name for name, position in self.positions.items() if event.position > position}
        match event.WhichOneof("change"):
            case "members_added" if "members" in newer:
                self.members.update(event.members_added.user_ids)
            case "members_removed" if "members" in newer:
                assert self.members.issuperset(event.members_removed.user_ids)
                self.members.difference_update(event.members_removed.user_ids)
            case "message_sent" if "messages" in newer:
                message = event.message_sent.message
                assert message.id not in self.messages
                if not message.HasField("unsent_at"):
                    self.messages[message.id] = said(event)
            case "message_edited" if "messages" in newer and event.message_edited.message.id in self.messages:
                self.messages[event.message_edited.message.id] = said(event)
            case "message_deleted" if "messages" in newer:
                self.messages.pop(event.message_deleted.message_id, None)
            case "cursor_set" if "cursors" in newer:
                cursor = event.cursor_set.cursor
                self.cursors[cursor.user_id] = cursor.position


async def taken(cluster: Cluster, room: str) -> Picture:
    """What the snapshots say now."""
    server = cluster.as_server()
    members = await cluster.rooms.ListMembers(ListMembersRequest(room_uid=room), metadata=server)
    page = await cluster.messages.ListMessages(ListMessagesRequest(room_uid=room, page_size=1000), metadata=server)
    cursors = await cluster.cursors.ListRoomCursors(ListRoomCursorsRequest(room_id=room), metadata=server)
    return Picture(
        set(members.user_ids),
        {message.id: "".join(part.content for part in message.parts) for message in page.messages},
        {cursor.user_id: cursor.position for cursor in cursors.cursors},
        {"members": members.position, "messages": page.position, "cursors": cursors.position},
    )


async def act(talkers: Sequence[Talker], room: str, sent: list[str]) -> None:
    """One thing that can happen; not everybody may do everything."""
    who = CHANCE.choice(talkers)
    try:
        match CHANCE.randrange(8):
            case 0 | 1 | 2:
                sent.append((await who.send(room, str(CHANCE.random()))).uid)
            case 3:
                await who.edit(CHANCE.choice(sent), str(CHANCE.random()))
            case 4:
                await who.unsend(CHANCE.choice(sent))
            case 5:
                await who.mark(room, CHANCE.choice(sent))
            case 6:
                await who.leave(room)
            case _:
                await CHANCE.choice(talkers).invite(room, who.user_id)
    except (grpc.aio.AioRpcError, IndexError):
        return


async def test_a_snapshot_and_what_comes_after_it(cluster: Cluster) -> None:
    talkers = [Talker.user(cluster, user_id) for user_id in USERS]
    room = await talkers[0].opened(*USERS[1:])
    sent: list[str] = []
    pictures: list[Picture] = []
    going_on = True

    async def change() -> None:
        for _ in range(STEPS):
            await act(talkers, room, sent)

    async def look() -> None:
        while going_on:
            pictures.append(await taken(cluster, room))
            if len(pictures) > SNAPSHOTS:
                await asyncio.sleep(0)
                del pictures[CHANCE.randrange(len(pictures))]

    async with watching(cluster, cluster.as_server(), WatchTopic(id=1, room_uid=room)) as stream:
        looking = asyncio.create_task(look())
        await asyncio.gather(*(change() for _ in range(4)))
        going_on = False
        await looking
        fresh = await taken(cluster, room)
        await stream.until(lambda: stream.positions[1] >= max(fresh.positions.values()))
    for picture in pictures:
        for watched in stream.events:
            picture.apply(watched.event)
        assert picture == fresh
    assert {watched.event.WhichOneof("change") for watched in stream.events} >= {"message_sent", "members_removed"}
