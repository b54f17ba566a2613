"""Presence in gateways whose stream is lost, or whose user service is away: nobody sees it for nothing."""

from __future__ import annotations

import asyncio

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.tokens import SERVICE_TOKEN_SECONDS
from tests.gateway.live.presence.watching import (
    GRACE,
    SECONDS,
    OpenGateway,
    is_online,
    register,
    start_anew,
    watching,
)
from tests.support.clock import ManualTimers, ShiftedClock
from tests.support.cluster import Cluster


async def test_a_user_service_that_starts_anew_changesnothing_for_subscribers(
    open_gateway: OpenGateway, cluster: Cluster, timers: ManualTimers
) -> None:
    async with open_gateway(grace_seconds=SECONDS) as first, open_gateway(grace_seconds=SECONDS) as second:
        await register(first)
        here, there, other = [await watching(one, "ann") for one in (first, second)] + [await watching(second, "bob")]
        assert [one.told() for one in (here, there, other)] == [["ONLINE"], ["ONLINE"], ["OFFLINE"]]
        await cluster.user_server.stop()
        await start_anew(cluster, timers)
        await register(first, "bob")  # once acknowledged, all of this gateway is registered anew
        assert await other.next() == "ONLINE"
        assert await is_online(cluster, "ann")
        assert here.told() == there.told() == []


async def test_a_stream_whose_token_expires_is_followed_by_another_at_once(
    open_gateway: OpenGateway, cluster: Cluster, clock: ShiftedClock, timers: ManualTimers
) -> None:
    async with open_gateway() as presence:
        await register(presence)
        watcher = await watching(presence, "ann")
        assert watcher.told() == ["ONLINE"]
        clock.advance(SERVICE_TOKEN_SECONDS)
        async with asyncio.timeout(SECONDS):
            while not timers.started:  # noqa: ASYNC110 - until the stream has ended
                await asyncio.sleep(0.01)
            while timers.running:  # noqa: ASYNC110 - until the next one has registered the user anew
                await asyncio.sleep(0.01)
        await register(presence, "bob")
        timers.advance(GRACE)
        assert watcher.told() == []
        assert await is_online(cluster, "ann")


async def test_who_is_gone_with_the_user_service_is_offline_in_the_end(
    open_gateway: OpenGateway, cluster: Cluster, timers: ManualTimers
) -> None:
    async with open_gateway() as watching_one:
        async with open_gateway() as leaving:
            await register(leaving)
            watcher = await watching(watching_one, "ann")
            await cluster.user_server.stop()
        await start_anew(cluster, timers)
        assert [await watcher.next(), await watcher.next()] == ["ONLINE", "OFFLINE"]


async def test_what_is_asked_while_the_user_service_is_away_is_done_later(
    open_gateway: OpenGateway, cluster: Cluster, timers: ManualTimers
) -> None:
    async with open_gateway() as presence:
        gone = await register(presence, "bob")
        await cluster.user_server.stop()
        gone.close()
        waiting = [asyncio.create_task(register(presence)), asyncio.create_task(watching(presence, "ann"))]
        await asyncio.wait(waiting, timeout=0.05)
        assert not any(task.done() for task in waiting)
        await start_anew(cluster, timers)
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*waiting)
        timers.advance(GRACE)  # what was under way when bob left may have registered him for a moment
        assert await is_online(cluster, "ann")
        assert not await is_online(cluster, "bob")


async def test_a_user_service_that_stays_away_is_unavailable(open_gateway: OpenGateway, cluster: Cluster) -> None:
    await cluster.user_server.stop()
    async with open_gateway(open_seconds=0.05) as presence:
        for ask in (register(presence), watching(presence, "ann")):
            with pytest.raises(RoomlineError) as caught:
                await ask
            assert caught.value.reason == ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE
