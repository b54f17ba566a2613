"""What ends by itself: unused files, claims without a message, garbage, and what a crash leaves behind."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import grpc
import pytest
import structlog
from roomline.v1.media_service_pb2 import ClaimAttachmentsRequest, UploadAttachmentRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from services.common.streams import answer_of
from services.media.maintenance import Pace
from services.message.server import build_server as build_message_server
from tests.services.media.house import House, chunks_of, signature_of
from tests.support.clock import ShiftedClock
from tests.support.cluster import OPERATOR_SECRET, SERVICE_SECRET, running_cluster
from tests.support.refusals import refuses

pytestmark = pytest.mark.thorough


HOUR = 3600
BRISK = Pace(sweep=0.05, retry=0.05)


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def house(tmp_path: Path, clock: ShiftedClock) -> AsyncIterator[House]:
    """A cluster with a clock to move, whose media service looks around all the time."""
    async with running_cluster(tmp_path, clock=clock, pace=BRISK) as cluster:
        opened = House(cluster)
        await opened.open()
        yield opened


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it holds; fails if it does not soon."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - background work tells nobody when it is done
            await asyncio.sleep(0.02)


def media_rows(house: House, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(house.cluster.settings.data_dir / "media.db")) as connection:
        return connection.execute(query).fetchall()


async def gone(house: House, attachment_id: str) -> bool:
    return media_rows(house, f"SELECT 1 FROM attachments WHERE id = '{attachment_id}'") == []  # noqa: S608


async def claim(house: House, attachment_id: str, message_uid: str) -> None:
    """Claims as the message service does."""
    (room_uid,) = media_rows(house, f"SELECT room_uid FROM attachments WHERE id = '{attachment_id}'")[0]  # noqa: S608
    request = ClaimAttachmentsRequest(
        ids=[attachment_id], room_uid=str(room_uid), user_id="bob", message_uid=message_uid
    )
    await house.cluster.media.ClaimAttachments(request, metadata=house.cluster.service.metadata("one"))


async def test_what_no_message_uses_ends_after_a_day(house: House, clock: ShiftedClock) -> None:
    reserved, used = (await house.reserve(5)).attachment, await house.file(b"used")
    await house.send(used.id)
    clock.advance(23 * HOUR)
    uploaded = await house.file(b"later")
    clock.advance(2 * HOUR)
    await eventually(lambda: gone(house, reserved.id))
    assert await house.read(uploaded.id) == b"later"
    clock.advance(23 * HOUR)
    await eventually(lambda: gone(house, uploaded.id))
    assert await house.read(used.id) == b"used"
    await house.emptied(down_to=1)


async def test_a_claim_without_a_message_ends(house: House, clock: ShiftedClock) -> None:
    file, sent = await house.file(b"x"), await house.file(b"y")
    await claim(house, file.id, "a message that never comes")
    await house.send(sent.id)
    with refuses("ATTACHMENT_UNUSABLE"):
        await house.send(file.id)
    clock.advance(11 * 60)

    async def settled() -> bool:
        return media_rows(house, "SELECT attachment_id FROM uses WHERE confirmed = 0") == []

    await eventually(settled)
    assert media_rows(house, "SELECT attachment_id, confirmed FROM uses") == [(sent.id, 1)]
    await house.send(file.id)
    assert await house.read(file.id, house.user("ann")) == b"x"


async def test_while_nobody_knows_of_a_message_its_claim_stays(house: House, clock: ShiftedClock) -> None:
    cluster = house.cluster
    file = await house.file(b"x")
    await house.send(file.id)
    await claim(house, (await house.reserve(1)).attachment.id, "a message that never comes")
    await cluster.message_server.stop()
    with structlog.testing.capture_logs() as logged:
        clock.advance(11 * 60)

        async def asked() -> bool:
            return len([line for line in logged if line.get("step") == "claims"]) > 1

        await eventually(asked)
    assert len(media_rows(house, "SELECT * FROM uses WHERE confirmed = 0")) == 2
    cluster.message_server = build_message_server(cluster.settings, clock)
    await cluster.message_server.start(cluster.settings.message_address)

    async def settled() -> bool:
        return media_rows(house, "SELECT attachment_id, confirmed FROM uses") == [(file.id, 1)]

    await eventually(settled)


async def test_what_cannot_be_deleted_now_is_deleted_later(house: House) -> None:
    stuck, free = await house.file(b"stuck"), await house.file(b"free")
    messages = [await house.send(file.id) for file in (stuck, free)]
    shard = house.folder / stuck.etag[-2:]
    shard.rename(house.folder / "away")
    shard.write_text("in the way")
    with structlog.testing.capture_logs():
        for message in messages:
            await house.unsend(message)

        async def free_gone() -> bool:
            return len(media_rows(house, "SELECT key FROM blobs")) == 1

        await eventually(free_gone)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.read(stuck.id)
    shard.unlink()
    (house.folder / "away").rename(shard)
    await house.emptied()


async def test_a_killed_service_leaves_nothing_for_ever(tmp_path: Path, unused_tcp_port: int) -> None:
    """A kill in the middle of an upload; what lies about then is swept at the next start."""
    async with running_cluster(tmp_path) as cluster:
        house = House(cluster)
        await house.open()
        kept = await house.file(b"kept")
        reserved = await house.reserve(None)
        await cluster.media_server.stop()
        environment = {
            **os.environ,
            "ROOMLINE_DATA_DIR": str(tmp_path),
            "ROOMLINE_USER_ADDRESS": cluster.settings.user_address,
            "ROOMLINE_MESSAGE_ADDRESS": cluster.settings.message_address,
            "ROOMLINE_MEDIA_ADDRESS": f"127.0.0.1:{unused_tcp_port}",
            "ROOMLINE_SERVICE_SECRET": SERVICE_SECRET,
            "ROOMLINE_OPERATOR_SECRET": OPERATOR_SECRET,
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.media", env=environment)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}") as channel:
            async with asyncio.timeout(30):
                await channel.channel_ready()
            upload = MediaServiceStub(channel).UploadAttachment()
            await upload.write(UploadAttachmentRequest(signature=signature_of(reserved.upload_url)))
            for chunk in chunks_of(bytes(12 * 1024 * 1024)):
                await upload.write(chunk)

            async def staged() -> bool:
                return any("#" in name for name in await house.objects())

            await eventually(staged)
            process.kill()
            await process.wait()
            with pytest.raises(grpc.aio.AioRpcError):
                await upload
        assert media_rows(house, "SELECT sum(counted) > 0 FROM blobs WHERE state = 'writing'") == [(1,)]
        await house.restart()
        await house.emptied(down_to=1)
        assert await house.read(kept.id) == b"kept"
        assert media_rows(house, "SELECT bytes, files FROM usage WHERE user_id = ''") == [(4, 2)]
        assert (await house.put(reserved.upload_url, b"again")).size == 5


async def test_an_upload_ends_with_what_it_is_for(house: House, clock: ShiftedClock) -> None:
    """Nobody else is waited for: the client may go on for ever."""
    reserved = await house.reserve(None)
    upload = house.cluster.media.UploadAttachment()
    await upload.write(UploadAttachmentRequest(signature=signature_of(reserved.upload_url)))
    await upload.write(UploadAttachmentRequest(chunk=b"1"))

    async def begun() -> bool:
        return media_rows(house, "SELECT 1 FROM blobs WHERE state = 'writing'") == [(1,)]

    await eventually(begun)
    clock.advance(25 * HOUR)
    async with asyncio.timeout(10):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await answer_of(upload)


async def test_files_are_their_owners_only(house: House) -> None:
    await house.file(b"x")
    await house.file(bytes(2 * 1024 * 1024))
    modes = {path.stat().st_mode & 0o777 for path in house.folder.rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in (house.folder, *house.folder.iterdir())}
    assert (modes, folders) == ({0o600}, {0o700})
