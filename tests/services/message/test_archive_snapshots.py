"""An export has what there was at one moment, and nobody keeps that moment for ever; over real gRPC."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ExportRecordsRequest

from services.common.archive import FRAME_BYTES
from tests.services.message.desk import until
from tests.support.archives import Archive
from tests.support.cluster import Cluster, running_cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path) as running:
        await running.add_users("bob", "ann")
        yield running


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


def archive(cluster: Cluster) -> Archive:
    return Archive(cluster.message_channel, cluster.service.metadata("one"))


async def test_a_client_that_leaves_ends_its_snapshot(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    for _ in range(2):
        await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
    call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
    frame = await anext(aiter(call))
    assert 0 < frame.ByteSize() < 2 * FRAME_BYTES
    await bob.send(room)
    assert _is_held(cluster), "the log of what was written since is needed as long as there is the snapshot"
    call.cancel()

    async def is_free() -> bool:
        return not _is_held(cluster)

    await until(is_free)


@pytest.mark.thorough
async def test_a_server_that_stops_ends_its_exports(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.add_users("bob", "ann")
        await Talker.user(cluster, "bob").opened("ann")
        for _ in range(2):
            await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
        call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
        frames = aiter(call)
        await anext(frames)
        await cluster.message_server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            _ = [frame async for frame in frames]

        async def is_free() -> bool:
            return not _is_held(cluster)

        await until(is_free)


async def test_a_snapshot_does_not_know_what_comes_later(cluster: Cluster, bob: Talker) -> None:
    room = await bob.opened("ann")
    await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
    call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
    frames = aiter(call)
    first = await anext(frames)
    late = await bob.send(room)
    records = [*first.records, *[record async for frame in frames for record in frame.records]]
    assert first.total == len(records) == 61
    assert late.uid not in {record.message.message.uid for record in records}


@pytest.mark.thorough
async def test_a_client_that_stalls_ends_its_snapshot(
    cluster: Cluster, bob: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await bob.opened("ann")
    for _ in range(2):
        await archive(cluster).take_all(_bulk((await archive(cluster).export())[0], 60))
    monkeypatch.setattr("services.common.stalls.STALLED_SECONDS", 1)
    call = archive(cluster).stub.ExportRecords(ExportRecordsRequest(), metadata=cluster.service.metadata("one"))
    frames = aiter(call)
    await anext(frames)
    await bob.send(room)

    async def is_free() -> bool:
        return not _is_held(cluster)

    await until(is_free)
    with refuses("EXPORT_STALLED", seconds="1"):
        _ = [frame async for frame in frames]


def _bulk(room: ArchiveRecord, count: int) -> list[ArchiveRecord]:
    """Messages that are too many for the buffers of a connection."""
    made = room.room.room
    record = ArchiveRecord()
    message = record.message.message
    message.user_id, message.room_id = "bob", made.id
    message.parts.add(type="text/plain", content="x" * 60_000)
    message.created_at.CopyFrom(made.created_at)
    message.updated_at.CopyFrom(made.created_at)
    bulk = [ArchiveRecord() for _ in range(count)]
    for one in bulk:
        one.CopyFrom(record)
        one.message.message.uid = _next_uid()
    return bulk


_uids = iter(range(10**9))


def _next_uid() -> str:
    return f"01890000-0000-7000-8000-{next(_uids):012d}"


def _is_held(cluster: Cluster) -> bool:
    """Whether somebody reads an older state of the database."""
    try:
        path = cluster.settings.data_dir / "message.db"
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    except sqlite3.OperationalError:
        return True
    return bool(busy)
