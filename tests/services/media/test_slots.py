"""Slow uploads keep nobody else waiting: places are for large ones, shared out, and not for those that trickle."""

import asyncio
from collections.abc import Sequence

import grpc
import pytest
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.media_service_pb2 import UploadAttachmentRequest, UploadAttachmentResponse

from services.common.streams import answer_of
from services.media.blobs import WHOLE_BYTES
from services.media.meter import Patience
from services.media.server import build_server
from services.media.slots import Place, Slots
from services.media.store import Stored
from services.media.uploads import AT_ONCE_EACH, LARGE_AT_ONCE_IN_INSTANCE
from tests.services.media.house import House, chunks_of, signature_of
from tests.support.cluster import Metadata
from tests.support.refusals import refuses

SECONDS = 60
Upload = grpc.aio.StreamUnaryCall[UploadAttachmentRequest, UploadAttachmentResponse]


def upload_of(user_id: str, instance_id: str = "one") -> Stored:
    return Stored(instance_id, Attachment(user_id=user_id), None, None, sized=True)


async def taken(slots: Slots, *uploads: Stored) -> list[Place]:
    places = [slots.place(upload) for upload in uploads]
    for place in places:
        await place.take()
    return places


async def waiting(slots: Slots, upload: Stored) -> tuple[Place, asyncio.Task[None]]:
    """A place that somebody waits for."""
    place = slots.place(upload)
    task = asyncio.create_task(place.take())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return place, task


@pytest.mark.parametrize(
    ("held", "waits", "passes"),
    [
        ([("bob", "one")] * 2, ("bob", "one"), ("ann", "one")),
        ([("bob", "one"), ("bob", "one"), ("ann", "one")], ("eve", "one"), ("bob", "two")),
        ([("bob", "one"), ("ann", "one"), ("bob", "two"), ("ann", "two")], ("bob", "three"), None),
    ],
    ids=["each", "instance", "all"],
)
async def test_places_are_shared_out(
    held: Sequence[tuple[str, str]], waits: tuple[str, str], passes: tuple[str, str] | None
) -> None:
    slots = Slots(in_all=4, in_instance=3, each=2)
    places = await taken(slots, *(upload_of(*one) for one in held))
    place, task = await waiting(slots, upload_of(*waits))
    if passes is not None:
        await taken(slots, upload_of(*passes))
    places[0].leave()
    await task
    place.leave()


async def test_who_holds_a_place_learns_that_others_wait() -> None:
    slots = Slots(in_all=4, in_instance=2, each=2)
    first, _, elsewhere = await taken(slots, *map(upload_of, ("bob", "bob")), upload_of("bob", "two"))
    third, third_taken = await waiting(slots, upload_of("bob"))  # for his own share
    assert not first.is_wanted
    anns, anns_taken = await waiting(slots, upload_of("ann"))
    assert [place.is_wanted for place in (first, elsewhere, third, anns)] == [True, False, False, False]
    first.leave()
    await anns_taken
    assert anns.is_wanted  # now by Bob's third, whose own share is free
    anns.leave()
    await third_taken
    assert not third.is_wanted


async def test_a_place_that_is_left_while_it_is_taken_is_nobodys() -> None:
    slots = Slots(in_all=1, in_instance=1, each=1)
    (first,) = await taken(slots, upload_of("bob"))
    place, task = await waiting(slots, upload_of("ann"))
    place.leave()
    first.leave()
    await asyncio.wait([task])
    assert task.cancelled()
    await taken(slots, upload_of("eve"))


async def stuck(house: House, users: Sequence[Metadata], size: int) -> list[Upload]:
    """Uploads, as many as each user can have at a time, that have sent so many bytes and send no more."""
    calls = []
    for by in users:
        for _ in range(AT_ONCE_EACH):
            reserved = await house.reserve(size + 1, by=by, room="")
            call = house.cluster.media.UploadAttachment()
            await call.write(UploadAttachmentRequest(signature=signature_of(reserved.upload_url)))
            for chunk in chunks_of(bytes(size)):
                await call.write(chunk)
            calls.append(call)
    return calls


async def serve(house: House, patience: Patience) -> None:
    """Another media service, which waits long for those who are silent."""
    settings = house.cluster.settings.model_copy(update={"idle_timeout_seconds": 10 * SECONDS})
    await house.cluster.media_server.stop()
    house.cluster.media_server = build_server(settings, patience=patience)
    await house.cluster.media_server.start(settings.media_address)


PATIENT = Patience(step_seconds=10 * SECONDS, hurried_seconds=10 * SECONDS)


async def test_slow_uploads_of_one_keep_nobody_else_waiting(house: House) -> None:
    await serve(house, PATIENT)
    slow = await stuck(house, [house.user("bob")] * 2, 1)
    async with asyncio.timeout(SECONDS):
        assert (await house.file(b"ann's", by=house.user("ann"))).size == 5
    for call in slow:
        call.cancel()
    await house.emptied(down_to=1)


async def test_slow_uploads_of_many_keep_no_small_one_waiting(house: House) -> None:
    await serve(house, PATIENT)
    slow = await stuck(house, some_users(house), 1)
    async with asyncio.timeout(SECONDS):
        assert (await house.file(bytes(WHOLE_BYTES), by=house.user("ann"))).size == WHOLE_BYTES
    for call in slow:
        call.cancel()
    await house.emptied(down_to=1)


@pytest.mark.thorough
async def test_slow_ones_end_when_a_place_is_wanted(house: House) -> None:
    """Without that, somebody who has a few accounts would keep all large uploads of an instance waiting."""
    await serve(house, Patience(step_bytes=1000, step_seconds=10 * SECONDS, hurried_seconds=0.5))
    slow = await stuck(house, some_users(house), WHOLE_BYTES + 1)
    answers = [asyncio.create_task(answer_of(call)) for call in slow]
    stop = asyncio.Event()

    async def trickle(call: Upload) -> None:
        while not stop.is_set() and not call.done():
            await call.write(UploadAttachmentRequest(chunk=b""))
            await asyncio.sleep(0.05)

    trickling = [asyncio.create_task(trickle(call)) for call in slow]
    async with asyncio.timeout(SECONDS):
        assert (await house.file(bytes(WHOLE_BYTES + 1), by=house.user("ann"))).size == WHOLE_BYTES + 1
    stop.set()
    await asyncio.gather(*trickling, return_exceptions=True)
    ended, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
    with refuses("DEADLINE_EXCEEDED"):
        await ended.pop()
    for answer in answers:
        answer.cancel()
    await asyncio.gather(*answers, return_exceptions=True)
    await house.emptied(down_to=1)


def some_users(house: House) -> list[Metadata]:
    """As many as it takes to hold all places for large uploads."""
    return [house.user(f"user {number}") for number in range(LARGE_AT_ONCE_IN_INSTANCE // AT_ONCE_EACH)]
