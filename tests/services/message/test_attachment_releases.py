"""Claims that nobody has confirmed when their message goes: the release counts, not the sweeper (fault 23, ADR 5)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.duration_pb2 import Duration
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import SendMessageRequest

from tests.services.message.desk import Desk, file, until
from tests.support.tap import Tap

pytestmark = pytest.mark.thorough


CLAIM_SECONDS = 601


async def asked_after(tap: Tap) -> None:
    """Returns when the sweeper has asked after old claims, and has done what follows from the answer."""
    calls = tap.calls["CheckAttachmentUses"]

    async def twice() -> bool:
        return tap.calls["CheckAttachmentUses"] > calls + 1  # the first one is settled before the second one is made

    await until(twice)


async def told(desk: Desk) -> None:
    """Returns when the media service knows of all that was let go."""

    async def nothing_is_pending() -> bool:
        return desk.pending() == 0

    await until(nothing_is_pending)


async def deleted_message(desk: Desk, sent: Message) -> None:
    await desk.unsend(sent)


async def deleted_room(desk: Desk, _: Message) -> None:
    await desk.delete_room("den")


@pytest.mark.parametrize("room", ["den", ""], ids=["of the room", "of the user"])
@pytest.mark.parametrize("ending", [deleted_message, deleted_room])
async def test_a_sweep_before_a_release_ends_nothing(
    desk: Desk, ending: Callable[[Desk, Message], Awaitable[None]], room: str
) -> None:
    release, begun, end = Tap(desk.cluster.media_server), asyncio.Event(), asyncio.Event()
    sweeps = Tap(desk.cluster.message_server)
    id_ = (await desk.file(b"secret", room=room)).id
    sent = await desk.send(id_)

    async def hold() -> None:
        begun.set()
        await end.wait()

    release.before["ReleaseAttachments"] = hold
    acting = asyncio.ensure_future(ending(desk, sent))
    await begun.wait()
    desk.clock.advance(CLAIM_SECONDS)
    await asked_after(sweeps)
    assert desk.uses(sent) == {id_}
    end.set()
    await acting
    await told(desk)
    await desk.gone(id_)
    await desk.emptied()


async def test_a_sweep_right_after_the_media_service_was_away(desk: Desk) -> None:
    id_ = (await desk.file(b"secret")).id
    sent = await desk.send(id_)
    await desk.stop_media()
    await desk.unsend(sent)
    desk.clock.advance(CLAIM_SECONDS)
    await desk.start_media()
    await told(desk)
    await desk.gone(id_)
    await desk.emptied()


async def test_a_message_that_expires_while_its_claim_is_open(desk: Desk) -> None:
    id_ = (await desk.file(b"secret", room="")).id
    request = SendMessageRequest(room_id="den", parts=[file(id_)], expires_in=Duration(seconds=CLAIM_SECONDS))
    await desk.cluster.messages.SendMessage(request, metadata=desk.user("bob"))
    desk.clock.advance(CLAIM_SECONDS + 1)
    await desk.emptied()
    await desk.gone(id_)
