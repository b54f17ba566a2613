"""Downloads of what is on its way, replaced or deleted meanwhile (spec §6.3)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import grpc
import pytest
from roomline.v1.media_service_pb2 import DeleteAttachmentRequest, DownloadAttachmentRequest, UploadAttachmentRequest

from services.common.streams import answer_of
from services.media.arrivals import Arrivals
from services.media.blobs import FolderBlobs
from services.media.downloads import Downloads
from services.media.meter import Patience
from services.media.server import build_server
from tests.services.media.house import House, chunks_of, signature_of
from tests.stores.media_stores import open_stores, user
from tests.support.refusals import refuses

pytestmark = pytest.mark.thorough


MEGABYTE = 1024 * 1024
SECONDS = 60


@pytest.fixture
async def hasty_house(house: House) -> House:
    """A media service that does not wait for long."""
    await house.cluster.media_server.stop()
    house.cluster.media_server = build_server(house.cluster.settings, hold_seconds=0.3)
    await house.cluster.media_server.start(house.cluster.settings.media_address)
    return house


@pytest.fixture
async def patient_house(house: House) -> House:
    """A media service that waits far longer than its callers do."""
    await house.cluster.media_server.stop()
    house.cluster.media_server = build_server(house.cluster.settings, hold_seconds=10 * SECONDS)
    await house.cluster.media_server.start(house.cluster.settings.media_address)
    return house


async def test_a_download_waits_for_the_upload(house: House) -> None:
    reserved = await house.reserve(5)
    message = await house.send(reserved.attachment.id)
    waiting = [
        asyncio.create_task(house.get(message.parts[0].attachment.download_url)),
        asyncio.create_task(house.read(reserved.attachment.id, house.user("ann"))),
    ]
    done, _ = await asyncio.wait(waiting, timeout=0.3)
    assert not done
    await house.put(reserved.upload_url, b"there")
    assert await asyncio.gather(*waiting) == [b"there", b"there"]


async def test_it_does_not_wait_for_ever(hasty_house: House) -> None:
    reserved = await hasty_house.reserve(5)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await hasty_house.get(reserved.attachment.download_url)


async def test_it_does_not_wait_for_what_is_deleted(patient_house: House) -> None:
    reserved = await patient_house.reserve(5)
    waiting = asyncio.create_task(patient_house.get(reserved.attachment.download_url))
    await asyncio.wait([waiting], timeout=0.1)
    request = DeleteAttachmentRequest(id=reserved.attachment.id)
    await patient_house.cluster.media.DeleteAttachment(request, metadata=patient_house.user("bob"))
    async with asyncio.timeout(SECONDS):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await waiting


async def test_a_download_of_what_is_deleted_ends(house: House) -> None:
    file = await house.file(bytes(40 * MEGABYTE))
    stream = aiter(
        house.cluster.media.DownloadAttachment(DownloadAttachmentRequest(id=file.id), metadata=house.user("bob"))
    )
    await anext(stream)
    request = DeleteAttachmentRequest(id=file.id)
    await house.cluster.media.DeleteAttachment(request, metadata=house.user("bob"))
    await house.emptied()
    with refuses("ATTACHMENT_NOT_FOUND"):  # though the system would go on reading the open file
        async with asyncio.timeout(20):
            async for _ in stream:
                pass


async def test_a_download_that_is_just_opening_ends_too(tmp_path: Path) -> None:
    stores = await open_stores(tmp_path)

    class Deleting(FolderBlobs):
        """Somebody deletes the attachment as soon as its file is open."""

        async def get(self, key: str, start: int, length: int) -> AsyncGenerator[bytes]:
            chunks = await super().get(key, start, length)
            for place in downloads.in_progress():
                await downloads.stop(*place)
            return chunks

    blobs = Deleting(tmp_path / "media")
    downloads = Downloads(stores.attachments, blobs, Arrivals())
    await blobs.open()
    stored = await stores.upload(await stores.reserve(user("bob"), size=1))
    await blobs.put(stored.blob or "", one_chunk(b"1"), {})
    with refuses("ATTACHMENT_NOT_FOUND"):
        async for response in downloads.stream(stored, DownloadAttachmentRequest()):
            assert response.HasField("head")
    assert downloads.in_progress() == []
    await stores.database.close()


async def one_chunk(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


async def test_a_download_keeps_to_the_bytes_it_began_with(house: House) -> None:
    reserved = await house.reserve(8 * MEGABYTE)
    first = await house.put(reserved.upload_url, b"1" * 8 * MEGABYTE)
    request = DownloadAttachmentRequest(id=first.id)
    stream = aiter(house.cluster.media.DownloadAttachment(request, metadata=house.user("bob")))
    head = await anext(stream)
    await house.put(reserved.upload_url, b"2" * 8 * MEGABYTE)
    data = b"".join([response.chunk async for response in stream])
    assert (head.head.etag, set(data), len(data)) == (first.etag, {ord("1")}, first.size)


async def test_a_later_upload_ends_an_earlier_one(house: House) -> None:
    reserved = await house.reserve(None)
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[UploadAttachmentRequest]:
        yield UploadAttachmentRequest(signature=signature_of(reserved.upload_url))
        for chunk in chunks_of(bytes(3 * MEGABYTE)):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    earlier = house.cluster.media.UploadAttachment(slow())
    await begun.wait()
    file = await house.put(reserved.upload_url, b"later")
    with refuses("CANCELLED"):
        await answer_of(earlier)
    assert await house.read(file.id) == b"later"
    await house.emptied(down_to=1)


async def test_a_service_that_stops_takes_back_what_is_unfinished(any_house: House) -> None:
    reserved = await any_house.reserve(None)
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[UploadAttachmentRequest]:
        yield UploadAttachmentRequest(signature=signature_of(reserved.upload_url))
        for chunk in chunks_of(bytes(12 * MEGABYTE)):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    upload = any_house.cluster.media.UploadAttachment(slow())
    await begun.wait()
    await any_house.cluster.media_server.stop()
    assert await any_house.objects() == []
    with pytest.raises(grpc.aio.AioRpcError):
        await upload
    any_house.cluster.media_server = build_server(any_house.cluster.settings)
    await any_house.cluster.media_server.start(any_house.cluster.settings.media_address)


@pytest.mark.parametrize(
    "patience", [Patience(step_bytes=1000, step_seconds=0.4), Patience(step_bytes=1, seconds=0.4)], ids=["rate", "all"]
)
async def test_an_upload_that_trickles_ends(house: House, patience: Patience) -> None:
    await house.cluster.media_server.stop()
    house.cluster.media_server = build_server(house.cluster.settings, patience=patience)
    await house.cluster.media_server.start(house.cluster.settings.media_address)
    reserved = await house.reserve(None)

    async def trickle() -> AsyncIterator[UploadAttachmentRequest]:
        yield UploadAttachmentRequest(signature=signature_of(reserved.upload_url))
        while True:
            yield UploadAttachmentRequest(chunk=b"1")
            await asyncio.sleep(0.02)

    upload = house.cluster.media.UploadAttachment(trickle())
    async with asyncio.timeout(5):
        with refuses("DEADLINE_EXCEEDED"):
            await answer_of(upload)
    await house.emptied()


async def test_an_upload_to_what_is_deleted_ends(house: House) -> None:
    reserved = await house.reserve(9 * MEGABYTE)
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[UploadAttachmentRequest]:
        yield UploadAttachmentRequest(signature=signature_of(reserved.upload_url))
        for chunk in chunks_of(bytes(3 * MEGABYTE)):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    upload = house.cluster.media.UploadAttachment(slow())
    await begun.wait()
    await house.delete_room("den")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await answer_of(upload)
    await house.emptied()
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.put(reserved.upload_url, bytes(9 * MEGABYTE))


async def test_a_caller_who_leaves_is_no_error(house: House, caplog: pytest.LogCaptureFixture) -> None:
    file = await house.file(bytes(8 * MEGABYTE))
    for _ in range(5):
        request = DownloadAttachmentRequest(id=file.id)
        stream = house.cluster.media.DownloadAttachment(request, metadata=house.user("bob"))
        await stream.read()
        stream.cancel()
        assert await stream.code() is grpc.StatusCode.CANCELLED
    assert await house.read(file.id) == bytes(8 * MEGABYTE)
    await house.restart()  # every handler has ended
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
