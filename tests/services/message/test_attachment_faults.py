"""Messages with attachments when something goes wrong between two services, or two callers meet (ADR 5)."""

import asyncio
import random
from itertools import chain, combinations

import pytest
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.message_pb2 import Message
from roomline.v1.user_service_pb2 import DeleteUserRequest

from tests.services.message.desk import TEXT, Desk, file, ids_of, until, urls_of
from tests.support.refusals import refuses
from tests.support.tap import Tap

pytestmark = pytest.mark.thorough


NEW_UID = "0190aaaa-0000-7000-8000-00000000000a"


async def test_a_send_whose_claim_was_answered_to_nobody_can_be_repeated(desk: Desk) -> None:
    """Fault 1, one service further."""
    tap, id_ = Tap(desk.cluster.media_server), await desk.reserved()
    tap.lost.add("ClaimAttachments")
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.send(id_, request_id="r")
    assert not (await desk.page()).messages
    sent = await desk.send(id_, request_id="r")
    assert urls_of(sent) == [True]
    assert desk.uses(sent) == {id_}
    assert (await desk.send(id_, request_id="r")).uid == sent.uid


async def test_a_claim_without_a_message_ends_and_one_with_a_message_stays(desk: Desk) -> None:
    """What a message service leaves that is killed between claim and append."""
    lost, kept, ownerless = await desk.reserved(), await desk.reserved(), await desk.reserved(room="")
    sent = await desk.send(kept)
    await desk.claim(lost, NEW_UID, sent.room_uid)
    await desk.claim(ownerless, sent.uid, sent.room_uid)  # as by an edit of that message
    with refuses("ATTACHMENT_UNUSABLE"):
        await desk.send(lost)
    desk.clock.advance(601)

    async def ended() -> bool:
        return not desk.uses_of(NEW_UID) and desk.uses(sent) == {kept}

    await until(ended)
    assert urls_of(await desk.send(lost)) == [True]
    await desk.a_day_later()
    await desk.gone(ownerless)
    assert urls_of(await desk.message(sent, desk.server())) == [True]
    assert desk.uses(sent) == {kept}


async def test_a_message_is_not_stored_on_a_claim_that_may_have_ended(desk: Desk) -> None:
    tap, id_ = Tap(desk.cluster.media_server), await desk.reserved()

    async def sleep() -> None:
        desk.clock.advance(301)

    tap.after["ClaimAttachments"] = sleep
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.send(id_, request_id="r")
    assert not (await desk.page()).messages
    sent = await desk.send(id_, request_id="r")  # claims anew
    await desk.a_day_later()
    assert urls_of(await desk.message(sent)) == [True]


async def test_a_refused_message_leaves_its_attachments_to_the_next_one(desk: Desk) -> None:
    """Also if its sender does not know of request ids, or asks with a new one."""
    tap, id_ = Tap(desk.cluster.media_server), await desk.reserved()

    async def sleep() -> None:
        desk.clock.advance(301)

    tap.after["ClaimAttachments"] = sleep
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.send(id_, request_id="r")
    sent = await desk.send(id_, request_id="s")
    text = await desk.send_text()
    other = await desk.reserved()
    tap.after["ClaimAttachments"] = sleep
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.edit(text, file(other))
    assert urls_of(await desk.send(other)) == [True]
    tap.after["ClaimAttachments"] = sleep
    tap.lost.add("UnclaimAttachments")
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.send(await desk.reserved())
    assert desk.uses(sent) == {id_}


async def test_a_claim_that_two_tries_share_stays_for_the_other_one(desk: Desk) -> None:
    """The first try is refused after the second one has claimed, and before that has stored its message."""
    tap, id_, second = Tap(desk.cluster.media_server), await desk.reserved(), asyncio.Event()
    sends: list[asyncio.Task[Message]] = []

    async def retry() -> None:
        claimed, refused = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            claimed.set()
            await refused.wait()

        tap.after["ClaimAttachments"] = hold
        sends.append(asyncio.create_task(desk.send(id_, request_id="r")))
        await claimed.wait()
        desk.clock.advance(301)
        second.set()
        ends.append(refused)

    ends: list[asyncio.Event] = []
    tap.after["ClaimAttachments"] = retry
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.send(id_, request_id="r")
    assert second.is_set()
    desk.clock.advance(-301)
    ends[0].set()
    sent = await sends[0]
    assert desk.uses(sent) == {id_}


