"""What archives promise when users go while their rooms come."""

import asyncio

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.archive_pb2 import ArchiveRecord, MemberRecord, RoomRecord
from roomline.v1.archive_service_pb2 import ImportOutcome
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import CreateRoomRequest

from services.message.archive_store import ArchiveStore
from services.message.sqlite_archive import PIECE_BYTES, SqliteArchive
from tests.stores.conftest import SERVER, STRANGER, Stores
from tests.support.plans import looking_at_all, plans_of_writing
from tests.support.refusals import refuses

AT = Timestamp(seconds=1_500_000_000)
PEOPLE = {"bob", "ann"}


@pytest.fixture
def archive(stores: Stores) -> ArchiveStore:
    return SqliteArchive(stores.database, stores.clock)


def room(number: int = 1) -> ArchiveRecord:
    made = Room(id=f"r{number}", uid=f"01890000-0000-7000-8000-{number:012d}", created_at=AT, updated_at=AT)
    return ArchiveRecord(room=RoomRecord(room=made, members=[MemberRecord(user_id=one) for one in sorted(PEOPLE)]))


async def exported(archive: ArchiveStore, instance_id: str = "one") -> list[ArchiveRecord]:
    return [record async for frame in archive.export(instance_id, "") for record in frame.records]


async def test_who_was_purged_meanwhile_is_left_out(stores: Stores, archive: ArchiveStore) -> None:
    asked_at = stores.clock()
    stores.clock.advance(1)
    await stores.purges.user("one", "ann")
    (result,) = await archive.take("one", [room()], PEOPLE, asked_at)
    assert result.outcome == ImportOutcome.IMPORT_OUTCOME_REDUCED
    (record,) = await exported(archive)
    assert [member.user_id for member in record.room.members] == ["bob"]
    stores.clock.advance(1)
    (result,) = await archive.take("one", [room(2)], PEOPLE, stores.clock())
    assert result.outcome == ImportOutcome.IMPORT_OUTCOME_IMPORTED


async def test_an_instance_that_was_purged_meanwhile_stays_empty(stores: Stores, archive: ArchiveStore) -> None:
    asked_at = stores.clock()
    stores.clock.advance(1)
    await stores.purges.instance("one")
    with refuses("USERS_NOT_FOUND"):
        await archive.take("one", [room()], PEOPLE, asked_at)
    assert await exported(archive) == []


async def test_a_record_is_taken_whole_or_not_at_all(
    stores: Stores, archive: ArchiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr("services.message.sqlite_import_messages.finish", fail)
        with pytest.raises(MemoryError):
            await archive.take("one", [room(1), room(2)], PEOPLE, stores.clock())
    assert await exported(archive) == []
    assert await stores.kinds() == []
    await archive.take("one", [room(2)], PEOPLE, stores.clock())


async def test_others_write_between_the_records_of_a_large_call(stores: Stores, archive: ArchiveStore) -> None:
    rooms = [room(number) for number in range(1, 4 * PIECE_BYTES // room().ByteSize())]
    call = asyncio.ensure_future(archive.take("one", rooms, PEOPLE, stores.clock()))
    while not await exported(archive):
        pass
    among = await stores.rooms.create(SERVER, "bob", CreateRoomRequest(id="among"), ["bob"], stores.clock())
    results = await call
    assert {result.outcome for result in results} == {ImportOutcome.IMPORT_OUTCOME_IMPORTED}
    there = [record.room.room.uid for record in await exported(archive)]
    assert there.index(among.room.uid) < len(rooms)
    assert [uid for uid in there if uid != among.room.uid] == [record.room.room.uid for record in rooms]


async def test_instances_know_nothing_of_each_other(stores: Stores, archive: ArchiveStore) -> None:
    for instance_id in ("one", STRANGER.instance_id):
        (result,) = await archive.take(instance_id, [room()], PEOPLE, stores.clock())
        assert result.outcome == ImportOutcome.IMPORT_OUTCOME_IMPORTED
    await stores.purges.instance("one")
    assert (await exported(archive), len(await exported(archive, STRANGER.instance_id))) == ([], 1)


async def test_taking_a_room_does_not_look_at_all_others(stores: Stores, archive: ArchiveStore) -> None:
    async with plans_of_writing(stores.database) as plans:
        await archive.take("one", [room()], PEOPLE, stores.clock())
        await archive.take("one", [room()], PEOPLE, stores.clock())
    assert any("SEARCH rooms" in plan for plan in plans)
    assert looking_at_all("rooms", plans) == []
