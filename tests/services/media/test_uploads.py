"""Uploads that are repeated, or that follow each other."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import UploadAttachmentRequest

from services.common.settings import Settings
from services.media.blobs import FolderBlobs
from services.media.sqlite_uploads import SqliteUploads
from services.media.store import Stored
from services.media.uploads import Uploads
from tests.services.media.house import House, chunks_of
from tests.stores.media_stores import open_stores, user
from tests.support.refusals import refuses

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("length", [0, 5, 3 * MEGABYTE])
@pytest.mark.parametrize("sized", [True, False])
async def test_what_a_message_uses_may_be_uploaded_again_as_it_is(house: House, length: int, sized: bool) -> None:
    """The answer to the first one was lost, and the message was sent meanwhile (spec §6.2)."""
    data = os.urandom(length)
    reserved = await house.reserve(length if sized else None)
    await house.send(reserved.attachment.id)
    first = await house.put(reserved.upload_url, data)
    again = await house.put(reserved.upload_url, data)
    assert (again.etag, again.uploaded_at, again.size) == (first.etag, first.uploaded_at, length)
    for other in (data[::-1] + b"x", data[:-1] + b"\0\0"):
        with refuses("ATTACHMENT_IN_USE"):
            await house.put(reserved.upload_url, other)
    if length:
        with refuses("ATTACHMENT_IN_USE"):
            await house.put(reserved.upload_url, bytes(length))
    assert await house.read(first.id) == data
    await house.emptied(down_to=1)


async def test_a_repeated_upload_may_be_overtaken_by_the_message(house: House) -> None:
    reserved = await house.reserve(MEGABYTE)
    data = bytes(MEGABYTE)
    await house.put(reserved.upload_url, data)
    begun, sent = asyncio.Event(), asyncio.Event()

    async def requests() -> AsyncIterator[UploadAttachmentRequest]:
        yield UploadAttachmentRequest(id=reserved.attachment.id)
        first, *rest = chunks_of(data)
        yield first
        begun.set()
        await sent.wait()
        for chunk in rest:
            yield chunk

    again = house.cluster.media.UploadAttachment(requests(), metadata=house.user("bob"))
    await begun.wait()
    await house.send(reserved.attachment.id)
    sent.set()
    assert (await again).attachment.size == MEGABYTE
    await house.emptied(down_to=1)


async def test_a_later_upload_is_not_overtaken(tmp_path: Path) -> None:
    """An earlier one that is being finished cannot be stopped; the later one comes after it."""
    stores = await open_stores(tmp_path)
    blobs = FolderBlobs(tmp_path / "media")
    await blobs.open()
    finishing, go = asyncio.Event(), asyncio.Event()

    class Halting(SqliteUploads):
        """The first one to finish does so when it is told to."""

        async def finish(self, upload: Stored, key: str, size: int, digest: bytes, detected_type: str) -> Stored:
            if not finishing.is_set():
                finishing.set()
                await go.wait()
            return await super().finish(upload, key, size, digest, detected_type)

    async def limits(_: str) -> InstanceLimits:
        return InstanceLimits()

    async def requests(data: bytes) -> AsyncIterator[UploadAttachmentRequest]:
        for chunk in chunks_of(data):
            yield chunk

    uploads = Uploads(
        Halting(stores.database, stores.clock),
        blobs,
        limits,
        lambda: f"ab/{stores.new_id()}",
        Settings(data_dir=tmp_path),
        uploaded=lambda _: None,
        left_garbage=lambda: None,
    )
    stored = await stores.reserve(user("bob"), size=1)
    earlier = asyncio.create_task(uploads.upload(stored, requests(b"a")))
    await finishing.wait()
    later = asyncio.create_task(uploads.upload(stored, requests(b"b")))
    done, _ = await asyncio.wait([earlier, later], timeout=0.3)
    assert not done
    go.set()
    with refuses("CANCELLED"):
        await earlier
    last = await later
    assert await stores.attachments.get("one", stored.attachment.id) == last
    assert len(await stores.garbage()) == 1
    await stores.check()
    await stores.database.close()