async def test_a_room_that_goes_between_claim_and_append(desk: Desk) -> None:
    """Fault 27: the room, or the one that follows under its id."""
    tap, of_room, ownerless = Tap(desk.cluster.media_server), await desk.reserved(), await desk.reserved(room="")
    tap.after["ClaimAttachments"] = lambda: desk.delete_room("den")
    with refuses("ROOM_NOT_FOUND"):
        await desk.send(of_room)
    await desk.gone(of_room)
    await desk.make_room("den", "bob")

    async def replace() -> None:
        await desk.delete_room("den")
        await desk.make_room("den", "bob")

    # The release of the room takes the claim along; what it has no room stays only if something else uses it.
    keeper = await desk.send(ownerless, room="hall")
    tap.after["ClaimAttachments"] = replace
    sent = await desk.send(ownerless)
    assert sent.room_uid != keeper.room_uid
    assert desk.uses(sent) == {ownerless}
    assert urls_of(await desk.message(sent)) == [True]


async def test_an_edit_that_is_overtaken_looks_again(desk: Desk) -> None:
    tap = Tap(desk.cluster.media_server)
    ownerless, of_room = await desk.reserved(room=""), await desk.reserved()
    await desk.send(ownerless, room="hall")
    sent = await desk.send(ownerless)
    tap.after["ClaimAttachments"] = lambda: desk.edit(sent, TEXT)  # drops, and releases, what the other one keeps
    edited = await desk.edit(sent, file(of_room), file(ownerless))
    assert urls_of(edited) == [True, True]
    assert desk.uses(sent) == {of_room, ownerless}

    tap.after["ClaimAttachments"] = lambda: desk.unsend(sent)
    with refuses("MESSAGE_NOT_FOUND"):
        await desk.edit(sent, file(await desk.reserved()))


async def test_an_edit_finishes_the_release_of_what_it_takes_back(desk: Desk) -> None:
    tap, ownerless = Tap(desk.cluster.media_server), await desk.reserved(room="")
    await desk.send(ownerless, room="hall")
    sent = await desk.send(ownerless)
    tap.lost.add("ReleaseAttachments")  # carried out, but nobody knows
    await desk.edit(sent, TEXT)
    assert desk.pending() == 1
    assert urls_of(await desk.edit(sent, file(ownerless))) == [True]
    assert desk.pending() == 0
    await desk.a_day_later()
    assert desk.uses(sent) == {ownerless}


