"""Files come back as they went in and leave nothing behind, whatever store keeps them."""

import asyncio
import hashlib
import os
import urllib.request
from collections.abc import AsyncIterator

import grpc
import pytest
import structlog
from google.protobuf.duration_pb2 import Duration
from roomline.v1.media_service_pb2 import (
    DownloadAttachmentRequest,
    PurgeMediaRequest,
    UploadAttachmentRequest,
)

from services.media.blobs import open_blobs
from tests.services.media.house import House, chunks_of, signature_of, without_url
from tests.support.refusals import refuses

MEGABYTE = 1024 * 1024


async def refused_url(house: House, url: str) -> bool:
    """Whether a download URL gives nothing any more."""
    try:
        await house.get(url)
    except (grpc.aio.AioRpcError, OSError):
        return True
    return False


async def test_bytes_come_back_as_they_were_sent(any_house: House) -> None:
    sizes = (0, 1, MEGABYTE, MEGABYTE + 1, 12 * MEGABYTE + 7)
    for size in sizes:
        data = os.urandom(size)
        reserved = await any_house.reserve(size, name="a file")
        uploaded = await any_house.put(reserved.upload_url, data)
        assert (uploaded.size, uploaded.id, uploaded.name) == (size, reserved.attachment.id, "a file")
        for url in (uploaded.download_url, reserved.attachment.download_url, reserved.permanent_url):
            assert await any_house.get(url) == data
        head, read = await any_house.download(DownloadAttachmentRequest(id=uploaded.id))
        assert hashlib.sha256(read).digest() == hashlib.sha256(data).digest()
        assert (head.size, head.offset, head.length, head.etag) == (size, 0, size, uploaded.etag)
        assert head.attachment == without_url(uploaded)
    assert len(await any_house.objects()) == len(sizes)


async def test_a_size_that_is_not_known_before(any_house: House) -> None:
    data = os.urandom(9 * MEGABYTE)
    reserved = await any_house.reserve(None)
    assert reserved.attachment.size == 0
    assert (await any_house.put(reserved.upload_url, data)).size == len(data)
    assert await any_house.read(reserved.attachment.id) == data


async def test_ranges(any_house: House) -> None:
    data = os.urandom(600_000)
    file = await any_house.file(data)
    for offset, length, first, last in (
        (0, None, 0, 600_000),
        (5, 10, 5, 15),
        (-3, None, 599_997, 600_000),
        (-700_000, 4, 0, 4),
        (599_999, 50, 599_999, 600_000),
        (100, 400_000, 100, 400_100),
        (7, 0, 7, 7),
    ):
        head, read = await any_house.download(DownloadAttachmentRequest(id=file.id, offset=offset, length=length))
        assert read == data[first:last]
        assert (head.size, head.offset, head.length) == (len(data), first, last - first)


async def test_a_range_behind_the_end_is_refused(any_house: House) -> None:
    file, empty = await any_house.file(b"12345"), await any_house.file(b"")
    for attachment, size in ((file, 5), (empty, 0)):
        with refuses("RANGE_INVALID", size=str(size)):
            await any_house.download(DownloadAttachmentRequest(id=attachment.id, offset=max(size, 1)))
    assert (await any_house.download(DownloadAttachmentRequest(id=empty.id, offset=-1)))[1] == b""


async def test_a_second_upload_takes_the_place_of_the_first(any_house: House) -> None:
    reserved = await any_house.reserve(5)
    first = await any_house.put(reserved.upload_url, b"first")
    second = await any_house.put(reserved.upload_url, b"again")
    assert first.etag != second.etag
    assert await any_house.get(second.download_url) == b"again"
    await any_house.emptied(down_to=1)
    assert await any_house.read(second.id) == b"again"


async def test_an_upload_of_another_size_leaves_nothing(any_house: House) -> None:
    reserved = await any_house.reserve(5)
    for size in (4, 6, 0, 4 * MEGABYTE):
        with refuses("SIZE_MISMATCH", size="5"):
            await any_house.put(reserved.upload_url, bytes(size))
        await any_house.emptied()
    large = await any_house.reserve(9 * MEGABYTE)
    for size in (9 * MEGABYTE - 1, 9 * MEGABYTE + 1):
        with refuses("SIZE_MISMATCH"):
            await any_house.put(large.upload_url, bytes(size))
        await any_house.emptied()
    assert (await any_house.put(reserved.upload_url, b"right")).etag


