"""Pictures that nobody has looked at, on every backend: whose turn it is, and when they are settled."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.media_service_pb2 import DeleteAttachmentRequest

from services.common.call import Caller
from services.media.pictures import PICTURE_TYPES
from services.media.store import Stored, Thumbnail
from tests.stores.media_stores import SERVER, MediaStores, open_stores, user

BOB = user("bob")
MOST = 3


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[MediaStores]:
    """Stores on SQLite, whose rows must agree afterwards."""
    opened = await open_stores(tmp_path)
    yield opened
    await opened.check()
    await opened.database.close()


async def uploaded(stores: MediaStores, detected_type: str = "image/png", by: Caller = BOB) -> Stored:
    stores.clock.advance(1)
    return await stores.upload(await stores.reserve(by), detected_type=detected_type)


async def test_only_pictures_are_looked_at_and_the_oldest_first(stores: MediaStores) -> None:
    await stores.reserve(BOB)
    for detected_type in ("text/plain", "image/svg+xml", "image/heic", ""):
        await uploaded(stores, detected_type)
    assert await stores.pictures.next(MOST) is None
    for detected_type in sorted(PICTURE_TYPES):
        picture = await uploaded(stores, detected_type)
        assert await stores.pictures.next(MOST) == picture
        await stores.pictures.settle(picture, None, None, [])
    first, second = await uploaded(stores), await uploaded(stores)
    assert await stores.pictures.next(MOST) == first
    await stores.pictures.settle(first, 1, 1, [])
    assert await stores.pictures.next(MOST) == second


async def test_uploaders_take_turns(stores: MediaStores) -> None:
    """Whoever uploads a thousand pictures keeps nobody else waiting for his one."""
    others = [user("ann"), user("bob", instance_id="two"), user("eve"), SERVER]
    pictures = [await uploaded(stores, by=by) for by in (BOB, BOB, BOB, *others)]
    seen: list[Stored] = []
    while picture := await stores.pictures.next(MOST, after=seen[-1] if seen else None):
        seen.append(picture)
        await stores.pictures.settle(picture, None, None, [])
    assert {one.attachment.id for one in seen[:5]} == {one.attachment.id for one in (pictures[0], *pictures[3:])}
    assert seen[5:] == pictures[1:3]


async def test_a_look_that_came_to_no_end_is_begun_again_but_not_for_ever(stores: MediaStores) -> None:
    picture = await uploaded(stores)
    for _ in range(MOST):
        assert await stores.pictures.next(MOST) == picture
    assert await stores.pictures.next(MOST) is None
    assert await stores.rows("SELECT 1 FROM attachments WHERE look_at IS NOT NULL") == []
    other = await uploaded(stores)
    assert await stores.pictures.next(MOST) == other


async def test_a_look_that_was_put_off_does_not_count_and_lets_others_pass(stores: MediaStores) -> None:
    first, second = await uploaded(stores), await uploaded(stores)
    for _ in range(2 * MOST):
        assert await stores.pictures.next(MOST) == first
        assert await stores.pictures.put_off(first, stores.clock() + 1)
        assert await stores.pictures.next(MOST) == second
        assert await stores.pictures.put_off(second, stores.clock() + 2)
        assert await stores.pictures.next(MOST) is None
        stores.clock.advance(1)


async def test_what_could_not_be_seen_is_settled_too(stores: MediaStores) -> None:
    picture = await uploaded(stores)
    assert await stores.pictures.settle(picture, None, None, [])
    assert not await stores.pictures.put_off(picture, stores.clock())
    assert await stores.pictures.next(MOST) is None
    assert not (await stores.attachments.get("one", picture.attachment.id)).attachment.HasField("width")


async def test_other_bytes_are_another_picture(stores: MediaStores) -> None:
    first = await uploaded(stores)
    for _ in range(MOST):
        await stores.pictures.next(MOST)
    second = await stores.upload(first, detected_type="image/gif")
    assert not await stores.pictures.settle(first, 1, 1, [])
    assert not await stores.pictures.put_off(first, stores.clock() + 10)
    for _ in range(MOST):
        assert await stores.pictures.next(MOST) == second
    text = await stores.upload(second)
    assert await stores.pictures.next(MOST) is None
    assert text.attachment.detected_type == "text/plain"


async def test_a_picture_that_is_gone_is_not_looked_at(stores: MediaStores) -> None:
    picture = await uploaded(stores)
    await stores.pictures.begin_thumbnail(picture, "small")
    await stores.attachments.delete(BOB, DeleteAttachmentRequest(id=picture.attachment.id))
    assert await stores.pictures.next(MOST) is None
    assert not await stores.pictures.put_off(picture, 0)
    assert not await stores.pictures.settle(picture, 1, 1, [Thumbnail(160, "small", 3)])
    assert await stores.garbage() == {picture.blob, "small"}


async def test_thumbnails_that_could_not_be_kept_are_garbage(stores: MediaStores) -> None:
    picture = await uploaded(stores)
    await stores.pictures.begin_thumbnail(picture, "small")
    await stores.pictures.drop(picture, [Thumbnail(160, "small", 3), Thumbnail(480, "never begun", 9)])
    assert await stores.garbage() == {"small", "never begun"}


async def test_a_second_look_replaces_the_thumbnails_of_the_first(stores: MediaStores) -> None:
    picture = await uploaded(stores)
    for key in ("first", "second"):
        await stores.pictures.begin_thumbnail(picture, key)
        assert await stores.pictures.settle(picture, 800, 600, [Thumbnail(160, key, 3)])
    assert (await stores.attachments.thumbnail("one", picture.attachment.id, 160)).blob == "second"
    assert await stores.garbage() == {"first"}