async def test_a_release_is_handed_over_once(desk: Desk) -> None:
    """A second one, on its way while an edit claims the attachment again, would end that claim."""
    tap, end, begun = Tap(desk.cluster.media_server), asyncio.Event(), asyncio.Event()
    ownerless = await desk.reserved(room="")
    await desk.send(ownerless, room="hall")
    sent = await desk.send(ownerless)

    async def hold() -> None:
        begun.set()
        await end.wait()

    tap.before["ReleaseAttachments"] = hold
    dropping = asyncio.create_task(desk.edit(sent, TEXT))
    await begun.wait()
    taking_back = asyncio.create_task(desk.edit(sent, file(ownerless)))
    done, _ = await asyncio.wait({taking_back}, timeout=0.3)
    assert not done
    end.set()
    await asyncio.gather(dropping, taking_back)
    assert tap.calls["ReleaseAttachments"] == 1
    assert desk.uses(sent) == {ownerless}


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_edits_leave_what_the_last_one_says(desk: Desk, seed: int) -> None:
    """Any of them may drop or take back what another one takes back or drops, while releases get lost."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    tap = Tap(desk.cluster.media_server)
    ids = [await desk.reserved(room="") for _ in range(3)]
    await desk.send(*ids, room="hall")  # so that they outlive their releases
    sent = await desk.send(*ids)
    choices = list(chain.from_iterable(combinations(ids, n) for n in range(4)))

    async def edit() -> None:
        if chance.random() < 0.3:
            tap.lost.add(chance.choice(["ReleaseAttachments", "ClaimAttachments", "BatchGetAttachments"]))
        try:
            await desk.edit(sent, TEXT, *map(file, chance.choice(choices)))
        except Exception:  # noqa: BLE001 - refused: too many at once, or an answer was lost
            outcomes.append(False)
        else:
            outcomes.append(True)

    outcomes: list[bool] = []
    for _ in range(15):
        await asyncio.gather(*(edit() for _ in range(4)))
    tap.lost.clear()
    assert sum(outcomes) > 15

    async def told() -> bool:
        return desk.pending() == 0

    await until(told)
    message = await desk.message(sent)
    assert set(ids_of(message)) <= desk.uses(sent)
    await desk.a_day_later()
    assert desk.uses(sent) == set(ids_of(message))


async def test_without_the_media_service_text_goes_on_and_attachments_wait(desk: Desk) -> None:
    id_, other = await desk.reserved(), await desk.reserved()
    sent = await desk.send(id_)
    await desk.stop_media()
    with refuses("SERVICE_UNAVAILABLE", service="media"):
        await desk.send(other)
    for read in (desk.message(sent), desk.page()):
        with refuses("SERVICE_UNAVAILABLE", service="media"):
            await read
    await desk.send_text()
    await desk.unsend(sent)
    await desk.delete_room("hall")
    assert [part for message in (await desk.page()).messages for part in message.parts] == [TEXT]
    assert desk.pending() == 2
    await desk.restart_message()
    await desk.start_media()

    async def told() -> bool:
        return desk.pending() == 0

    await until(told)
    await desk.gone(id_)
    assert urls_of(await desk.send(other)) == [True]


async def test_a_media_service_that_hangs_keeps_nobody_waiting_for_long(desk: Desk) -> None:
    tap, end = Tap(desk.cluster.media_server), asyncio.Event()
    sent = await desk.send(await desk.reserved())
    tap.before["ReleaseAttachments"] = end.wait
    async with asyncio.timeout(60):  # far less than the release takes, which is for ever
        await desk.unsend(sent)
    assert desk.uses(sent)
    end.set()

    async def told() -> bool:
        return desk.pending() == 0

    await until(told)
    assert not desk.uses(sent)


async def test_a_message_service_starts_and_serves_alone(desk: Desk) -> None:
    await desk.stop_media()
    await desk.restart_message()
    assert (await desk.send_text()).parts


async def test_releases_of_a_reset_instance_are_dropped(desk: Desk) -> None:
    tap, sent = Tap(desk.cluster.media_server), await desk.send(await desk.reserved())
    tap.lost.add("ReleaseAttachments")
    await desk.unsend(sent)
    assert desk.pending() == 1
    await desk.cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=desk.server())
    assert desk.pending() == 0
    await desk.emptied()


async def test_a_deleted_users_unused_uploads_go_with_it(desk: Desk) -> None:
    used, unused = await desk.reserved(), await desk.reserved(room="")
    sent = await desk.send(used)
    await desk.cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=desk.server())
    await desk.gone(unused)
    assert urls_of(await desk.message(sent, desk.server())) == [True]


async def test_a_forgotten_request_id_does_not_bring_an_old_message_back(desk: Desk) -> None:
    ownerless = await desk.reserved(room="")
    first: Message = await desk.send(ownerless, request_id="r")
    desk.forget_requests()
    second = await desk.send(ownerless, request_id="r")
    assert second.uid != first.uid
    assert desk.uses(second) == desk.uses(first) == {ownerless}
