"""Web push: push services and name servers that take their time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from services.common.lookups import LOOKUPS
from services.message.push_servicer import MAX_SUBSCRIPTIONS
from tests.services.message.desk import until
from tests.services.message.hooked import Hooked
from tests.services.message.push_desk import PushDesk, push_desk
from tests.support.browser import Browser
from tests.support.receiver import Posted, accept, receiver

pytestmark = pytest.mark.thorough


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[PushDesk]:
    async with push_desk(tmp_path) as running:
        yield running


def bodies(browser: Browser, posted: list[Posted]) -> list[str]:
    return [browser.read(one)["notification"]["body"] for one in posted]


async def test_one_that_hangs_holds_up_no_other(desk: PushDesk) -> None:
    slow, quick = desk.browser("slow"), desk.browser("quick")
    await desk.subscribe(slow, "ann")
    await desk.subscribe(quick, "ann")
    free = asyncio.Event()

    async def reply(posted: Posted) -> web.StreamResponse:
        if posted.path == "/slow":
            await free.wait()
        return await accept(posted)

    desk.service.reply = reply
    for text in ("one", "two", "three"):
        await desk.say(text)
    posted = await desk.pushed(4)
    assert bodies(quick, [one for one in posted if one.path == "/quick"]) == ["one", "two", "three"]
    assert bodies(slow, [one for one in posted if one.path == "/slow"]) == ["one"], "one after the other"
    free.set()
    posted = await desk.pushed(6)
    assert bodies(slow, [one for one in posted if one.path == "/slow"]) == ["one", "two", "three"]


async def test_endpoints_whose_names_hang_hold_up_no_webhook(desk: PushDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users choose them: a few who mean ill must not stop what the servers of all tenants are told."""
    hangs, answer = threading.Event(), threading.Event()
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host.startswith("slow") and hangs.is_set():
            asked.append(host)
            answer.wait(60)
        return [(None, None, None, None, ("127.0.0.1", 0))]

    async def all_hang() -> bool:
        return len(asked) >= LOOKUPS

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    users = [f"user-{number}" for number in range(LOOKUPS // MAX_SUBSCRIPTIONS + 1)]
    await desk.cluster.add_users(*users)
    await desk.room("hall", "bob", *users)
    for user_id in users:
        for number in range(MAX_SUBSCRIPTIONS):
            await desk.subscribe(Browser(f"http://slow-{number}.example.org/{user_id}"), user_id)
    async with receiver() as target:
        hooks = Hooked(desk.cluster, desk.clock, target)
        await hooks.create(target.url.replace("127.0.0.1", "hooks.example.org"))
        hangs.set()
        try:
            await desk.say("hello", "hall")
            await until(all_hang)
            await hooks.until_told("hello")
            await hooks.send("again")
            await hooks.until_told("hello", "again")
            assert len(asked) == LOOKUPS
        finally:
            answer.set()


async def test_one_that_is_slow_gets_the_place_of_one_that_fails(
    desk: PushDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.message.push_sender.SLOW_SECONDS", 0.0)
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    await desk.say("slowly")
    await until(desk.failing)
    assert await desk.idle(), "it came through"
    monkeypatch.undo()
    await desk.say("quickly")
    assert bodies(browser, await desk.pushed(2)) == ["slowly", "quickly"]
    await until(desk.idle)
    assert not await desk.failing()
