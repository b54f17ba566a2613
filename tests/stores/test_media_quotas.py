"""What counts towards quotas, on every backend (fault 15)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import DeleteAttachmentRequest

from tests.stores.media_stores import MediaStores, open_stores, user
from tests.support.refusals import refuses

BOB = user("bob")


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[MediaStores]:
    """Stores on SQLite, whose rows must agree afterwards."""
    opened = await open_stores(tmp_path)
    yield opened
    await opened.check()
    await opened.database.close()


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        (InstanceLimits(media_files=3), "media files"),
        (InstanceLimits(user_media_files=3), "media files of the user"),
        (InstanceLimits(media_bytes=39), "media bytes"),
        (InstanceLimits(user_media_bytes=39), "media bytes of the user"),
    ],
)
async def test_parallel_reservations_keep_to_them(stores: MediaStores, limits: InstanceLimits, quota: str) -> None:
    bob = user("bob", limits)
    results = await asyncio.gather(*(stores.reserve(bob) for _ in range(100)), return_exceptions=True)
    made = [result for result in results if not isinstance(result, BaseException)]
    assert len(made) == 3
    assert await stores.usage("bob") == await stores.usage() == (30, 3)
    with refuses("QUOTA_EXCEEDED", quota=quota):
        await stores.reserve(bob)
    await stores.attachments.delete(bob, DeleteAttachmentRequest(id=made[0].attachment.id))
    await stores.reserve(bob)


async def test_the_quota_of_an_instance_is_everybodys(stores: MediaStores) -> None:
    limits = InstanceLimits(media_files=2)
    await stores.reserve(user("bob", limits))
    await stores.reserve(user("ann", limits))
    with refuses("QUOTA_EXCEEDED", quota="media files"):
        await stores.reserve(user("eve", limits))
    await stores.reserve(user("eve", limits, "two"))


async def test_an_upload_of_unknown_size_takes_what_it_needs_and_gives_the_rest_back(stores: MediaStores) -> None:
    limits = user("bob", InstanceLimits(user_media_bytes=100)).limits
    open_ended = await stores.reserve(BOB, size=None)
    await stores.uploads.begin(open_ended, "a/1")
    await stores.uploads.begin(open_ended, "a/2")
    assert await stores.uploads.grow("a/1", 10, 60, limits) == 60
    assert await stores.uploads.grow("a/2", 10, 60, limits) == 40
    with refuses("QUOTA_EXCEEDED", quota="media bytes of the user"):
        await stores.uploads.grow("a/2", 1, 60, limits)
    await stores.check()
    await stores.uploads.abandon("a/2")
    assert await stores.usage("bob") == (60, 1)
    stored = await stores.uploads.finish(open_ended, "a/1", 15, b"1", "text/plain")
    assert (stored.attachment.size, await stores.usage("bob")) == (15, (15, 1))
    assert (await stores.upload(stored, 4)).attachment.size == 4
    assert await stores.usage("bob") == await stores.usage() == (4, 1)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await stores.uploads.grow("a/2", 1, 1, limits)
