"""Web push: push services that fail, restarts, and what is in our log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.typing import EventDict

from services.common.ids import MICROSECONDS
from services.user.server import build_server as build_user_server
from tests.services.message.desk import until
from tests.services.message.push_desk import PushDesk, push_desk
from tests.support.browser import PRIVATE_KEY, Browser
from tests.support.receiver import Posted, accept, refuse

pytestmark = pytest.mark.thorough

HOUR = 3600


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[PushDesk]:
    async with push_desk(tmp_path) as running:
        yield running


async def has(logged: list[EventDict], event: str) -> bool:
    return any(entry["event"] == event for entry in logged)


def bodies(browser: Browser, posted: list[Posted]) -> list[str]:
    return [browser.read(one)["notification"]["body"] for one in posted]


async def test_a_subscription_that_has_ended_is_removed(desk: PushDesk) -> None:
    statuses = {"/gone": 410, "/unknown": 404}

    async def reply(posted: Posted) -> web.StreamResponse:
        return web.Response(status=statuses.get(posted.path, 201))

    desk.service.reply = reply
    for name in ("gone", "unknown", "there"):
        await desk.subscribe(desk.browser(name), "ann")
    await desk.say("hello")
    await desk.pushed(3)
    await until(desk.idle)
    assert await desk.endpoints("ann") == [desk.browser("there").endpoint]


async def test_a_push_that_is_refused_for_good_is_left_out(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    statuses = [301, 400, 401, 403, 413]
    for count, status in enumerate(statuses, start=1):
        desk.service.reply = refuse(status, Location="/elsewhere")
        await desk.say(str(status))
        await desk.pushed(count)
        await until(desk.idle)
    desk.service.reply = accept
    await desk.say("taken")
    posted = await desk.pushed(len(statuses) + 1)
    assert bodies(browser, posted) == [*map(str, statuses), "taken"]


async def test_a_push_that_fails_is_tried_again(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    answers = [refuse(status) for status in (408, 425, 429, 500, 503)] + [accept]
    left = iter(answers)

    async def reply(posted: Posted) -> web.StreamResponse:
        return await next(left)(posted)

    desk.service.reply = reply
    await desk.say("hello")
    assert bodies(browser, await desk.pushed(len(answers))) == ["hello"] * len(answers)
    await until(desk.idle)
    assert not await desk.failing()


@pytest.mark.parametrize(
    ("header", "least", "most"), [("120", 110, 120), ("9" * 30, HOUR - 10, HOUR), ("nonsense", 0, 1)]
)
async def test_a_push_service_may_say_when(desk: PushDesk, header: str, least: float, most: float) -> None:
    await desk.subscribe(desk.browser(), "ann")
    desk.service.reply = refuse(429, Retry_After=header)
    before = desk.clock()
    await desk.say("hello")
    await until(desk.failing)
    with closing(sqlite3.connect(desk.cluster.settings.data_dir / "message.db")) as connection:
        ((due_at,),) = connection.execute("SELECT due_at FROM push_subscriptions").fetchall()
    assert before + least * MICROSECONDS <= due_at <= desk.clock() + most * MICROSECONDS


async def test_one_that_fails_gets_the_newest_of_each_room(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.room("attic", "bob", "ann")
    await desk.subscribe(browser, "ann")
    await desk.say_in_vain("first")
    for text in ("second", "third"):
        newest = [await desk.say(text), await desk.say(f"{text} above", "attic")]
    ids = ", ".join(str(message.id) for message in newest)

    async def queued() -> bool:
        return desk.rows(f"pushes WHERE message_id IN ({ids})") == desk.rows("pushes") == 2

    await until(queued)
    desk.clock.advance(40)
    await desk.say("fourth")
    await desk.pushed(2)
    await until(desk.idle)
    assert set(bodies(browser, desk.service.posted)) <= {"third above", "third", "fourth"}
    assert bodies(browser, desk.service.posted)[-1] == "fourth"


async def test_nothing_is_lost_by_a_restart(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.room("attic", "bob", "ann")
    await desk.subscribe(browser, "ann")
    await desk.say_in_vain("waits for its time")
    await desk.stop()
    await desk.start_without_key()
    await desk.say("waits to be found", "attic")
    await desk.stop()
    desk.clock.advance(40)
    await desk.start()
    assert sorted(bodies(browser, await desk.pushed(2))) == ["waits for its time", "waits to be found"]


async def test_what_is_on_its_way_may_arrive_at_the_end(desk: PushDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each restart would tell it twice otherwise."""
    monkeypatch.setattr("services.message.push_sender.LAST_SECONDS", 60.0)
    browser, ending = desk.browser(), asyncio.Event()
    await desk.subscribe(browser, "ann")

    async def reply(posted: Posted) -> web.StreamResponse:
        await ending.wait()
        return await accept(posted)

    async def serves() -> bool:
        try:
            return bool(await desk.key())
        except grpc.aio.AioRpcError:
            return False

    async def has_ended() -> bool:
        return not await serves()

    desk.service.reply = reply
    await desk.say("hello")
    await desk.pushed(1)
    stopped = asyncio.create_task(desk.stop())
    await until(has_ended)
    ending.set()
    await stopped
    desk.service.reply = accept
    await desk.start()
    await until(serves)
    await desk.say("again")
    assert bodies(browser, await desk.pushed(2)) == ["hello", "again"]


