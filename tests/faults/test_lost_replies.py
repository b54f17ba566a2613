"""Fault 1, over the pipe: the server has committed, and the connection breaks before the answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from roomline.v1 import message_service_pb2_grpc

from services.common.pipe.channel import PipeChannel
from services.message.server import build_server
from tests.faults.actors import Actor, outcome
from tests.faults.wire import Wire, wire_to
from tests.support.cluster import Cluster
from tests.support.ports import free_port


@pytest.fixture
async def wire(cluster: Cluster) -> AsyncIterator[Wire]:
    async with wire_to(cluster.settings.message_address) as made:
        yield made


@pytest.fixture
async def far(cluster: Cluster, wire: Wire) -> AsyncIterator[Actor]:
    """Bob, at the other end of the wire."""
    async with PipeChannel(wire.address) as channel:
        stub = message_service_pb2_grpc.MessageServiceStub(channel)
        yield Actor(replace(cluster, messages=stub), cluster.as_user("bob"))


async def lose_the_answer(server: Actor, far: Actor, wire: Wire) -> asyncio.Task[str]:
    """A send that is stored, and whose answer is lost."""
    await server.create_room("lobby")
    await far.send("lobby", "first")
    wire.hold_answers()
    sending = asyncio.create_task(outcome(far.send("lobby", "second", request_id="key")))
    async with asyncio.timeout(10):
        while await server.page("lobby") != ["second", "first"]:
            pass
    wire.cut()
    return sending


async def test_a_call_with_a_request_id_is_sent_again_and_done_once(server: Actor, far: Actor, wire: Wire) -> None:
    sending = await lose_the_answer(server, far, wire)
    wire.mend()
    assert await sending == "OK"
    assert await server.page("lobby") == ["second", "first"]


async def test_a_refusal_of_the_second_try_says_nothing_of_the_first(
    cluster: Cluster, server: Actor, far: Actor, wire: Wire, tmp_path: Path
) -> None:
    sending = await lose_the_answer(server, far, wire)
    nobody = f"127.0.0.1:{free_port()}"
    restarted = build_server(cluster.settings.model_copy(update={"data_dir": tmp_path / "b", "user_address": nobody}))
    await restarted.start("127.0.0.1:0")  # it knows no keys, and has nobody to ask
    wire.target = f"127.0.0.1:{restarted.port}"
    wire.mend()
    result = await sending
    await restarted.stop()
    # SERVICE_UNAVAILABLE would mean that nothing was done, and make clients send the message anew.
    assert result == "CONNECTION_LOST"
