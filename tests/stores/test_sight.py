"""Whatever happens to messages: lists, counts and previews say the same of what a member sees."""

import random
import sqlite3
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    HideMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
    UnsendMessageRequest,
)
from roomline.v1.room_service_pb2 import DiscardRoomRequest, OpenRoomRequest

from services.common.ids import MICROSECONDS
from services.common.sqlite import Database, migrate
from services.message import sqlite_member_sets
from services.message.server import MIGRATIONS
from services.message.sqlite_members import SqliteMembers
from services.message.sqlite_user_rooms import user_rooms
from tests.stores.conftest import SERVER, Stores, text, user
from tests.support.clock import ManualClock
from tests.support.refusals import refuses

MEMBERS = ("bob", "ann")


def gone(stores: Stores, message: Message) -> AbstractContextManager[None]:
    """What is done to a message that has expired is refused."""
    expired = message.HasField("expires_at") and message.expires_at.ToMicroseconds() <= stores.clock()
    return refuses("MESSAGE_NOT_FOUND") if expired else nullcontext()


async def one_step(stores: Stores, chance: random.Random, room_id: str, sent: list[Message]) -> None:
    """Something that can happen in a direct room."""
    who, message = chance.choice(MEMBERS), chance.choice(sent)
    match chance.randrange(9):
        case 0 | 1 | 2:
            request = SendMessageRequest(room_id=room_id, parts=[text("x")])
            if chance.random() < 0.4:
                request.expires_at.FromMicroseconds(stores.clock() + chance.randrange(1, 9) * MICROSECONDS)
            sent.append(await stores.messages.append(user(who), who, request))
        case 3 | 4:
            with gone(stores, message):
                await stores.removals.hide(user(who), who, HideMessageRequest(uid=message.uid))
        case 5:
            with gone(stores, message):
                await stores.removals.unsend(user(message.user_id), UnsendMessageRequest(uid=message.uid))
        case 6:
            await stores.cursors.set(user(who), who, room_id, chance.choice((0, 5, message.id)), stores.clock())
        case 7:
            stores.clock.advance(chance.randrange(3))
            if chance.random() < 0.5:
                await stores.removals.expire(chance.randrange(1, 5))
        case _:
            if chance.random() < 0.2:
                await stores.conversations.discard(user(who), who, DiscardRoomRequest(room_id=room_id))


@pytest.mark.parametrize("seed", range(8))
async def test_all_views_agree(stores: Stores, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    request = OpenRoomRequest(user_ids=["ann"])
    room = await stores.conversations.open(user("bob"), "bob", request, list(MEMBERS), stores.clock())
    room_id = room.room.room.id
    sent = [await stores.send(room_id, "bob")]
    for _ in range(60):
        await one_step(stores, chance, room_id, sent)
        for who in MEMBERS:
            page = (await stores.messages.page(user(who), ListMessagesRequest(room_id=room_id), 1000)).messages
            view = (await stores.conversations.user_room("one", who, room_id)).room
            cursor = await stores.cursors.get(SERVER, who, room_id)
            read = cursor.position if cursor else 0
            assert view.unread_count == sum(message.id > read for message in page)
            assert view.HasField("last_message") == bool(page)
            if page:
                assert view.last_message == page[0]
            for message in sent:
                if message.id not in {one.id for one in page}:
                    with refuses("MESSAGE_NOT_FOUND"):
                        await stores.messages.get(user(who), room_id, message.id)


async def test_all_rooms_are_read_in_a_few_queries(stores: Stores) -> None:
    async def statements() -> int:
        def work(connection: sqlite3.Connection) -> int:
            seen: list[str] = []
            connection.set_trace_callback(seen.append)
            rooms = user_rooms(connection, "one", "bob", stores.clock(), with_last_messages=True)
            connection.set_trace_callback(None)
            assert all(room.HasField("last_message") for room in rooms)
            return sum(not statement.startswith("--") for statement in seen)  # those are parts of statements

        return await stores.database.read(work)

    for number in range(20):
        await stores.room("bob", "ann", room_id=f"{number}")
        await stores.send(f"{number}", "ann")
        if number == 0:
            few = await statements()
    assert await statements() == few == 2


OLD = (
    "INSERT INTO rooms VALUES ('one', 'x', 1, 'uid', 'n', 'bob', 0, NULL, NULL, 1, 1, 7, 2, 1)",
    "INSERT INTO members VALUES ('one', 1, 'bob', 1, 0, 1, 0)",
    "INSERT INTO messages VALUES ('one', 1, 1000000, 'm0', 'bob', x'', 7, 7, NULL, NULL, NULL)",
    "INSERT INTO messages VALUES ('one', 1, 1000001, 'm1', 'bob', x'', 7, 7, NULL, NULL, NULL)",
)
"""A room with two messages, as the tables were before there were kinds."""


async def test_a_data_folder_from_before_works(tmp_path: Path) -> None:
    before, path = tmp_path / "migrations", tmp_path / "message.db"
    before.mkdir()
    for name in ("0001.rooms.sql", "0002.releases.sql"):
        (before / name).write_bytes((MIGRATIONS / name).read_bytes())
    migrate(path, before)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in OLD:
        connection.execute(statement)
    connection.close()
    migrate(path, MIGRATIONS)
    database = Database(path)
    await database.open()
    (room,) = (await SqliteMembers(database, ManualClock()).user_rooms("one", "bob", with_last_messages=True)).rooms
    assert (room.unread_count, room.last_message.id, room.archived, room.room.kind) == (2, 1000001, False, 0)
    await database.close()


async def test_a_set_of_members_is_found_by_index(stores: Stores) -> None:
    def plan(connection: sqlite3.Connection) -> str:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        sqlite_member_sets.find(connection, "one", ["bob", "ann", "cid"])
        connection.set_trace_callback(None)
        return str(connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall())

    assert "rooms_by_member_set (instance_id=? AND member_set=? AND kind=?)" in await stores.database.read(plan)
