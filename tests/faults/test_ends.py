"""Fault 26: the end comes while a call runs. The caller gets a status, nothing hangs, a write is whole or not there.

That a write is whole is seen by the invariants that `cluster` checks afterwards.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from typing import Any

import grpc
import pytest
from roomline.v1.message_service_pb2 import SendMessageRequest, SendMessageResponse
from roomline.v1.message_service_pb2_grpc import MessageServiceStub
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from services.common.channels import connect
from services.common.service import Service
from services.common.users import Users
from tests.faults.actors import Actor, outcome, text
from tests.faults.chance import CHANCE
from tests.support.cluster import Cluster

GRACE_SECONDS = 1.0
"""What the cluster's servers give to calls in flight."""
SLACK_SECONDS = 2.5

Sending = grpc.aio.UnaryUnaryCall[SendMessageRequest, SendMessageResponse]


@pytest.fixture(params=[True, False], ids=["pipe", "plain"])
async def bob(cluster: Cluster, server: Actor, request: pytest.FixtureRequest) -> AsyncIterator[Actor]:
    """Bob, in a room, on a channel of his own."""
    await server.create_room("lobby")
    channel = connect(cluster.settings.message_address, cluster.settings.model_copy(update={"pipe": request.param}))
    own = replace(
        cluster, message_channel=channel, messages=MessageServiceStub(channel), rooms=RoomServiceStub(channel)
    )
    yield Actor(own, cluster.as_user("bob"))
    await channel.close()


@asynccontextmanager
async def held_writer(cluster: Cluster) -> AsyncIterator[None]:
    """Within the block the message service commits nothing, as if the disk were slow."""
    path = cluster.settings.data_dir / "message.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def sending(actor: Actor, request_id: str = "key", *, timeout: float | None = None) -> Sending:
    """A send, on its way."""
    request = SendMessageRequest(room_id="lobby", parts=[text("word")], request_id=request_id)
    return actor.cluster.messages.SendMessage(request, metadata=actor.metadata, timeout=timeout)


async def check_once(server: Actor, bob: Actor) -> None:
    """The send can be repeated, and is there once."""
    repeated = await bob.send("lobby", "word", request_id="key")
    assert await server.page("lobby") == ["word"]
    assert (await server.get("lobby", repeated.id)).uid == repeated.uid


async def test_a_deadline_during_the_commit(cluster: Cluster, server: Actor, bob: Actor) -> None:
    await outcome(bob.get_cursor("lobby", "bob"))  # so that the connection is there
    async with held_writer(cluster):
        call = sending(bob, timeout=0.2)
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await server.page("lobby") == []  # reading goes on
    await check_once(server, bob)


async def test_a_call_cancelled_during_the_commit(cluster: Cluster, server: Actor, bob: Actor) -> None:
    async with held_writer(cluster):
        call = sending(bob)
        await asyncio.sleep(0.05)  # on its way, or queued there: either way it must end well
        assert call.cancel()
        assert await call.code() is grpc.StatusCode.CANCELLED
    await check_once(server, bob)


async def test_a_caller_that_vanishes_during_the_commit(cluster: Cluster, server: Actor, bob: Actor) -> None:
    async with held_writer(cluster):
        call = sending(bob)
        await asyncio.sleep(0.05)
        await bob.cluster.message_channel.close()
        assert await call.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    await check_once(server, server)


async def test_many_cancelled_calls_are_done_once(server: Actor, bob: Actor) -> None:
    for number in range(100):
        call = sending(bob, f"{number}")
        await asyncio.sleep(CHANCE.choice((0, 0.001)))
        call.cancel()
    for number in range(100):
        await bob.send("lobby", "word", request_id=f"{number}")
    newest = await server.page("lobby")
    assert len(newest) == 20
    assert (await server.rooms_of("bob"))[0].unread_count == 100


async def test_a_stopping_server_answers_what_it_has_begun(cluster: Cluster, bob: Actor) -> None:
    async with held_writer(cluster):
        call = sending(bob)
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(cluster.message_server.stop())
        await asyncio.sleep(0.05)
        late = sending(bob, "late")
    assert await call.code() is grpc.StatusCode.OK
    assert await late.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    await asyncio.wait_for(stopping, GRACE_SECONDS + SLACK_SECONDS)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Keeps calls that ask the user service from ever going on; set once there is one."""
    reached = asyncio.Event()

    async def never(_users: Users, _instance_id: str, _user_ids: list[str]) -> set[str]:
        reached.set()
        await asyncio.Event().wait()
        return set()

    monkeypatch.setattr(Users, "existing", never)
    return reached


async def seconds_to_stop(server: Service) -> float:
    began = time.monotonic()
    await asyncio.wait_for(server.stop(), 10)
    return time.monotonic() - began


async def test_calls_that_do_not_end_are_ended_in_time(cluster: Cluster, bob: Actor, stuck: asyncio.Event) -> None:
    call = asyncio.create_task(outcome(bob.add("lobby", "ann")))
    await stuck.wait()
    assert await seconds_to_stop(cluster.message_server) < GRACE_SECONDS + SLACK_SECONDS
    assert await call != "OK"


async def test_calls_of_both_kinds_are_ended_in_time(cluster: Cluster, server: Actor, stuck: asyncio.Event) -> None:
    async with grpc.aio.insecure_channel(cluster.settings.message_address) as channel:
        plain = Actor(replace(cluster, rooms=RoomServiceStub(channel)), cluster.as_server("bob"))
        calls = [asyncio.create_task(outcome(who.create_room("hall"))) for who in (server, plain)]
        await stuck.wait()
        assert await seconds_to_stop(cluster.message_server) < GRACE_SECONDS + SLACK_SECONDS
        assert "OK" not in [await call for call in calls]


@pytest.mark.parametrize("name", ["message", "user"])
async def test_open_streams_are_ended_in_time(cluster: Cluster, name: str) -> None:
    address = {"message": cluster.settings.message_address, "user": cluster.settings.user_address}[name]
    stopped = cluster.message_server if name == "message" else cluster.user_server
    async with grpc.aio.insecure_channel(address) as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        open_pipe: Any = channel.stream_stream("/roomline.v1.PipeService/Pipe")
        health, pipe = watch(b""), open_pipe()
        for stream in (health, pipe):
            assert await stream.read()
        assert await seconds_to_stop(stopped) < GRACE_SECONDS + SLACK_SECONDS
        for stream in (health, pipe):
            with suppress(grpc.aio.AioRpcError):
                while await stream.read():
                    pass  # the status comes after what was sent before it
            assert await stream.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
