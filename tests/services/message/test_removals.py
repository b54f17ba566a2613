"""Messages that are hidden, unsent, edited by their uid, or disappear by themselves (spec chat-api §4, §5)."""

import asyncio
from collections.abc import Awaitable, Iterable
from itertools import islice
from typing import TypeVar

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest

from tests.services.message.desk import TEXT, Desk, file, until, urls_of
from tests.support.cluster import Cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker

T = TypeVar("T")


@pytest.fixture
def bob(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "bob")


@pytest.fixture
def ann(cluster: Cluster) -> Talker:
    return Talker.user(cluster, "ann")


async def some_at_a_time(calls: Iterable[Awaitable[T]]) -> list[T]:
    """What the calls give; not all at once, since a connection takes 1,024."""
    results: list[T] = []
    waiting = iter(calls)
    while piece := list(islice(waiting, 500)):
        results += await asyncio.gather(*piece)
    return results


async def test_hide(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    first, second = await bob.send(room), await bob.send(room)
    for _ in range(2):
        await ann.hide(second.uid)
    assert (await ann.replies(room), await bob.replies(room)) == ([first], [first, second])
    view = await ann.view(room)
    assert (view.unread_count, view.last_message) == (1, first)
    with refuses("MESSAGE_NOT_FOUND"):
        await ann.get(second.uid)
    assert await bob.get(second.uid) == second
    with refuses("MESSAGE_NOT_FOUND"):
        await Talker.user(cluster, "eve").hide(first.uid)
    with refuses("ACTOR_REQUIRED"):
        await Talker.server(cluster).hide(first.uid)
    await Talker.server(cluster, "ann").hide(first.uid)
    assert await ann.replies(room) == []
    # The other dialect reads by ids.
    request = ListMessagesRequest(room_id=room)
    assert not (await cluster.messages.ListMessages(request, metadata=ann.metadata)).messages
    assert len((await cluster.messages.ListMessages(request, metadata=cluster.as_server("ann"))).messages) == 2


async def test_unsend(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    first, second, third = [await bob.send(room, word) for word in ("one", "two", "three")]
    for caller in (ann, Talker.user(cluster, "eve")):
        with refuses("MESSAGE_NOT_FOUND"):
            await caller.unsend(second.uid)
    await bob.unsend(second.uid)
    (tombstone,) = [message for message in await ann.replies(room) if message.HasField("unsent_at")]
    assert (tombstone.uid, len(tombstone.parts)) == (second.uid, 0)
    for caller in (bob, Talker.server(cluster)):
        await caller.unsend(second.uid)
    assert await ann.replies(room) == [first, tombstone, third]
    await Talker.server(cluster).unsend(third.uid)
    view = await ann.view(room)
    assert (view.unread_count, view.last_message) == (1, first)
    for call in (bob.get(second.uid), bob.edit(second.uid, "back")):
        with refuses("MESSAGE_NOT_FOUND"):
            await call


async def test_edit_by_uid(cluster: Cluster, bob: Talker, ann: Talker) -> None:
    room = await bob.opened("ann")
    sent = await bob.send(room, "before")
    edited = await bob.edit(sent.uid, "after")
    assert (edited.id, edited.parts[0].content) == (sent.id, "after")
    assert (await ann.replies(room)) == [edited]
    for caller in (ann, Talker.user(cluster, "eve")):
        with refuses("MESSAGE_NOT_FOUND"):
            await caller.edit(sent.uid, "mine")
    assert (await Talker.server(cluster, "eve").edit(sent.uid, "by a server")).user_id == "bob"


async def test_marks(bob: Talker, ann: Talker) -> None:
    room, other = await bob.opened("ann"), await bob.opened("bob")
    sent = [await bob.send(room) for _ in range(3)]
    elsewhere = await bob.send(other)
    assert (await ann.mark(room, sent[1].uid)).position == sent[1].id
    assert (await ann.view(room)).unread_count == 1
    for uid in (elsewhere.uid, room):
        with refuses("MESSAGE_NOT_FOUND"):
            await ann.mark(room, uid)
    await ann.hide(sent[2].uid)
    with refuses("MESSAGE_NOT_FOUND"):
        await ann.mark(room, sent[2].uid)
    assert (await ann.view(room)).cursor.position == sent[1].id


@pytest.mark.thorough
async def test_pages_of_a_thousand_go_on_to_the_end_past_what_is_hidden(bob: Talker, ann: Talker) -> None:
    """Fault 24."""
    room = await bob.opened("ann")
    sent = await some_at_a_time(bob.send(room, f"{number}") for number in range(1100))
    ordered = sorted(sent, key=lambda message: message.id)
    await some_at_a_time(ann.hide(message.uid) for message in ordered[20:1080])
    seen: list[Message] = []
    token = ""
    while not seen or token:
        page = await ann.page(room, 10, token)
        seen += page.messages
        token = page.next_page_token
    assert seen == ordered[:20] + ordered[1080:]
    first = await bob.page(room, 2000)
    assert list(first.messages) == ordered[:1000]
    rest = await bob.page(room, 2000, first.next_page_token)
    assert (list(rest.messages), rest.next_page_token) == (ordered[1000:], "")


async def test_large_messages_make_short_pages(bob: Talker) -> None:
    room = await bob.opened("bob")
    metadata = bob.cluster.as_user("bob")
    request = SendMessageRequest(room_uid=room, parts=[Part(type="text/plain", content="x" * 5000)])
    request.custom_data["x"] = "x" * 8000
    await some_at_a_time(bob.cluster.messages.SendMessage(request, metadata=metadata) for _ in range(1200))
    sizes: list[int] = []
    token = ""
    while not sizes or token:
        page = await bob.page(room, 1000, token)
        assert page.ByteSize() < 9 * 1024 * 1024
        sizes.append(len(page.messages))
        token = page.next_page_token
    assert sizes == [sizes[0], 1200 - sizes[0]]
    assert sizes[0] < 1000


async def test_a_message_expires_with_its_file(desk: Desk) -> None:
    bob, ann = Talker.user(desk.cluster, "bob"), Talker.user(desk.cluster, "ann")
    room = await desk.room_uid()
    kept = (await bob.replies(room))[-1]
    id_ = await desk.reserved()
    request = SendMessageRequest(room_uid=room, parts=[TEXT, file(id_)])
    request.expires_at.FromMicroseconds(desk.clock() + 300 * 1_000_000)
    sent = (await desk.cluster.messages.SendMessage(request, metadata=bob.metadata)).message
    short = await ann.send(room, "a-secret-word", seconds=300)
    assert urls_of((await ann.replies(room))[1]) == [True]
    assert (await ann.view(room)).unread_count == 3
    desk.clock.advance(300)
    assert await ann.replies(room) == [kept]
    view = await ann.view(room)
    assert (view.unread_count, view.last_message) == (1, kept)
    for message in (sent, short):
        with refuses("MESSAGE_NOT_FOUND"):
            await bob.get(message.uid)

    async def wiped() -> bool:
        return desk.stored(sent) == desk.stored(short) == b"" and desk.pending() == 0

    await until(wiped)
    await desk.gone(id_)


async def test_what_was_due_while_no_service_ran_is_wiped_at_its_start(desk: Desk) -> None:
    bob = Talker.user(desk.cluster, "bob")
    sent = await bob.send(await desk.room_uid(), "a-secret-word", seconds=300)
    await desk.cluster.message_server.stop()
    desk.clock.advance(7200)
    await desk.restart_message()

    async def wiped() -> bool:
        return desk.stored(sent) == b""

    await until(wiped)


async def test_an_expiry_is_in_the_future_and_at_most_a_year_away(desk: Desk) -> None:
    bob = Talker.user(desk.cluster, "bob")
    room = await desk.room_uid()
    for seconds in (-1, 0, 367 * 86400):
        with refuses("FIELD_INVALID", field="expires_at"):
            await bob.send(room, seconds=seconds)
    id_ = await desk.reserved()
    request = SendMessageRequest(room_uid=room, parts=[file(id_)], expires_at=Timestamp(seconds=1))
    with refuses("FIELD_INVALID", field="expires_at"):
        await desk.cluster.messages.SendMessage(request, metadata=bob.metadata)
    await desk.send(id_)  # it was not claimed


async def test_a_repeated_send_after_its_expiry_gets_the_first_message(desk: Desk) -> None:
    bob = Talker.user(desk.cluster, "bob")
    request = SendMessageRequest(room_uid=await desk.room_uid(), parts=[TEXT], request_id="r")
    request.expires_at.FromMicroseconds(desk.clock() + 60 * 1_000_000)
    first = await desk.cluster.messages.SendMessage(request, metadata=bob.metadata)
    desk.clock.advance(120)
    assert await desk.cluster.messages.SendMessage(request, metadata=bob.metadata) == first


async def test_a_repeated_send_with_a_time_to_live_is_the_same_however_late(desk: Desk) -> None:
    bob = Talker.user(desk.cluster, "bob")
    room = await desk.room_uid()
    for parts in ([TEXT], [TEXT, file(await desk.reserved())]):
        request = SendMessageRequest(
            room_uid=room, parts=parts, request_id=f"{len(parts)} parts", expires_in=Duration(seconds=300)
        )
        first = (await desk.cluster.messages.SendMessage(request, metadata=bob.metadata)).message
        assert first.expires_at.seconds == first.created_at.seconds + 300
        desk.clock.advance(60)
        again = (await desk.cluster.messages.SendMessage(request, metadata=bob.metadata)).message
        assert (again.uid, again.expires_at) == (first.uid, first.expires_at)
        request.expires_in.seconds = 301
        with refuses("REQUEST_ID_REUSED"):
            await desk.cluster.messages.SendMessage(request, metadata=bob.metadata)
