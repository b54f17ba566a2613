"""Presence in gateways, with a real user service behind them (spec §9.1)."""

from __future__ import annotations

import asyncio

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.presence_pb2 import PresenceState
from roomline.v1.user_service_pb2 import DeleteUserRequest

from gateway.live import presence_track
from services.common.errors import RoomlineError
from tests.gateway.live.presence.watching import (
    GRACE,
    SECONDS,
    OpenGateway,
    is_online,
    nothing,
    register,
    watching,
)
from tests.support.clock import ManualTimers
from tests.support.cluster import Cluster


async def test_a_registered_user_is_online_for_all_gateways(open_gateway: OpenGateway, timers: ManualTimers) -> None:
    async with open_gateway() as first, open_gateway() as second:
        here, there = await watching(first, "ann"), await watching(second, "ann")
        assert (here.told(), there.told()) == (["OFFLINE"], ["OFFLINE"])
        handle = await register(first)
        assert here.told() == ["ONLINE"]  # before it was acknowledged
        assert await there.next() == "ONLINE"
        late = await watching(second, "ann")
        assert late.told() == ["ONLINE"]
        handle.close()
        handle.close()
        await register(first, "bob")  # by now the service knows
        timers.advance(GRACE)
        assert [await one.next() for one in (here, there, late)] == ["OFFLINE"] * 3


async def test_a_registration_is_in_force_after_the_watchers_were_told(open_gateway: OpenGateway) -> None:
    async with open_gateway() as presence:
        order: list[str] = []
        await presence.watch("one", "ann", lambda state: order.append(PresenceState.Name(state)[15:]), nothing)
        await presence.register("one", "ann", nothing)
        assert order == ["OFFLINE", "ONLINE"]


async def test_a_user_is_online_until_the_last_handle_is_closed(
    cluster: Cluster, open_gateway: OpenGateway, timers: ManualTimers
) -> None:
    async with open_gateway() as first, open_gateway() as second:
        handles = [await register(presence) for presence in (first, first, second)]
        watcher = await watching(second, "ann")
        for handle in handles:
            assert await is_online(cluster, "ann")
            handle.close()
            for presence in (first, second):
                await register(presence, "bob")
            assert watcher.told() == (["ONLINE"] if handle is handles[0] else [])
            assert timers.running == (handle is handles[-1])
            timers.advance(GRACE if handle is not handles[-1] else 0)
        timers.advance(GRACE)
        assert await watcher.next() == "OFFLINE"


async def test_many_watchers_of_a_user_share_one_watch(
    open_gateway: OpenGateway, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_track, "MAX_USERS", 1)
    async with open_gateway() as presence:
        watchers = [await watching(presence, "ann") for _ in range(10)]
        with pytest.raises(RoomlineError) as caught:
            await watching(presence, "bob")
        assert caught.value.reason == ErrorReason.ERROR_REASON_OVERLOADED
        for watcher in watchers:
            watcher.close()
        await watching(presence, "bob")  # the last one has given it back
        await register(presence)
        assert {state for watcher in watchers for state in watcher.told()} == {"OFFLINE"}
        with pytest.raises(RoomlineError):
            await register(presence, "bob")


async def test_who_leaves_before_it_is_done_leavesnothing_behind(
    open_gateway: OpenGateway, cluster: Cluster, timers: ManualTimers
) -> None:
    async with open_gateway() as presence:
        await register(presence, "bob")
        told: list[str] = []
        asking = [
            asyncio.create_task(presence.register("one", "ann", nothing)),
            asyncio.create_task(presence.watch("one", "ann", lambda _: told.append("watched"), nothing)),
        ]
        await asyncio.sleep(0)  # they have begun
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        await register(presence, "bob")
        timers.advance(GRACE)
        assert told == []
        assert not await is_online(cluster, "ann")


@pytest.mark.thorough
async def test_more_users_than_a_request_takes(open_gateway: OpenGateway, cluster: Cluster) -> None:
    user_ids = [f"user-{number}" for number in range(2500)]
    async with open_gateway() as presence, open_gateway() as other, asyncio.timeout(60):
        watchers = await asyncio.gather(*(watching(presence, one) for one in user_ids))
        await asyncio.gather(*(register(other, one) for one in user_ids))
        for watcher in watchers:
            assert await watcher.next() in {"OFFLINE", "ONLINE"}
        for watcher in watchers:
            assert await watcher.next() == "ONLINE"


async def test_a_reset_ends_everything(open_gateway: OpenGateway, cluster: Cluster, timers: ManualTimers) -> None:
    async with open_gateway() as presence:
        watcher = await watching(presence, "ann")
        ended: asyncio.Queue[RoomlineError] = asyncio.Queue()
        handle = await presence.register("one", "ann", ended.put_nowait)
        assert watcher.told() == ["OFFLINE", "ONLINE"]
        await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())
        async with asyncio.timeout(SECONDS):
            errors = [await ended.get(), await watcher.errors.get()]
        assert {error.reason for error in errors} == {ErrorReason.ERROR_REASON_USER_NOT_FOUND}
        handle.close()
        watcher.close()
        assert watcher.told() == []
        await cluster.add_users("ann")
        assert not await is_online(cluster, "ann")
        again = await watching(presence, "ann")
        await register(presence)
        assert again.told() == ["OFFLINE", "ONLINE"]
        assert timers.running == 0


async def test_a_user_who_is_deleted_and_made_anew_can_come_back(open_gateway: OpenGateway, cluster: Cluster) -> None:
    async with open_gateway() as presence:
        stale = await register(presence)
        watcher = await watching(presence, "ann")
        await cluster.users.DeleteUser(DeleteUserRequest(id="ann"), metadata=cluster.as_server())
        assert [await watcher.next(), await watcher.next()] == ["ONLINE", "OFFLINE"]
        await cluster.add_users("ann")
        await register(presence)
        assert await watcher.next() == "ONLINE"
        stale.close()
        await register(presence, "bob")
        assert await is_online(cluster, "ann")


async def test_a_stream_that_nobody_needs_is_given_up(open_gateway: OpenGateway, timers: ManualTimers) -> None:
    async with open_gateway(linger_seconds=0.05) as presence:
        for _ in range(2):
            handle, watcher = await register(presence), await watching(presence, "bob")
            assert presence.instance_ids == {"one"}
            handle.close()
            watcher.close()
            async with asyncio.timeout(SECONDS):
                while presence.instance_ids:  # noqa: ASYNC110 - nothing is told of it
                    await asyncio.sleep(0.01)
