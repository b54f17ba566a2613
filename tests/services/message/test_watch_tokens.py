"""Streams both ways end with the token that they were opened with, and with what makes no sense on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from roomline.v1.event_service_pb2 import WatchRequest, WatchResponse, WatchTopic
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.instance_pb2 import InstanceKey
from roomline.v1.instance_service_pb2 import CreateKeyRequest, DeleteInstanceRequest, RevokeKeyRequest

from services.common.ids import MICROSECONDS
from services.common.tokens import user_token
from tests.services.message.stream import SECONDS, Stream, watching
from tests.support.clock import ShiftedClock
from tests.support.cluster import SECRET, Cluster, Metadata, running_cluster
from tests.support.refusals import refuses
from tests.support.talker import Talker

OTHER_SECRET = "a-secret-of-a-key-that-goes-away"
METHOD = "/roomline.v1.EventService/Watch"
OWN = WatchTopic(id=1, user_id="bob")
SOON_SECONDS = 2.0
"""How long a stream may live on after its token (fault 9)."""
SLACK_SECONDS = 8.0
"""What a busy machine may add to that."""


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, clock=ShiftedClock(), chat_api_instance="one") as running:
        await running.add_users("bob", "ann")
        yield running


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


async def ends_soon(stream: Stream, reason: str) -> None:
    """The stream must end with this reason, without anybody doing anything."""
    started = time.monotonic()
    with refuses(reason):
        await stream.drain()
    assert time.monotonic() - started < SOON_SECONDS + SLACK_SECONDS


async def test_a_stream_ends_when_its_token_expires(cluster: Cluster) -> None:
    clock = cluster.clock
    assert isinstance(clock, ShiftedClock)
    async with watching(cluster, cluster.as_user("bob"), OWN) as stream:
        clock.advance(3500)
        await Talker.server(cluster, "bob").opened("ann")
        await stream.next()
        clock.advance(3600)
        await ends_soon(stream, "TOKEN_EXPIRED")
    with refuses("TOKEN_EXPIRED"):
        async with watching(cluster, stream_metadata(cluster, clock() - 7200 * MICROSECONDS), OWN):
            pass


def stream_metadata(cluster: Cluster, issued_at: int) -> Metadata:
    """A token of the cluster's key, issued at that time."""
    return bearer(user_token("one", "key", SECRET, "bob", issued_at / MICROSECONDS, 3600))


async def test_a_stream_ends_when_its_key_is_revoked(cluster: Cluster) -> None:
    key = InstanceKey(id="other", secret=OTHER_SECRET)
    operator = cluster.operator.metadata()
    await cluster.instances.CreateKey(CreateKeyRequest(instance_id="one", key=key), metadata=operator)
    token = user_token("one", "other", OTHER_SECRET, "bob", cluster.clock() / MICROSECONDS, 3600)

    async with (
        watching(cluster, bearer(token), OWN) as stream,
        watching(cluster, cluster.as_user("bob"), OWN) as unconcerned,
    ):
        await cluster.instances.RevokeKey(RevokeKeyRequest(instance_id="one", key_id="other"), metadata=operator)
        await ends_soon(stream, "TOKEN_INVALID")
        await Talker.user(cluster, "bob").opened("ann")
        await unconcerned.next()
        await cluster.instances.DeleteInstance(DeleteInstanceRequest(instance_id="one"), metadata=operator)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unconcerned.drain()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_without_a_token_or_with_a_foreign_one_does_not_begin(cluster: Cluster) -> None:
    for metadata, reason in (((), "TOKEN_MISSING"), (bearer("nonsense"), "TOKEN_INVALID")):
        with refuses(reason):
            async with watching(cluster, metadata, OWN):
                pass
    with refuses("CALLER_NOT_ALLOWED"):
        async with watching(cluster, cluster.operator.metadata(), OWN):
            pass


async def test_whoever_says_nothing_is_refused_for_its_token_at_once(cluster: Cluster) -> None:
    with refuses("TOKEN_INVALID"):
        await Stream(silent(cluster, bearer("nonsense"))).drain()


async def test_a_stream_without_a_first_message_ends(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.common.interceptors.FIRST_MESSAGE_SECONDS", 0.1)
    with refuses("DEADLINE_EXCEEDED"):
        await Stream(silent(cluster, cluster.as_user("bob"))).drain()


def silent(cluster: Cluster, metadata: Metadata) -> Any:
    """A stream that nothing is asked on."""
    return EventServiceStub(cluster.message_channel).Watch(metadata=metadata)


def raw(cluster: Cluster) -> Any:
    """A call that sends bytes."""
    method: Any = cluster.message_channel.stream_stream(METHOD, None, WatchResponse.FromString)
    return method(metadata=cluster.as_user("bob"))


@pytest.mark.parametrize("earlier", [0, 1], ids=["first", "later"])
async def test_a_message_that_cannot_be_read_ends_the_stream(cluster: Cluster, earlier: int) -> None:
    call = raw(cluster)
    stream = Stream(call)
    for _ in range(earlier):
        await call.write(WatchRequest(add=[OWN]).SerializeToString())
        await stream.until(lambda: 1 in stream.positions)
    await call.write(b"\xff\xff\xff")
    with refuses("REQUEST_UNDECODABLE"):
        await stream.drain()


async def test_streams_that_are_cancelled_leave_nothing_behind(cluster: Cluster) -> None:
    for _ in range(70):  # more than one user may have at once
        async with watching(cluster, cluster.as_user("bob"), OWN) as stream:
            pass
        async with asyncio.timeout(SECONDS):
            assert await stream.call.code() is grpc.StatusCode.CANCELLED
    async with asyncio.timeout(SECONDS):
        await cluster.message_server.stop()