async def test_old_messages_are_told_to_nobody(desk: PushDesk) -> None:
    """Neither those that waited in the queue nor those that come from the log."""
    browser = desk.browser()
    await desk.room("attic", "bob", "ann")
    await desk.subscribe(browser, "ann")
    await desk.say_in_vain("stale", "attic")
    await desk.stop()
    await desk.start_without_key()
    await desk.say("stale too", "attic")
    await desk.stop()
    desk.clock.advance(HOUR + 1)
    await desk.start()
    await desk.say("fresh")
    await desk.pushed(1)
    await until(desk.idle)
    assert bodies(browser, desk.service.posted) == ["fresh"]


async def test_one_that_always_fails_is_given_up_after_a_week(desk: PushDesk) -> None:
    await desk.subscribe(desk.browser(), "ann")
    desk.service.reply = refuse(500)
    await desk.say("hello")
    await until(desk.failing)
    desk.clock.advance(7 * 24 * HOUR + 1)
    await desk.say("still there?")

    async def removed() -> bool:
        return desk.rows("push_subscriptions") == 0

    await until(removed)


async def test_one_that_has_expired_is_removed(desk: PushDesk) -> None:
    over, other = desk.browser("over"), desk.browser("other")
    await desk.subscribe(over, "ann", expires_at=Timestamp(seconds=desk.clock() // MICROSECONDS - 1))
    await desk.subscribe(other, "ann")
    await desk.say("hello")
    await desk.pushed(1)
    await until(desk.idle)
    assert [one.path for one in desk.service.posted] == ["/other"]
    assert await desk.endpoints("ann") == [other.endpoint]


async def test_the_address_is_looked_at_each_time(desk: PushDesk) -> None:
    """Fault 20: what was allowed once, or has another address since, is not any more."""
    await desk.subscribe(desk.browser(), "ann")
    await desk.stop()
    await desk.start(outbound_allow_private=False)
    await desk.say("hello")
    await until(desk.failing)
    assert desk.service.posted == []


async def test_without_the_user_service_pushes_wait(desk: PushDesk, logged: list[EventDict]) -> None:
    cluster, browser = desk.cluster, desk.browser()
    await desk.subscribe(browser, "ann")
    await cluster.user_server.stop()
    await desk.say("hello")
    await until(lambda: has(logged, "pushes_delayed"))
    cluster.user_server = build_user_server(cluster.settings, cluster.clock)
    await cluster.user_server.start(cluster.settings.user_address)
    assert bodies(browser, await desk.pushed(1)) == ["hello"]


async def test_nothing_in_the_log_is_a_secret(desk: PushDesk, logged: list[EventDict]) -> None:
    """Fault 29."""
    browser = desk.browser("an-unguessable-name")
    await desk.subscribe(browser, "ann")
    for status, event in ((503, "push_postponed"), (400, "push_refused"), (410, "push_subscription_gone")):
        desk.service.reply = refuse(status)
        await desk.say("a secret text")
        await until(lambda: has(logged, event))  # noqa: B023
    await desk.subscribe(browser, "ann")
    await desk.stop()
    await desk.start(outbound_allow_private=False)
    await desk.say("a secret text")
    await until(lambda: has(logged, "push_unanswered"))
    text = repr(logged)
    keys = browser.as_json()["keys"].values()
    for secret in ("an-unguessable-name", "a secret text", PRIVATE_KEY, "vapid t=", *keys, repr(browser.auth)):
        assert secret not in text
