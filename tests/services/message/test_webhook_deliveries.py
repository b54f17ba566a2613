"""Webhooks as their receivers see them (faults 20, 23, 24 and 25)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from google.protobuf.duration_pb2 import Duration
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import DeleteMessageRequest, SendMessageRequest

from services.common import outbound
from services.common.backoff import Backoff
from services.message import log_reader
from tests.services.media.house import House
from tests.services.message.hooked import Hooked, failing, hooked, idle, texts_of
from tests.support.ports import free_port
from tests.support.receiver import Posted, accept, receiver, refuse


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooked]:
    async with hooked(tmp_path) as running:
        yield running


async def test_what_happens_is_delivered_in_order(hooks: Hooked) -> None:
    await hooks.send("before")
    webhook = await hooks.create()
    texts = [str(number) for number in range(30)]
    await hooks.send(*texts)
    await hooks.until_told(*texts)
    events = hooks.events()
    assert [event.position for event in events] == [*range(3, 33)]
    assert events[0].message_sent.message.user_id == "bob"
    assert events[0].message_sent.message.room_id == "den"
    found = await hooks.until(webhook, idle)
    assert (found.status.position, found.status.last_error) == (32, "")
    assert found.status.HasField("delivered_at")
    assert len({delivery.id for delivery in hooks.deliveries()}) == len(hooks.deliveries())


async def test_what_has_gathered_comes_together(hooks: Hooked) -> None:
    webhook = await hooks.create(disabled=True)
    texts = [str(number) for number in range(log_reader.BATCH_EVENTS + 20)]
    await hooks.send(*texts)
    assert (await hooks.get(webhook)).status.behind == len(texts)
    await hooks.update(webhook, "disabled")
    await hooks.until_told(*texts)
    assert [len(delivery.events) for delivery in hooks.deliveries()] == [log_reader.BATCH_EVENTS, 20]


async def test_only_what_is_wanted_is_delivered(hooks: Hooked) -> None:
    webhook = await hooks.create(event_kinds=["message_deleted"])
    one, _ = await hooks.send("one", "two")
    request = DeleteMessageRequest(room_id="den", id=one.id)
    await hooks.cluster.messages.DeleteMessage(request, metadata=hooks.cluster.as_server("bob"))
    (posted,) = await hooks.target.until(lambda posted: len(posted) == 1)
    assert [event.message_deleted.message_id for event in hooks.events()] == [one.id]
    await hooks.until(webhook, idle)
    await hooks.update(webhook, event_kinds=["message_sent"])
    await hooks.send("three")
    await hooks.until_told("three")
    assert posted.headers["user-agent"] == "Roomline"


async def test_a_delivery_is_repeated_as_the_same_until_it_is_taken(hooks: Hooked) -> None:
    hooks.target.reply = refuse(500)
    webhook = await hooks.create()
    await hooks.send("one")
    await hooks.target.until(lambda posted: len(posted) >= 3)
    await hooks.send("two")
    await hooks.target.until(lambda posted: len(posted) >= 5)
    found = await hooks.until(webhook, failing)
    assert found.status.last_error == "it answered with the status 500"
    assert (found.status.position, found.status.behind) == (1, 2)
    refused = len(hooks.deliveries())
    hooks.target.reply = accept
    await hooks.until(webhook, idle)
    deliveries = hooks.deliveries()
    assert {(one.id, *texts_of(one.events)) for one in deliveries[: refused + 1]} == {(deliveries[0].id, "one")}
    assert texts_of(deliveries[-1].events) == ["two"]
    assert {posted.headers["webhook-id"] for posted in hooks.target.posted[: refused + 1]} == {deliveries[0].id}


async def test_a_receiver_that_is_down_gets_everything_later_and_holds_up_no_other(hooks: Hooked) -> None:
    port = free_port()
    down = await hooks.create(f"http://127.0.0.1:{port}/hook")
    await hooks.create()
    await hooks.send("one", "two")
    await hooks.until_told("one", "two")
    found = await hooks.until(down, failing)
    assert (found.status.last_error, found.status.behind) == ("no connection", 2)
    async with receiver(port) as late:
        await hooks.send("three")
        await hooks.until_told("one", "two", "three", target=late)
        await hooks.until(down, idle)


async def test_a_slow_receiver_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 0.5)
    waiting = asyncio.Event()

    async def stall(_: Posted) -> web.StreamResponse:
        await waiting.wait()
        return web.Response()

    async with hooked(tmp_path) as hooks:
        hooks.target.reply = stall
        webhook = await hooks.create()
        await hooks.send("one")
        found = await hooks.until(webhook, failing)
        assert found.status.last_error == "no answer in time"
        hooks.target.reply = accept
        await hooks.until(webhook, idle)
        assert {*texts_of(hooks.events())} == {"one"}
        waiting.set()


async def test_a_delivery_is_taken_when_its_status_says_so(hooks: Hooked) -> None:
    """And not sent again because the rest of the answer never comes (Standard Webhooks)."""

    async def endless() -> AsyncIterator[bytes]:
        yield b"thank you, and"
        await asyncio.get_running_loop().create_future()

    async def stall(_: Posted) -> web.StreamResponse:
        return web.Response(body=endless())

    hooks.target.reply = stall
    webhook = await hooks.create()
    await hooks.send("one")
    await hooks.until(webhook, idle)
    hooks.target.reply = accept
    await hooks.send("two")
    await hooks.until_told("one", "two")


async def test_whoever_has_mended_a_receiver_need_not_wait(tmp_path: Path) -> None:
    async with hooked(tmp_path, backoff=Backoff(3600, 3600)) as hooks:
        hooks.target.reply = refuse(500)
        webhook = await hooks.create()
        await hooks.send("one")
        await hooks.until(webhook, failing)
        hooks.target.reply = accept
        await hooks.update(webhook, description="mended")
        await hooks.until(webhook, idle)
        assert len(hooks.target.posted) == 2


async def test_a_receiver_that_is_gone_is_asked_no_more(hooks: Hooked) -> None:
    hooks.target.reply = refuse(410)
    webhook = await hooks.create()
    await hooks.send("one")
    found = await hooks.until(webhook, lambda found: found.disabled and failing(found))
    assert found.status.last_error == "it answered with the status 410"
    hooks.target.reply = accept
    await hooks.send("two")
    assert len(hooks.target.posted) == 1
    await hooks.update(webhook, "disabled")
    await hooks.until(webhook, idle)
    assert texts_of(hooks.events()) == ["one", "one", "two"]


async def test_a_redirect_is_not_followed(hooks: Hooked) -> None:
    async with receiver() as inside:
        hooks.target.reply = refuse(307, Location=inside.url)
        webhook = await hooks.create()
        await hooks.send("one")
        found = await hooks.until(webhook, failing)
        assert found.status.last_error == "it answered with the status 307"
        assert inside.posted == []


async def test_where_it_leads_is_looked_at_for_every_delivery(hooks: Hooked) -> None:
    webhook = await hooks.create()
    await hooks.restart(outbound_allow_private=False)
    await hooks.send("one")
    found = await hooks.until(webhook, failing)
    assert found.status.last_error == "it must begin with https://"
    assert hooks.target.posted == []
    await hooks.restart()
    await hooks.until_told("one")


async def test_what_was_unsent_or_has_expired_before_it_is_delivered_is_delivered_without_content(
    hooks: Hooked,
) -> None:
    hooks.target.reply = refuse(503)
    await hooks.create()
    (unsent,) = await hooks.send("unsent")
    await hooks.target.until(bool)
    await hooks.send("fleeting", expires_in=Duration(seconds=60))
    await hooks.send("kept")
    request = DeleteMessageRequest(room_id="den", id=unsent.id)
    await hooks.cluster.messages.DeleteMessage(request, metadata=hooks.cluster.as_server("bob"))
    hooks.clock.advance(61)
    before = len(hooks.target.posted)
    hooks.target.reply = accept
    await hooks.target.until(lambda posted: len(posted) > before and b"message_deleted" in posted[-1].body)
    assert all(b"unsent" not in posted.body.replace(b"unsent_at", b"") for posted in hooks.target.posted[before + 1 :])
    assert all(b"fleeting" not in posted.body for posted in hooks.target.posted)
    assert any(b"kept" in posted.body for posted in hooks.target.posted)


async def test_where_it_stands_survives_a_restart(hooks: Hooked) -> None:
    webhook = await hooks.create()
    await hooks.send("one")
    await hooks.until_told("one")
    await hooks.until(webhook, idle)
    hooks.target.reply = refuse(500)
    await hooks.send("two")
    await hooks.until(webhook, failing)
    await hooks.restart()
    await hooks.send("three")
    hooks.target.reply = accept
    await hooks.until(webhook, idle)
    texts = texts_of(hooks.events())
    assert (texts[0], texts[-1], {*texts[1:-1]}) == ("one", "three", {"two"})


async def test_a_delivery_under_way_does_not_hold_up_the_end(hooks: Hooked) -> None:
    async def stall(_: Posted) -> web.StreamResponse:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    hooks.target.reply = stall
    await hooks.create()
    await hooks.send("one")
    await hooks.target.until(bool)
    hooks.target.reply = accept
    before = asyncio.get_running_loop().time()
    await hooks.restart()
    assert asyncio.get_running_loop().time() - before < outbound.TIMEOUT_SECONDS
    first, second = (await hooks.target.until(lambda posted: len(posted) == 2))[:2]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_an_event_that_cannot_be_told_as_json_holds_up_no_other_and_is_counted(hooks: Hooked) -> None:
    webhook = await hooks.create()
    hooks.target.reply = refuse(503)
    await hooks.send("one")
    await hooks.target.until(bool)
    await hooks.send("two")
    content = Message(parts=[Part(type="text/plain", content="two")])
    content.custom_data.update({"number": float("nan")})  # which no call takes, but a database of old may have
    with closing(sqlite3.connect(hooks.cluster.settings.data_dir / "message.db")) as database, database:
        database.execute(
            "UPDATE messages SET content = ? WHERE id = (SELECT max(id) FROM messages)", (content.SerializeToString(),)
        )
    await hooks.send("three")
    hooks.target.reply = accept
    await hooks.target.until(lambda posted: b"three" in posted[-1].body)
    assert {*texts_of(hooks.events())} == {"one", "three"}
    found = await hooks.until(webhook, idle)
    assert found.status.lost_events == 1
    await hooks.send("four")
    await hooks.target.until(lambda posted: b"four" in posted[-1].body)
    assert hooks.deliveries()[-1].lost_events == 1


async def test_a_receiver_says_how_long_to_wait(hooks: Hooked) -> None:
    hooks.target.reply = refuse(429, Retry_After="3600")  # more than what it waits at most here
    await hooks.create()
    await hooks.send("one")
    await hooks.target.until(bool)
    hooks.target.reply = accept
    await hooks.target.until(lambda posted: len(posted) == 2)


@pytest.mark.parametrize("public_url", ["", "https://chat.example.org"])
async def test_attachments_come_with_where_they_are(tmp_path: Path, public_url: str) -> None:
    async with hooked(tmp_path, public_url=public_url) as hooks:
        await hooks.create()
        house = House(hooks.cluster)
        attachment = await house.file(b"bytes")
        request = SendMessageRequest(
            room_id="den", parts=[Part(type="image/png", attachment=Attachment(id=attachment.id))]
        )
        await hooks.cluster.messages.SendMessage(request, metadata=hooks.cluster.as_server("bob"))
        await hooks.target.until(lambda _: any(event.HasField("message_sent") for event in hooks.events()))
        (part,) = hooks.events()[-1].message_sent.message.parts
        assert part.attachment.size == 5
        assert part.attachment.download_url.startswith(f"{public_url}/attachments/{attachment.id}?signature=")
