"""Attachments and avatars out and in again, with their bytes, over real gRPC."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Value
from PIL import Image
from roomline.v1.archive_file_service_pb2 import ExportFileRequest, ImportFileRequest
from roomline.v1.archive_pb2 import ArchiveRecord, AvatarRecord
from roomline.v1.media_service_pb2 import GetAttachmentRequest, GetAvatarRequest, ReserveAttachmentRequest
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import DeleteMessageRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.streams import answer_of
from services.media.maintenance import Pace
from tests.services.media.drawings import JPEG, encoded
from tests.services.media.house import CHUNK, House
from tests.services.media.test_avatars import put as put_avatar
from tests.support.archives import CONFLICT, REDUCED, REFUSED, TAKEN, THERE, Archive, lines
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster
from tests.support.refusals import refuses

ABSENT = "01890000-0000-7000-8000-000000000000"
RED = encoded(Image.new("RGB", (70, 30), "red"), "PNG")
LARGE = bytes(range(256)) * 8192
"""Two MiB: more than is put in one request."""


@dataclass
class Move:
    """Archives of two instances that are on the same server."""

    house: House
    clock: ShiftedClock

    def archive(self, service: str, instance_id: str) -> Archive:
        channels = {
            "user": self.cluster.user_channel,
            "message": self.cluster.message_channel,
            "media": self.cluster.media_channel,
        }
        return Archive(channels[service], self.cluster.service.metadata(instance_id))

    @property
    def cluster(self) -> Cluster:
        return self.house.cluster

    @property
    def source(self) -> Archive:
        return self.archive("media", "one")

    @property
    def target(self) -> Archive:
        return self.archive("media", "two")

    async def messages(self) -> None:
        """Brings all over but the media."""
        for service in ("user", "message"):
            await self.archive(service, "two").take_all(await self.archive(service, "one").export())

    async def files(self, records: list[ArchiveRecord]) -> None:
        """Brings the bytes of records over."""
        for record in records:
            await self.give(record, await self.bytes_of(record))

    async def bytes_of(self, record: ArchiveRecord, instance_id: str = "one") -> bytes:
        request = (
            ExportFileRequest(avatar_user_id=record.avatar.user_id)
            if record.HasField("avatar")
            else ExportFileRequest(attachment_id=record.attachment.id)
        )
        archive = self.archive("media", instance_id)
        return b"".join([one.data async for one in archive.files.ExportFile(request, metadata=archive.metadata)])

    async def give(self, record: ArchiveRecord, data: bytes) -> bool:
        """Imports bytes; whether they were taken up."""
        answer = await answer_of(self.target.files.ImportFile(steps(record, data), metadata=self.target.metadata))
        return not answer.unchanged

    def query(self, statement: str) -> list[tuple[object, ...]]:
        path = self.cluster.settings.data_dir / "media.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def usage(self, instance_id: str) -> list[tuple[object, ...]]:
        return self.query(f"SELECT user_id, bytes, files FROM usage WHERE instance_id = '{instance_id}' ORDER BY 1")  # noqa: S608

    async def read(self, attachment_id: str) -> bytes:
        """What a server of the other instance gets."""
        return await self.house.read(attachment_id, self.cluster.as_server(instance_id="two"))


async def steps(record: ArchiveRecord, data: bytes) -> AsyncIterator[ImportFileRequest]:
    if record.HasField("avatar"):
        yield ImportFileRequest(avatar=record.avatar)
    else:
        yield ImportFileRequest(attachment_id=record.attachment.id)
    for start in range(0, len(data), CHUNK):
        yield ImportFileRequest(data=data[start : start + CHUNK])


@pytest.fixture
async def move(tmp_path: Path) -> AsyncIterator[Move]:
    clock = ShiftedClock()
    async with running_cluster(tmp_path, clock=clock, pace=Pace(sweep=0.05)) as cluster:
        house = House(cluster)
        await house.open()
        await cluster.add_instance("two")
        yield Move(house, clock)


async def until(move: Move, statement: str, rows: list[tuple[object, ...]]) -> None:
    """Returns when background work has made that the answer."""
    async with asyncio.timeout(30):
        while move.query(statement) != rows:  # noqa: ASYNC110 - there is no event: the state is another service's
            await asyncio.sleep(0.02)


async def test_files_come_back_as_they_were(move: Move) -> None:
    house = move.house
    picture, large = await house.file(JPEG, name="../a b.jpg"), await house.file(LARGE, room="")
    await house.send(picture.id)
    for _ in range(2):
        await house.send(large.id)
    nobody = await house.file(b"of a server", room="hall", by=house.server())
    await house.send(nobody.id, room="hall", by=house.server("bob"))
    reserved = ReserveAttachmentRequest(content_type="a/b", caption="seen", custom_data=Value(string_value="any"))
    captioned = await move.cluster.media.ReserveAttachment(reserved, metadata=house.user("ann"))
    await house.put(captioned.upload_url, b"")
    await house.send(captioned.attachment.id, by=house.user("ann"))
    await put_avatar(house, RED)
    usage = move.usage("one")
    await house.reserve(5)  # nothing is kept of it
    records = await move.source.export()
    assert [record.WhichOneof("kind") for record in records] == ["attachment"] * 4 + ["avatar"]
    assert [len(record.attachment.uses) for record in records[:4]] == [1, 2, 1, 1]
    assert [len(await move.bytes_of(record)) for record in records[:4]] == [
        record.attachment.size for record in records[:4]
    ]
    await move.messages()
    results = await move.target.take(*records)
    assert [(result.outcome, result.needs_bytes) for result in results] == [(TAKEN, True)] * 5
    assert lines(await move.target.export()) == lines(records[:4])
    await move.files(records)
    assert lines(await move.target.export()) == lines(records)
    assert [await move.bytes_of(record, "two") for record in records] == [await move.bytes_of(one) for one in records]
    assert await move.read(large.id) == LARGE
    assert move.usage("two") == usage
    seen = await house.look(picture.id, move.cluster.as_user("ann", "two"))
    assert (seen.name, seen.detected_type, seen.content_type) == (picture.name, "image/jpeg", picture.content_type)
    await until(move, "SELECT count(*) FROM attachments WHERE instance_id = 'two' AND width = 640", [(1,)])
    avatar = await move.cluster.media.GetAvatar(
        GetAvatarRequest(user_id="bob"), metadata=move.cluster.as_user("ann", "two")
    )
    first = await move.cluster.media.GetAvatar(GetAvatarRequest(user_id="bob"), metadata=house.user("ann"))
    assert (avatar.data, avatar.avatar.updated_at) == (first.data, first.avatar.updated_at)


async def test_an_import_that_is_repeated_changes_nothing(move: Move) -> None:
    file = await move.house.file(JPEG)
    message = await move.house.send(file.id)
    await put_avatar(move.house, RED)
    records = await move.source.export()
    await move.messages()
    await move.target.take_all(records)
    again = await move.target.take(*records)  # as if it had been cut off before the bytes came
    assert [(result.outcome, result.needs_bytes) for result in again] == [(THERE, True), (TAKEN, True)]
    await move.files(records)
    again = await move.target.take(*records)
    assert [(result.outcome, result.needs_bytes) for result in again] == [(THERE, False)] * 2
    assert not await move.give(records[0], b"other bytes")
    assert lines(await move.target.export()) == lines(records)
    # A file of a message that was deleted since does not come back.
    request = DeleteMessageRequest(room_id=message.room_id, id=message.id)
    await move.cluster.messages.DeleteMessage(request, metadata=move.cluster.as_server(instance_id="two"))
    await until(move, "SELECT count(*) FROM attachments WHERE instance_id = 'two'", [(0,)])
    refused, kept = await move.target.take(*records)
    assert (refused.outcome, kept.outcome) == (REFUSED, THERE)
    assert "none of the messages" in refused.detail


async def test_bytes_that_are_not_those_of_the_record(move: Move) -> None:
    file = await move.house.file(LARGE)
    await move.house.send(file.id)
    records = await move.source.export()
    await move.messages()
    await move.target.take_all(records)
    there = len(await move.house.objects())
    with refuses("FIELD_INVALID", field="data"):
        await move.give(records[0], LARGE[::-1])
    with refuses("SIZE_MISMATCH"):
        await move.give(records[0], LARGE + b"x")
    with refuses("SIZE_MISMATCH"):
        await move.give(records[0], LARGE[:-1])
    with refuses("FIELD_INVALID", field="step"):
        await answer_of(
            move.target.files.ImportFile(
                iter([*[ImportFileRequest(attachment_id=file.id)] * 2]), metadata=move.target.metadata
            )
        )
    await move.house.emptied(down_to=there)
    (result,) = await move.target.take(*records)
    assert (result.outcome, result.needs_bytes) == (THERE, True)
    assert await move.give(records[0], LARGE)
    assert await move.read(file.id) == LARGE


async def test_an_import_of_bytes_that_is_cut_off_leaves_nothing(move: Move) -> None:
    file = await move.house.file(LARGE)
    await move.house.send(file.id)
    records = await move.source.export()
    await move.messages()
    await move.target.take_all(records)
    there = len(await move.house.objects())
    half = asyncio.Event()

    async def cut() -> AsyncIterator[ImportFileRequest]:
        async for step in steps(records[0], LARGE[:-1]):
            yield step
        half.set()
        await asyncio.Event().wait()

    call = move.target.files.ImportFile(cut(), metadata=move.target.metadata)
    await half.wait()
    call.cancel()
    await move.house.emptied(down_to=there)
    await until(move, "SELECT count(*) FROM blobs WHERE instance_id = 'two'", [(0,)])
    assert await move.give(records[0], LARGE)


async def test_pictures_that_are_none(move: Move) -> None:
    await put_avatar(move.house, RED)
    (record,) = await move.source.export()
    await move.messages()
    large = encoded(Image.new("RGB", (700, 300), "red"), "WEBP")
    for data in (RED, large, b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(100)):
        digest = hashlib.sha256(data).digest()
        false = AvatarRecord(user_id="bob", size=len(data), digest=digest, updated_at=record.avatar.updated_at)
        assert await move.target.outcomes(ArchiveRecord(avatar=false)) == [TAKEN]
        with refuses("PICTURE_UNUSABLE"):
            await move.give(ArchiveRecord(avatar=false), data)
    good = await move.bytes_of(record)
    with refuses("FIELD_INVALID"):
        await move.give(record, good[:-1] + b"x")
    with refuses("SIZE_MISMATCH"):
        await move.give(record, good[:-1])
    unknown = ArchiveRecord(avatar=record.avatar)
    unknown.avatar.user_id = "ghost"
    assert await move.target.outcomes(unknown) == [REFUSED]
    with refuses("USER_NOT_FOUND"):
        await move.give(unknown, good)
    assert await move.target.export() == []
    assert await move.give(record, good)
    assert not await move.give(record, good)
    later = ArchiveRecord(avatar=record.avatar)
    later.avatar.updated_at.seconds += 1
    assert await move.target.outcomes(record, later) == [THERE, CONFLICT]


async def test_records_that_do_not_fit(move: Move) -> None:
    file = await move.house.file(JPEG)
    await move.house.send(file.id)
    (record,) = await move.source.export()

    def changed(**fields: object) -> ArchiveRecord:
        copy = ArchiveRecord()
        copy.CopyFrom(record)
        for name, value in fields.items():
            if value is None:
                copy.attachment.ClearField(name)  # type: ignore[arg-type]  # any field
            else:
                setattr(copy.attachment, name, value)
        return copy

    bad = {
        "uuid": changed(id="../../etc"),
        "created_at": changed(created_at=None),
        "32 bytes": changed(digest=b"short"),
        "room_uid": changed(room_uid=None),
        "neither": changed(digest=None, uses=None),
        "larger": changed(size=2**50),
        "at least 0": changed(size=-1),
        "none of the messages": record,
        "not for this service": ArchiveRecord(),
    }
    results = await move.target.take(*bad.values())
    assert [result.outcome for result in results] == [REFUSED] * len(bad)
    for why, result in zip(bad, results, strict=True):
        assert why in result.detail.lower()
    assert move.usage("two") == []


async def test_what_is_left_out_is_named(move: Move) -> None:
    file = await move.house.file(JPEG, room="")
    messages: list[Message] = [await move.house.send(file.id) for _ in range(2)]
    (record,) = await move.source.export()
    await move.messages()
    gone = DeleteMessageRequest(room_id=messages[0].room_id, id=messages[0].id)
    two = move.cluster.as_server(instance_id="two")
    await move.cluster.messages.DeleteMessage(gone, metadata=two)
    await move.cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=two)
    (result,) = await move.target.take(record)
    assert (result.outcome, result.needs_bytes) == (REDUCED, True)
    assert messages[0].uid in result.detail
    assert "bob" in result.detail
    await move.files([record])
    (kept,) = await move.target.export()
    assert (kept.attachment.user_id, len(kept.attachment.uses)) == ("", 1)
    # Uses of messages that exist are there for good, whatever is asked after later.
    move.clock.advance(2 * 24 * 3600)
    await until(move, "SELECT confirmed FROM uses WHERE instance_id = 'two'", [(1,)])
    assert await move.read(file.id) == JPEG


async def test_a_use_that_was_not_there_the_first_time(move: Move) -> None:
    """A message that was refused, and is taken up by the next import, must not lose its file with the others."""
    file = await move.house.file(JPEG, room="")
    first, second = [await move.house.send(file.id) for _ in range(2)]
    await move.archive("user", "two").take_all(await move.archive("user", "one").export())
    target, records = move.archive("message", "two"), await move.archive("message", "one").export()
    await target.take_all([one for one in records if one.message.message.uid != second.uid])
    (record,) = await move.source.export()
    assert await move.target.outcomes(record, record) == [REDUCED, THERE]
    await move.files([record])
    await target.take_all([one for one in records if one.message.message.uid == second.uid])
    assert await move.target.outcomes(record, record) == [TAKEN, THERE]
    request = DeleteMessageRequest(room_id=first.room_id, id=first.id)
    await move.cluster.messages.DeleteMessage(request, metadata=move.cluster.as_server(instance_id="two"))
    await until(move, "SELECT count(*) FROM uses WHERE instance_id = 'two'", [(1,)])
    assert await move.read(file.id) == JPEG


async def test_lost_bytes_and_digests_that_nobody_noted(move: Move) -> None:
    old, lost = await move.house.file(JPEG), await move.house.file(b"lost")
    await move.house.send(old.id, lost.id)
    noted = await move.source.export()
    move.query("UPDATE attachments SET digest = NULL")
    assert await move.source.export() == noted
    ((key,),) = move.query(f"SELECT blob FROM attachments WHERE id = '{lost.id}'")  # noqa: S608
    (move.house.folder / str(key)).unlink()
    records = await move.source.export()
    assert [bool(record.attachment.digest) for record in records] == [True, False]
    with refuses("ATTACHMENT_NOT_FOUND"):
        await move.bytes_of(records[1])
    await move.messages()
    results = await move.target.take(*records)
    assert [(result.outcome, result.needs_bytes) for result in results] == [(TAKEN, True), (TAKEN, True)]
    await move.files(records[:1])
    assert lines(await move.target.export()) == lines(records)
    found = await move.cluster.media.GetAttachment(
        GetAttachmentRequest(id=lost.id), metadata=move.cluster.as_server(instance_id="two")
    )
    assert not found.attachment.HasField("uploaded_at")


async def test_bytes_whose_digest_nobody_knew(move: Move) -> None:
    file = await move.house.file(JPEG)
    await move.house.send(file.id)
    (record,) = known = await move.source.export()
    unknown = ArchiveRecord()
    unknown.CopyFrom(record)
    unknown.attachment.digest = b""
    await move.messages()
    for outcome in (TAKEN, THERE):
        (result,) = await move.target.take(unknown)
        assert (result.outcome, result.needs_bytes) == (outcome, True)
    with refuses("SIZE_MISMATCH"):
        await move.give(unknown, JPEG[:-1])
    await move.give(unknown, JPEG)
    (result,) = await move.target.take(unknown)
    assert (result.outcome, result.needs_bytes) == (THERE, False)
    assert lines(await move.target.export()) == lines(known)


async def test_the_archive_of_one_user(move: Move) -> None:
    mine, hers = await move.house.file(JPEG), await move.house.file(b"hers", by=move.house.user("ann"))
    of_server = await move.house.file(b"a server's", by=move.house.server())
    await move.house.send(mine.id, of_server.id, by=move.house.server("bob"))
    await move.house.send(hers.id, by=move.house.user("ann"))
    await put_avatar(move.house, RED)
    records = await move.source.export("bob")
    assert {record.attachment.id or record.avatar.user_id for record in records} == {mine.id, of_server.id, "bob"}
    assert hers.id not in "".join(lines(records))
    with refuses("USER_NOT_FOUND"):
        await move.source.export("nobody")


async def test_files_that_many_messages_hold_have_several_records(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.common.archive.ITEMS_AT_ONCE", 2)
    file = await move.house.file(JPEG, room="")
    messages = [await move.house.send(file.id) for _ in range(5)]
    records = await move.source.export()
    assert [record.WhichOneof("kind") for record in records] == ["attachment", "attachment_uses", "attachment_uses"]
    assert (await move.target.take(records[1]))[0].outcome == REFUSED
    await move.messages()
    assert [one.outcome for one in await move.target.take(*records[:2])] == [TAKEN] * 2  # as if it had been cut off
    again = await move.target.take(*records)
    assert [(one.outcome, one.needs_bytes) for one in again] == [(THERE, True), (THERE, False), (TAKEN, False)]
    await move.files(records[:1])
    assert lines(await move.target.export()) == lines(records)
    assert {one.outcome for one in await move.target.take(*records)} == {THERE}
    gone = records[2]
    gone.attachment_uses.uses[0].message_uid = messages[0].uid
    gone.attachment_uses.uses.add(message_uid=ABSENT, room_uid=messages[0].room_uid)
    assert [one.outcome for one in await move.target.take(gone)] == [THERE]
    del gone.attachment_uses.uses[0]
    assert [one.outcome for one in await move.target.take(gone)] == [REFUSED]


async def test_a_file_stays_whose_first_record_has_only_messages_that_are_gone(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.common.archive.ITEMS_AT_ONCE", 2)
    file = await move.house.file(JPEG, room="")
    messages = [await move.house.send(file.id) for _ in range(3)]
    first, further = await move.source.export()
    await move.messages()
    for number, use in enumerate(first.attachment.uses):
        use.message_uid = f"{ABSENT[:-1]}{number}"
    outcomes = [(one.outcome, one.needs_bytes) for one in await move.target.take(first, further)]
    assert outcomes == [(REDUCED, True), (TAKEN, False)]
    (there,) = await move.target.export()
    assert [use.message_uid for use in there.attachment.uses] == [messages[2].uid]
    del first.attachment.uses[1]
    first.attachment.id = ABSENT
    assert [one.outcome for one in await move.target.take(first)] == [REFUSED], "there is no further record"
