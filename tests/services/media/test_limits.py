"""What an instance and a user may store, and what happens when there is no room (fault 15)."""

import asyncio
import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import DeleteAttachmentRequest, ReserveAttachmentRequest, UploadAttachmentRequest

from services.common.sqlite import Database
from tests.faults.actors import outcome, race
from tests.services.media.house import House
from tests.support.cluster import Metadata, running_cluster
from tests.support.refusals import refuses

MEGABYTE = 1024 * 1024


async def limited(house: House, limits: InstanceLimits) -> Metadata:
    """A user of another instance with these limits."""
    await house.cluster.add_instance("two", limits)
    await house.cluster.add_users("bob", instance_id="two")
    return house.cluster.as_user("bob", "two")


async def test_a_hundred_reservations_at_once_keep_to_the_quota(house: House) -> None:
    bob = await limited(house, InstanceLimits(user_media_bytes=1000))
    outcomes = await race(*(house.reserve(300, by=bob, room="") for _ in range(100)))
    assert (outcomes.count("OK"), outcomes.count("QUOTA_EXCEEDED")) == (3, 97)


async def test_a_hundred_uploads_of_unknown_size_keep_to_the_quota(house: House) -> None:
    """While they run, too: what is on its way counts."""
    bob = await limited(house, InstanceLimits(media_bytes=30 * MEGABYTE))
    data = os.urandom(MEGABYTE)
    reserved = [await house.reserve(None, by=bob, room="") for _ in range(100)]
    outcomes = await race(*(house.put(one.upload_url, data) for one in reserved))
    assert set(outcomes) == {"OK", "QUOTA_EXCEEDED"}
    assert 15 <= outcomes.count("OK") <= 30
    await house.emptied(down_to=outcomes.count("OK"))
    with sqlite3.connect(house.cluster.settings.data_dir / "media.db") as connection:
        used = connection.execute("SELECT bytes FROM usage WHERE instance_id = 'two' AND user_id = ''").fetchone()
    connection.close()
    assert used == (outcomes.count("OK") * MEGABYTE,)


async def test_room_that_is_given_back_can_be_used(house: House) -> None:
    bob = await limited(house, InstanceLimits(media_bytes=100))
    first = (await house.reserve(60, by=bob, room="")).attachment
    with refuses("QUOTA_EXCEEDED", quota="media bytes"):
        await house.reserve(60, by=bob, room="")
    open_ended = await house.reserve(None, by=bob, room="")
    with refuses("QUOTA_EXCEEDED"):
        await house.put(open_ended.upload_url, bytes(41))
    await house.put(open_ended.upload_url, bytes(40))
    with refuses("QUOTA_EXCEEDED"):  # until it is replaced, what is there counts
        await house.put(open_ended.upload_url, bytes(39))
    await house.cluster.media.DeleteAttachment(DeleteAttachmentRequest(id=first.id), metadata=bob)
    await house.put(open_ended.upload_url, bytes(60))
    await house.put(open_ended.upload_url, bytes(40))
    with refuses("QUOTA_EXCEEDED"):
        await house.put(open_ended.upload_url, bytes(61))
    assert await house.read(open_ended.attachment.id, bob) == bytes(40)


async def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, media_max_bytes=2 * MEGABYTE) as cluster:
        house = House(cluster)
        await house.open()
        bob = await limited(house, InstanceLimits(file_bytes=1000))
        with refuses("FILE_TOO_LARGE", limit=str(2 * MEGABYTE)):
            await house.reserve(2 * MEGABYTE + 1)
        with refuses("FILE_TOO_LARGE", limit="1000"):
            await house.reserve(1001, by=bob, room="")
        open_ended = await house.reserve(None, by=bob, room="")
        with refuses("FILE_TOO_LARGE", limit="1000"):
            await house.put(open_ended.upload_url, bytes(1001))
        assert (await house.put(open_ended.upload_url, bytes(1000))).size == 1000
        await house.reserve(2 * MEGABYTE)


async def test_a_silent_upload_ends(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, idle_timeout_seconds=0.2) as cluster:
        house = House(cluster)
        await house.open()
        reserved = await house.reserve(10)
        stream = cluster.media.UploadAttachment(metadata=house.user("bob"))
        await stream.write(UploadAttachmentRequest(id=reserved.attachment.id))
        await stream.write(UploadAttachmentRequest(chunk=b"12345"))
        with refuses("DEADLINE_EXCEEDED"):
            await stream
        await house.emptied()


async def refused_for_lack_of_room(house: House, size: int) -> None:
    """An upload of this size must be refused and leave nothing, and all else must go on."""
    there = await house.file(b"there already")
    for known in (True, False):
        reserved = await house.reserve(size if known else None)
        with refuses("STORAGE_FULL"):
            await house.put(reserved.upload_url, os.urandom(size))
        await house.emptied(down_to=1)
    assert await house.read(there.id) == b"there already"
    assert await house.read((await house.file(b"small")).id) == b"small"


async def test_a_full_disk_refuses_bytes(tmp_path: Path) -> None:
    """A real one, of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(disk)]
    mounted = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"only root can mount a disk: {mounted.stderr.decode()}")
    try:
        async with running_cluster(tmp_path, media_url=f"file://{disk}/media") as cluster:
            house = House(cluster, disk=disk / "media")
            await house.open()
            await refused_for_lack_of_room(house, 6 * MEGABYTE)
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: ASYNC221 - the test is over


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system writes no more than so many bytes into any file of this process."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


async def test_a_system_that_takes_no_more_bytes(house: House) -> None:
    """As good as a full disk, and can be had without being root."""
    with no_file_larger_than(4 * MEGABYTE):
        await refused_for_lack_of_room(house, 6 * MEGABYTE)


async def test_a_full_database_refuses_reservations_and_goes_on_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases: list[Database] = []
    open_ = Database.open

    async def noted(database: Database) -> None:
        await open_(database)
        databases.append(database)

    monkeypatch.setattr(Database, "open", noted)
    with structlog.testing.capture_logs():  # every refusal would be printed with its traceback
        async with running_cluster(tmp_path) as cluster:
            house = House(cluster)
            await house.open()
            file = await house.file(b"there already")

            def limit(connection: sqlite3.Connection) -> None:
                (count,) = connection.execute("PRAGMA page_count").fetchone()
                connection.execute(f"PRAGMA max_page_count={count + 20}")

            await databases[-1].write(limit)
            request = ReserveAttachmentRequest(content_type="a/b", name="x" * 4096)
            reserve = cluster.media.ReserveAttachment

            async def full() -> bool:
                return await outcome(reserve(request, metadata=house.user("bob"))) == "STORAGE_FULL"

            assert any([await full() for _ in range(100)])
            assert await full()
            assert await house.read(file.id) == b"there already"
            assert await outcome(house.look(file.id)) == "OK"
