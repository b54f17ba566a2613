"""The media service's stores on every backend: attachments, quotas, uses, and what goes when they go."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Value
from roomline.v1.media_service_pb2 import DeleteAttachmentRequest, ReserveAttachmentRequest

from services.common.call import DEFAULT_LIMITS
from services.media.maintenance import EVER
from services.media.store import Bounds, SigningKey, Thumbnail, Use
from tests.stores.media_stores import OTHER_ROOM, ROOM, SERVER, MediaStores, open_stores, user
from tests.support.refusals import refuses

BOB, ANN = user("bob"), user("ann")


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[MediaStores]:
    """Stores on SQLite, whose rows must agree afterwards."""
    opened = await open_stores(tmp_path)
    yield opened
    await opened.check()
    await opened.database.close()


class TestReserving:
    """Reservations, and reading them back."""

    async def test_a_reservation_is_kept_field_for_field(self, stores: MediaStores) -> None:
        request = ReserveAttachmentRequest(
            room_id="a room",
            content_type="image/png; charset=odd",
            content_length=7,
            name="../../ä\x00.png",
            custom_data=Value(string_value="bare"),
            caption="",
        )
        made = await stores.attachments.reserve(BOB, request, ROOM)
        found = await stores.attachments.get("one", made.attachment.id)
        assert found == made
        attachment = found.attachment
        assert (attachment.name, attachment.size, attachment.content_type) == (request.name, 7, request.content_type)
        assert (attachment.custom_data, attachment.caption, attachment.room_id) == (request.custom_data, "", "a room")
        assert (attachment.user_id, found.room_uid, found.blob, found.sized) == ("bob", ROOM, None, True)
        assert not attachment.HasField("uploaded_at")
        assert attachment.HasField("caption")
        assert attachment.created_at.ToMicroseconds() == stores.clock()

    async def test_what_is_not_given_stays_unset(self, stores: MediaStores) -> None:
        made = await stores.attachments.reserve(SERVER, ReserveAttachmentRequest(content_type="a/b"), None)
        attachment = (await stores.attachments.get("one", made.attachment.id)).attachment
        assert attachment.name == attachment.id
        for field in ("custom_data", "caption", "room_id", "width", "height", "uploaded_at"):
            assert not attachment.HasField(field)
        assert (attachment.user_id, made.sized, made.room_uid) == ("", False, None)

    async def test_a_repeated_request_gets_the_first_answer(self, stores: MediaStores) -> None:
        first = await stores.reserve(BOB, request_id="r")
        assert await stores.reserve(BOB, request_id="r") == first
        assert (await stores.reserve(ANN, request_id="r")).attachment.id != first.attachment.id
        with refuses("REQUEST_ID_REUSED"):
            await stores.reserve(BOB, request_id="r", name="b.txt")
        assert await stores.usage("bob") == (10, 1)
        request = ReserveAttachmentRequest(
            room_id="a room", content_type="text/plain", content_length=10, name="a.txt", request_id="r"
        )
        assert await stores.attachments.reserved(BOB, request) == first
        await stores.uploads.begin(first, "key")
        request.request_id = "another"
        assert await stores.attachments.reserved(BOB, request) is None

    async def test_one_instance_sees_nothing_of_another(self, stores: MediaStores) -> None:
        ours = await stores.reserve(BOB)
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.attachments.get("two", ours.attachment.id)
        assert await stores.attachments.batch("two", [ours.attachment.id]) == []
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(ours, instance_id="two")
        await stores.cleanup.purge_instance("two")
        await stores.uses.release_room("two", ROOM)
        assert await stores.exists(ours)

    async def test_lists_are_newest_first(self, stores: MediaStores) -> None:
        made = [await stores.reserve(BOB) for _ in range(5)]
        await stores.reserve(ANN)
        ids = [one.attachment.id for one in made]
        page = await stores.attachments.of_user("one", "bob", Bounds("", size=3))
        assert [one.attachment.id for one in page] == ids[:1:-1]
        rest = await stores.attachments.of_user("one", "bob", Bounds(ids[2], size=3))
        assert [one.attachment.id for one in rest] == ids[1::-1]
        assert await stores.attachments.in_room("one", ROOM, Bounds()) == []
        await stores.claim(made[1], made[3])
        used = await stores.attachments.in_room("one", ROOM, Bounds())
        assert [one.attachment.id for one in used] == [ids[3], ids[1]]
        await stores.claim(made[3], message="m1")  # again
        assert len(await stores.attachments.in_room("one", ROOM, Bounds(size=2))) == 2
        own = (await stores.reserve(BOB, room_uid=None)).attachment.id
        for message in ("m1", "m2", "m3"):
            await stores.claim(await stores.attachments.get("one", own), message=message)
        assert await stores.attachments.uses("one", own, "", 2) == ["m3", "m2"]
        assert await stores.attachments.uses("one", own, "m2", 9) == ["m1"]
        assert await stores.attachments.uses("one", own, "m1", 9) == []
        assert await stores.attachments.uses_in_room("one", ROOM, [ids[1], ids[2]]) == [Use("one", "m1", ids[1])]

    async def test_lists_may_end_at_a_time(self, stores: MediaStores) -> None:
        early = await stores.reserve(BOB)
        stores.clock.advance(60)
        late = await stores.reserve(BOB)
        await stores.claim(early, late)
        for bounds, expected in ((Bounds(), [late, early]), (Bounds(created_before=stores.clock()), [early])):
            for found in (
                await stores.attachments.of_user("one", "bob", bounds),
                await stores.attachments.in_room("one", ROOM, bounds),
            ):
                assert [one.attachment.id for one in found] == [one.attachment.id for one in expected]


class TestUploading:
    """Bytes that come, and come again."""

    async def test_the_row_points_at_the_newest_bytes(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        await stores.uploads.begin(stored, "ab/first")
        stores.clock.advance(60)
        first = await stores.uploads.finish(stored, "ab/first", 10, b"1", "image/png")
        assert first == await stores.attachments.get("one", stored.attachment.id)
        assert (first.blob, first.attachment.etag, first.attachment.detected_type) == ("ab/first", "first", "image/png")
        assert first.attachment.uploaded_at.ToMicroseconds() == stores.clock()
        second = await stores.upload(stored)
        assert second.attachment.etag != "first"
        assert await stores.garbage() == {"ab/first"}
        assert await stores.usage("bob") == (10, 1)

    async def test_what_a_message_uses_gets_bytes_once(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        for key in ("first", "late"):
            await stores.uploads.begin(stored, key)
        await stores.claim(stored)
        await stores.uploads.finish(stored, "first", 10, b"1", "")  # sent before they came
        with refuses("ATTACHMENT_IN_USE"):
            await stores.uploads.finish(stored, "late", 10, b"2", "")
        assert await stores.uploads.begin(stored, "later") is not None
        assert (await stores.attachments.get("one", stored.attachment.id)).blob == "first"
        assert await stores.garbage() == {"late"}

    async def test_what_a_message_uses_may_get_the_same_bytes_again(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        for key in ("first", "late"):
            await stores.uploads.begin(stored, key)
        await stores.claim(stored)
        first = await stores.uploads.finish(stored, "first", 10, b"digest", "")
        assert first.digest == b"digest"
        assert await stores.uploads.finish(stored, "late", 10, b"digest", "") == first
        assert await stores.uploads.begin(stored, "later") == first
        assert await stores.garbage() == {"late"}
        assert await stores.usage() == (10, 1)

    async def test_bytes_for_what_was_deleted_meanwhile_are_garbage(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB, size=None)
        await stores.uploads.begin(stored, "key")
        await stores.uploads.grow("key", 1, 50, DEFAULT_LIMITS)
        await stores.attachments.delete(BOB, DeleteAttachmentRequest(id=stored.attachment.id))
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.uploads.finish(stored, "key", 10, b"1", "")
        assert await stores.garbage() == {"key"}
        assert await stores.usage() == (0, 0)
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.uploads.begin(stored, "another")

    async def test_what_was_given_up_cannot_be_finished(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        await stores.uploads.begin(stored, "key")
        await stores.cleanup.give_up(EVER)
        assert [(one.key, one.torn) for one in await stores.cleanup.garbage(None, "", 9)] == [("key", True)]
        await stores.cleanup.gone(["key"])
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.uploads.finish(stored, "key", 10, b"1", "")
        assert await stores.garbage() == {"key"}  # the bytes came after all
        assert (await stores.attachments.get("one", stored.attachment.id)).blob is None

    async def test_abandoning_spares_what_is_in_use(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB))
        assert stored.blob is not None
        await stores.uploads.abandon(stored.blob)
        assert await stores.garbage() == set()
        await stores.uploads.abandon("never seen")
        assert await stores.garbage() == {"never seen"}

    async def test_thumbnails_go_with_the_bytes(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB))
        for key in ("small", "large"):
            await stores.pictures.begin_thumbnail(stored, key)
        found = [Thumbnail(480, "large", 9), Thumbnail(160, "small", 3)]
        assert await stores.pictures.settle(stored, 800, 600, found)
        attachment = (await stores.attachments.get("one", stored.attachment.id)).attachment
        assert (attachment.width, attachment.height, list(attachment.thumbnails)) == (800, 600, [160, 480])
        assert await stores.attachments.thumbnail("one", attachment.id, 480) == found[0]
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.attachments.thumbnail("one", attachment.id, 100)
        assert await stores.usage() == (10, 1)

        replaced = await stores.upload(stored)
        assert not replaced.attachment.HasField("width")
        assert list(replaced.attachment.thumbnails) == []
        assert await stores.garbage() == {stored.blob, "small", "large"}
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.pictures.begin_thumbnail(stored, "late")
        await stores.pictures.begin_thumbnail(replaced, "later")
        assert not await stores.pictures.settle(stored, 1, 1, [Thumbnail(160, "later", 3)])
        assert "later" in await stores.garbage()
        assert not (await stores.attachments.get("one", attachment.id)).attachment.HasField("width")

    async def test_thumbnails_go_with_the_attachment(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB))
        await stores.pictures.begin_thumbnail(stored, "small")
        await stores.pictures.settle(stored, 1, 1, [Thumbnail(160, "small", 3)])
        await stores.attachments.delete(BOB, DeleteAttachmentRequest(id=stored.attachment.id))
        assert await stores.garbage() == {stored.blob, "small"}


class TestDeleting:
    """What goes, and what stays."""

    async def test_only_what_nothing_uses_and_only_ones_own(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB))
        request = DeleteAttachmentRequest(id=stored.attachment.id, request_id="r")
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.attachments.delete(ANN, request)
        await stores.claim(stored)
        with refuses("ATTACHMENT_IN_USE"):
            await stores.attachments.delete(BOB, request)
        await stores.uses.settle([], [Use("one", "m1", stored.attachment.id)], EVER)
        await stores.attachments.delete(BOB, request)
        await stores.attachments.delete(BOB, request)  # the first answer
        with refuses("ATTACHMENT_NOT_FOUND"):
            await stores.attachments.delete(BOB, DeleteAttachmentRequest(id=stored.attachment.id))
        assert await stores.garbage() == {stored.blob}

    async def test_what_is_idle_for_long_expires(self, stores: MediaStores) -> None:
        early, used = await stores.reserve(BOB), await stores.reserve(BOB)
        await stores.claim(used)
        stores.clock.advance(100)
        late = await stores.reserve(BOB)
        await stores.upload(early)
        await stores.cleanup.expire(stores.clock())
        assert [await stores.exists(one) for one in (early, used, late)] == [True, True, True]
        stores.clock.advance(1)
        await stores.uses.settle([], [Use("one", "m1", used.attachment.id)], EVER)
        await stores.cleanup.expire(stores.clock())
        assert [await stores.exists(one) for one in (early, used, late)] == [False, True, False]

    async def test_purging_a_user_spares_what_messages_use(self, stores: MediaStores) -> None:
        idle, used, anns = await stores.reserve(BOB), await stores.reserve(BOB), await stores.reserve(ANN)
        await stores.claim(used)
        for _ in range(2):
            await stores.cleanup.purge_user("one", "bob")
        assert [await stores.exists(one) for one in (idle, used, anns)] == [False, True, True]
        assert (await stores.attachments.get("one", used.attachment.id)).attachment.user_id == ""
        assert await stores.attachments.of_user("one", "bob", Bounds()) == []
        assert [await stores.usage(user_id) for user_id in ("bob", "ann", "")] == [(0, 0), (10, 1), (20, 2)]

    async def test_a_later_user_of_the_same_id_has_nothing_of_a_purged_one(self, stores: MediaStores) -> None:
        old, anns = await stores.reserve(BOB, request_id="r"), await stores.reserve(ANN, request_id="r")
        await stores.claim(old)
        await stores.cleanup.purge_user("one", "bob")
        assert (await stores.reserve(BOB, request_id="r")).attachment.id != old.attachment.id
        assert (await stores.reserve(ANN, request_id="r")) == anns

    async def test_purging_an_instance_leaves_nothing(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB, request_id="r"))
        await stores.claim(stored)
        theirs = await stores.reserve(user("bob", instance_id="two"))
        await stores.cleanup.purge_instance("one")
        assert await stores.rows("SELECT * FROM requests") == []
        assert await stores.usage() == (0, 0)
        assert await stores.exists(theirs)
        assert [one.key for one in await stores.cleanup.garbage("one", "", 9)] == [stored.blob]
        assert await stores.cleanup.garbage("two", "", 9) == []
        await stores.cleanup.gone([str(stored.blob)])
        assert await stores.garbage() == set()


class TestKeys:
    """The secrets behind signed URLs."""

    async def test_a_retired_key_stays_until_its_last_signature_is_over(self, stores: MediaStores) -> None:
        async def rotate(name: str, renew_before: int, drop_before: int) -> dict[str, int | None]:
            new, permanent = (SigningKey(name + end, "secret", bool(end), stores.clock()) for end in ("", " for ever"))
            await stores.keys.rotate(new, permanent, renew_before, drop_before)
            return {one.id: one.retired_at for one in await stores.keys.all()}

        lasting: dict[str, int | None] = {"a for ever": None}
        start = stores.clock()
        assert await rotate("a", start, 0) == {"a": None, **lasting}
        stores.clock.advance(10)
        assert await rotate("b", start, 0) == {"a": None, **lasting}
        retired = stores.clock()
        assert await rotate("c", start + 1, 0) == {"a": retired, "c": None, **lasting}
        stores.clock.advance(10)
        assert await rotate("d", start, retired) == {"a": retired, "c": None, **lasting}
        assert await rotate("e", start, retired + 1) == {"c": None, **lasting}


async def test_other_rooms_are_other_rooms(stores: MediaStores) -> None:
    """Also one that has the same id, after the first was deleted."""
    stored = await stores.reserve(BOB, room_uid=OTHER_ROOM)
    with refuses("ATTACHMENT_UNUSABLE"):
        await stores.claim(stored)
    await stores.uses.release_room("one", ROOM)
    assert await stores.exists(stored)
