"""What `AvatarStore` promises, and `CleanupStore` of the pictures of users."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.instance_pb2 import InstanceLimits

from services.common.call import DEFAULT_LIMITS, effective_limits
from services.media.store import StoredAvatar
from tests.stores.media_stores import MediaStores, open_stores, user
from tests.support.refusals import refuses


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[MediaStores]:
    """Stores on SQLite, whose rows must agree afterwards."""
    opened = await open_stores(tmp_path)
    yield opened
    await opened.check()
    await opened.database.close()


async def put(
    stores: MediaStores,
    user_id: str = "bob",
    size: int = 10,
    limits: InstanceLimits = DEFAULT_LIMITS,
    instance_id: str = "one",
) -> StoredAvatar:
    """A picture, without any real bytes."""
    key = stores.new_id()
    await stores.avatars.begin(instance_id, user_id, key)
    try:
        return await stores.avatars.put(instance_id, user_id, key, size, limits)
    except BaseException:
        await stores.avatars.abandon(instance_id, key)
        raise


async def test_the_last_picture_counts(stores: MediaStores) -> None:
    with refuses("ATTACHMENT_NOT_FOUND"):
        await stores.avatars.get("one", "bob")
    first = await put(stores)
    assert first == StoredAvatar("bob", first.blob, 10, stores.clock())
    for size in (30, 5):
        second = await put(stores, size=size)
        assert await stores.avatars.get("one", "bob") == second
        assert await stores.usage("bob") == await stores.usage() == (size, 1)
        assert first.blob in await stores.garbage()
        assert second.blob not in await stores.garbage()
        first = second


async def test_everybody_has_a_picture_of_his_own(stores: MediaStores) -> None:
    mine, hers = await put(stores), await put(stores, "ann")
    elsewhere = await put(stores, instance_id="two")
    assert len({mine.blob, hers.blob, elsewhere.blob}) == 3
    assert await stores.avatars.get("one", "ann") == hers
    await stores.avatars.remove("one", "ann")
    await stores.avatars.remove("one", "ann")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await stores.avatars.get("one", "ann")
    assert await stores.avatars.get("two", "bob") == elsewhere
    assert await stores.garbage() == {hers.blob}
    assert (await stores.usage("ann"), await stores.usage()) == ((0, 0), (10, 1))


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        (InstanceLimits(user_media_bytes=25), "media bytes of the user"),
        (InstanceLimits(media_bytes=25), "media bytes"),
    ],
)
async def test_pictures_keep_to_the_quotas(stores: MediaStores, limits: InstanceLimits, quota: str) -> None:
    limits = effective_limits(limits)
    first = await put(stores, size=20, limits=limits)
    with refuses("QUOTA_EXCEEDED", quota=quota):
        await put(stores, size=26, limits=limits)
    assert await stores.avatars.get("one", "bob") == first
    assert await stores.usage("bob") == (20, 1)
    await put(stores, size=25, limits=limits)
    with refuses("QUOTA_EXCEEDED", quota=quota):
        await stores.reserve(user("bob", limits), size=1)


async def test_a_picture_is_one_of_the_files_that_a_user_may_have(stores: MediaStores) -> None:
    limits = effective_limits(InstanceLimits(user_media_files=1))
    await put(stores, limits=limits)
    await put(stores, limits=limits)
    with refuses("QUOTA_EXCEEDED", quota="media files of the user"):
        await stores.reserve(user("bob", limits))
    await stores.reserve(user("ann", limits))
    with refuses("QUOTA_EXCEEDED", quota="media files of the user"):
        await put(stores, "ann", limits=limits)


async def test_what_was_given_up_becomes_nobodys_picture(stores: MediaStores) -> None:
    first = await put(stores)
    key = stores.new_id()
    await stores.avatars.begin("one", "bob", key)
    stores.clock.advance(1)
    await stores.cleanup.give_up(stores.clock())
    with refuses("ATTACHMENT_NOT_FOUND"):
        await stores.avatars.put("one", "bob", key, 5, DEFAULT_LIMITS)
    await stores.avatars.abandon("one", key)
    await stores.avatars.abandon("one", first.blob)
    assert await stores.avatars.get("one", "bob") == first
    assert await stores.garbage() == {key}


async def test_a_purge_takes_pictures_along(stores: MediaStores) -> None:
    mine, hers, elsewhere = await put(stores), await put(stores, "ann"), await put(stores, instance_id="two")
    await stores.cleanup.purge_user("one", "bob")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await stores.avatars.get("one", "bob")
    assert await stores.avatars.get("one", "ann") == hers
    await stores.cleanup.purge_instance("one")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await stores.avatars.get("one", "ann")
    assert await stores.garbage() == {mine.blob, hers.blob}
    assert await stores.usage() == (0, 0)
    assert await stores.avatars.get("two", "bob") == elsewhere


async def test_time_takes_no_picture(stores: MediaStores) -> None:
    mine = await put(stores)
    stores.clock.advance(400 * 86_400)
    await stores.cleanup.expire(stores.clock())
    await stores.cleanup.give_up(stores.clock())
    assert await stores.avatars.get("one", "bob") == mine