@pytest.mark.parametrize("known", [True, False])
async def test_an_upload_that_breaks_off_leaves_nothing(any_house: House, known: bool) -> None:
    reserved = await any_house.reserve(20 * MEGABYTE if known else None)
    for sent in (100, 3 * MEGABYTE, 12 * MEGABYTE):
        reached = asyncio.Event()

        async def requests() -> AsyncIterator[UploadAttachmentRequest]:
            yield UploadAttachmentRequest(signature=signature_of(reserved.upload_url))
            for chunk in chunks_of(bytes(sent)):  # noqa: B023
                yield chunk
            reached.set()  # noqa: B023
            await asyncio.Event().wait()

        call = any_house.cluster.media.UploadAttachment(requests())
        await reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await any_house.emptied()
        assert not (await any_house.look(reserved.attachment.id)).HasField("uploaded_at")


async def test_a_file_goes_with_its_message(any_house: House) -> None:
    """Fault 23."""
    file = await any_house.file(b"secret")
    message = await any_house.send(file.id)
    url = message.parts[0].attachment.download_url
    assert await any_house.get(url) == b"secret"
    await any_house.unsend(message)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await any_house.read(file.id)
    if url.startswith("/"):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await any_house.get(url)
    await any_house.emptied()
    assert await refused_url(any_house, url)


async def test_files_go_with_their_room(any_house: House) -> None:
    used, idle = await any_house.file(b"used"), await any_house.file(b"idle")
    await any_house.send(used.id)
    elsewhere = await any_house.file(b"elsewhere", room="hall")
    await any_house.delete_room("den")
    for file in (used, idle):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await any_house.read(file.id)
    await any_house.emptied(down_to=1)
    assert await any_house.read(elsewhere.id) == b"elsewhere"


async def test_purging_an_instance_leaves_no_bytes(any_house: House) -> None:
    await asyncio.gather(*(any_house.file(b"x") for _ in range(20)))
    metadata = any_house.cluster.service.metadata("one")
    await any_house.cluster.media.PurgeMedia(PurgeMediaRequest(), metadata=metadata)
    assert await any_house.objects() == []


async def test_files_outlive_the_process(any_house: House) -> None:
    file = await any_house.file(b"lasting")
    await any_house.restart()
    assert await any_house.read(file.id) == b"lasting"
    assert await any_house.get(file.download_url) == b"lasting"


async def test_urls_are_renewed_at_each_reading(any_house: House) -> None:
    file = await any_house.file(b"x")
    await any_house.send(file.id)
    now = any_house.cluster.clock()
    for read in (await any_house.look(file.id), await any_house.refresh(file.id, by=any_house.user("ann"))):
        assert abs(read.expiration.ToMicroseconds() - now - Duration(seconds=86400).ToMicroseconds()) < 10_000_000
        assert await any_house.get(read.download_url) == b"x"
        assert without_url(read) == without_url(file)


@pytest.mark.parametrize("any_house", ["direct"], indirect=True)
async def test_a_store_that_cannot_sign_leaves_files_readable(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/nowhere")
    blobs = open_blobs(any_house.cluster.settings)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(60):
            assert await blobs.presigned(["ab/key"], 60) == {}
    assert [entry["event"] for entry in logs] == ["urls_not_signed"]


@pytest.mark.parametrize("any_house", ["direct"], indirect=True)
async def test_the_store_itself_says_what_a_file_is(any_house: House) -> None:
    """To whom it gives the file: to be saved, whatever it is (faults 12 and 13)."""
    data = b"<script>alert(1)</script>"
    reserved = await any_house.reserve(len(data), name='../ü"\r\nx: y\u202e.html', content_type="text/html\r\nx: y")
    assert reserved.attachment.download_url.startswith("/attachments/")  # nothing is there yet
    file = await any_house.put(reserved.upload_url, data)
    assert file.download_url.startswith("http://")
    assert file.detected_type == "text/html"

    def headers() -> dict[str, str]:
        with urllib.request.urlopen(file.download_url, timeout=10) as response:  # noqa: S310 - our own server
            return {name.lower(): value for name, value in response.headers.items()}

    said = await asyncio.to_thread(headers)
    assert said["content-type"] == "application/octet-stream"
    assert said["content-disposition"].startswith("attachment; filename=")
    assert "x" not in said
