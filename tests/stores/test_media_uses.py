"""Which messages may use which attachments: claims and releases on every backend (spec §5.3, fault 4)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.media.maintenance import EVER
from services.media.store import Claimed, OpenClaim, Stored, Use
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


def use(stored: Stored, message: str = "m1") -> Use:
    return Use("one", message, stored.attachment.id)


async def unclaim(stores: MediaStores, claimed: Claimed) -> None:
    assert claimed.claimed_at is not None
    ids = [one.attachment.id for one in claimed.attachments]
    await stores.uses.unclaim("one", claimed.message_uid, ids, claimed.claimed_at)


class TestRoomAttachments:
    """What was reserved in a room."""

    async def test_one_message_of_their_room_and_uploader(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        claimed = await stores.claim(stored)
        assert (claimed.message_uid, claimed.attachments) == ("m1", [stored])  # never uploaded is fine
        assert (await stores.claim(stored)).message_uid == "m1"
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(stored, message="m2")

    @pytest.mark.parametrize(
        "claim", [{"by": "ann"}, {"room_uid": OTHER_ROOM}, {"room_uid": OTHER_ROOM, "by_server": True}]
    )
    async def test_nobody_elses(self, stores: MediaStores, claim: dict[str, object]) -> None:
        stored = await stores.reserve(BOB)
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(stored, **claim)  # type: ignore[arg-type]

    async def test_a_server_may_use_what_others_reserved(self, stores: MediaStores) -> None:
        assert (await stores.claim(await stores.reserve(BOB), by="ann", by_server=True)).message_uid == "m1"

    async def test_everybody_may_use_what_a_server_reserved(self, stores: MediaStores) -> None:
        assert (await stores.claim(await stores.reserve(SERVER), by="ann")).message_uid == "m1"

    async def test_all_or_none(self, stores: MediaStores) -> None:
        good, bad = await stores.reserve(BOB), await stores.reserve(ANN)
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(good, bad)
        assert await stores.rows("SELECT * FROM uses") == []
        await stores.cleanup.purge_user("one", "ann")
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(good, bad)
        assert [one.attachment.id for one in (await stores.claim(good, good)).attachments] == [good.attachment.id] * 2

    async def test_only_one_of_many_at_once(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        tries = (stores.claim(stored, message=f"m{number}") for number in range(50))
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(result, BaseException) for result in results) == 1


class TestRepeats:
    """A claim whose reply was lost."""

    async def test_another_try_of_the_same_request_gets_the_first_message(self, stores: MediaStores) -> None:
        first, second = await stores.reserve(BOB), await stores.reserve(BOB)
        await stores.claim(first, message="m1", request_id="r")
        assert (await stores.claim(first, second, message="m2", request_id="r")).message_uid == "m1"
        assert {row[0] for row in await stores.rows("SELECT message_uid FROM uses")} == {"m1"}

    @pytest.mark.parametrize("claim", [{"request_id": "s"}, {"by": "ann", "request_id": "r", "by_server": True}, {}])
    async def test_another_request_does_not(self, stores: MediaStores, claim: dict[str, object]) -> None:
        stored = await stores.reserve(BOB)
        await stores.claim(stored, message="m1", request_id="r")
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(stored, message="m2", **claim)  # type: ignore[arg-type]

    async def test_a_confirmed_claim_is_over(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        await stores.claim(stored, request_id="r")
        await stores.uses.settle([use(stored)], [], EVER)
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(stored, message="m2", request_id="r")

    async def test_two_claims_with_one_id_are_not_mixed(self, stores: MediaStores) -> None:
        first, second = await stores.reserve(BOB), await stores.reserve(BOB)
        await stores.claim(first, message="m1", request_id="r")
        await stores.claim(second, message="m2", request_id="r")
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(first, second, message="m3", request_id="r")

    async def test_a_claim_can_be_taken_back(self, stores: MediaStores) -> None:
        first, second = await stores.reserve(BOB), await stores.reserve(BOB)
        claimed = await stores.claim(first, second)
        await unclaim(stores, claimed)
        assert await stores.rows("SELECT * FROM uses") == []
        await stores.claim(first, message="m2")
        await unclaim(stores, claimed)  # late
        assert len(await stores.rows("SELECT * FROM uses")) == 1

    async def test_but_not_what_another_try_relies_on(self, stores: MediaStores) -> None:
        """The clock stands still: times cannot tell the claims from each other."""
        stored = await stores.reserve(BOB)
        first = await stores.claim(stored, message="m1", request_id="r")
        again = await stores.claim(stored, message="m2", request_id="r")
        assert again.claimed_at is None
        await unclaim(stores, first)
        assert await stores.uses.unconfirmed(EVER, None, 9) == [OpenClaim(use(stored), ROOM)]

    async def test_nor_what_is_confirmed(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        claimed = await stores.claim(stored)
        await stores.uses.settle([use(stored)], [], EVER)
        await unclaim(stores, claimed)
        assert len(await stores.rows("SELECT * FROM uses")) == 1

    async def test_an_attachment_of_ones_own_too(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB, room_uid=None)
        await stores.claim(stored, message="m1", request_id="r")
        assert (await stores.claim(stored, message="m2", request_id="r")).message_uid == "m1"
        assert (await stores.claim(stored, message="m3", request_id="s")).message_uid == "m3"
        elsewhere = await stores.claim(stored, message="m4", request_id="r", room_uid=OTHER_ROOM)
        assert elsewhere.message_uid == "m4"


class TestOnesOwn:
    """What belongs to its uploader alone."""

    async def test_any_number_of_its_uploaders_messages(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB, room_uid=None))
        for message, room_uid in (("m1", ROOM), ("m2", ROOM), ("m3", OTHER_ROOM)):
            await stores.claim(stored, message=message, room_uid=room_uid)
        for claim in ({"by": "ann"}, {"by": "ann", "by_server": True}):
            with refuses("ATTACHMENT_UNUSABLE"):
                await stores.claim(stored, message="m4", **claim)
        await stores.release(stored, message="m2")
        assert await stores.exists(stored)
        await stores.uses.release_room("one", ROOM)
        assert await stores.exists(stored)
        await stores.release(stored, message="m3")
        assert not await stores.exists(stored)
        assert await stores.garbage() == {stored.blob}

    async def test_a_servers(self, stores: MediaStores) -> None:
        stored = await stores.reserve(SERVER, room_uid=None)
        with refuses("ATTACHMENT_UNUSABLE"):
            await stores.claim(stored)
        await stores.claim(stored, by_server=True)


class TestReleases:
    """The end of uses and claims."""

    async def test_the_last_use_takes_everything_along(self, stores: MediaStores) -> None:
        stored = await stores.upload(await stores.reserve(BOB))
        await stores.claim(stored)
        for _ in range(2):
            await stores.release(stored)
        assert not await stores.exists(stored)
        assert await stores.garbage() == {stored.blob}
        assert await stores.usage("bob") == (0, 0)

    async def test_a_release_counts_though_the_claim_has_ended(self, stores: MediaStores) -> None:
        """The message was deleted before anybody asked after it, and the release came later (fault 23)."""
        stored = await stores.upload(await stores.reserve(BOB))
        await stores.claim(stored)
        await stores.uses.settle([], [use(stored)], EVER)
        await stores.release(stored)
        assert not await stores.exists(stored)
        assert await stores.garbage() == {stored.blob}

    async def test_what_others_use_is_left_alone(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        await stores.claim(stored)
        await stores.release(stored, message="m2")
        await stores.release(stored, instance_id="two")
        assert await stores.exists(stored)

    @pytest.mark.thorough
    async def test_a_room_with_all_that_is_in_it(self, stores: MediaStores) -> None:
        reserved = [await stores.reserve(BOB) for _ in range(1100)]  # more than one piece
        await stores.claim(*reserved[:3])
        own, elsewhere = await stores.reserve(BOB, room_uid=None), await stores.reserve(BOB, room_uid=OTHER_ROOM)
        await stores.claim(own, message="m2")
        for _ in range(2):
            await stores.uses.release_room("one", ROOM)
        assert await stores.usage("bob") == (10, 1)
        assert await stores.exists(elsewhere)

    async def test_ended_claims_leave_the_attachment(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        await stores.claim(stored, message="m1")
        await stores.uses.settle([], [use(stored)], stores.clock())
        with refuses("ATTACHMENT_UNUSABLE"):  # renewed since then
            await stores.claim(stored, message="m2")
        await stores.uses.settle([use(stored)], [], stores.clock())
        assert await stores.uses.unconfirmed(EVER, None, 9) == [OpenClaim(use(stored), ROOM)]
        await stores.uses.settle([], [use(stored)], stores.clock() + 1)
        assert await stores.exists(stored)
        assert (await stores.claim(stored, message="m2")).message_uid == "m2"

    async def test_confirmed_uses_do_not_end(self, stores: MediaStores) -> None:
        stored = await stores.reserve(BOB)
        await stores.claim(stored)
        await stores.uses.settle([use(stored)], [], EVER)
        await stores.uses.settle([], [use(stored)], EVER)
        assert await stores.uses.unconfirmed(EVER, None, 9) == []
        await stores.release(stored)
        assert not await stores.exists(stored)

    async def test_unconfirmed_ones_are_listed_by_age_and_in_pages(self, stores: MediaStores) -> None:
        stored = [await stores.reserve(BOB) for _ in range(5)]
        for number, one in enumerate(stored[:4]):
            await stores.claim(one, message=f"m{number}")
        stores.clock.advance(1)
        now = stores.clock()
        await stores.claim(stored[4], message="m0")
        first = await stores.uses.unconfirmed(now, None, 3)
        assert [one.use.message_uid for one in first] == ["m0", "m1", "m2"]
        assert [one.use.message_uid for one in await stores.uses.unconfirmed(now, first[-1].use, 3)] == ["m3"]
