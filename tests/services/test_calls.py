"""How calls fare at a server, how large they may be, and how they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from roomline.v1 import (
    access_service_pb2_grpc,
    instance_service_pb2_grpc,
    media_service_pb2_grpc,
)
from roomline.v1.access_service_pb2 import CheckRequest
from roomline.v1.instance_service_pb2 import (
    GetCredentialsRequest,
    GetCredentialsResponse,
    InstanceCredentials,
    IssueTestTokenRequest,
    WatchCredentialsRequest,
)
from roomline.v1.media_service_pb2 import UploadAttachmentRequest

from services.common import channels, server
from services.common.channels import connect
from services.common.contract import METHODS
from services.common.errors import failure_of
from services.common.interceptors import MAX_RESPONSE_BYTES, ServedMethod
from services.common.tokens import OPERATOR_ISSUER, ServiceTokens
from tests.services.station import METHOD, Station
from tests.support.cluster import OPERATOR_SECRET
from tests.support.ports import free_port
from tests.support.refusals import refuses

if TYPE_CHECKING:
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub


async def test_a_server_ends_within_one_grace_time(station: Station) -> None:
    started = asyncio.Semaphore(0)

    async def hang() -> GetCredentialsResponse:
        started.release()
        await asyncio.Event().wait()
        raise AssertionError

    station.probe.behavior = hang
    async with station.channel(pipe=True) as pipe, station.channel(pipe=False) as plain:
        calls = [asyncio.create_task(station.get(channel)) for channel in (pipe, plain)]
        for _ in calls:
            await started.acquire()
        began = time.monotonic()
        await station.server.stop()
        took = time.monotonic() - began
        grace = station.settings.shutdown_grace_seconds
        assert grace * 0.9 < took < grace * 1.8
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_plain_calls_of_a_connection_are_limited(station: Station) -> None:
    limit, running, most = server.MAX_CONCURRENT_CALLS, 0, 0
    started, release = asyncio.Semaphore(0), asyncio.Event()

    async def wait() -> GetCredentialsResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        started.release()
        await release.wait()
        running -= 1
        return GetCredentialsResponse()

    async with station.channel(pipe=False) as plain:
        await station.get(plain)  # from then on gRPC knows the limit, and has calls wait
        station.probe.behavior = wait
        calls = []
        for _ in range(0, limit, 256):  # not all at once: the core refuses some of a burst
            calls += [asyncio.create_task(station.get(plain)) for _ in range(256)]
            for _ in range(256):
                await started.acquire()
        calls += [asyncio.create_task(station.get(plain)) for _ in range(50)]
        options = [("grpc.use_local_subchannel_pool", 1)]  # else it shares the connection
        async with grpc.aio.insecure_channel(station.address, options=options) as other:
            # By the time that these are refused, the rest of the calls would have come.
            for _ in range(20):
                with refuses("TOKEN_MISSING"):
                    await instance_service_pb2_grpc.InstanceServiceStub(other).GetCredentials(GetCredentialsRequest())
        assert running == limit
        release.set()
        await asyncio.gather(*calls)
    assert most == limit


async def test_requests_have_a_smaller_limit_than_responses(station: Station) -> None:
    # A caller of its own sort: ours would not even send it.
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(station.address, options=options) as foreign:
        with refuses("FIELD_INVALID"):
            await station.get(foreign, "x" * (server.MAX_REQUEST_BYTES - 1024))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await station.get(foreign, "x" * (server.MAX_REQUEST_BYTES + 1))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_large_response_arrives_but_none_that_is_too_large(station: Station, channel: grpc.aio.Channel) -> None:
    large = GetCredentialsResponse(credentials=InstanceCredentials())
    large.credentials.instance.id = "x" * (MAX_RESPONSE_BYTES - 1024)

    async def answer() -> GetCredentialsResponse:
        return large

    station.probe.behavior = answer
    assert await station.get(channel) == large
    large.credentials.instance.id += "x" * 1024
    with refuses("RESPONSE_TOO_LARGE"):
        await station.get(channel)


@pytest.mark.thorough
async def test_a_peer_that_is_gone_without_a_word_is_noticed(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    assert channels.KEEPALIVE_SECONDS >= server.MIN_PING_SECONDS  # else the server would hang up on us
    monkeypatch.setattr(channels, "KEEPALIVE_SECONDS", 0.3)
    monkeypatch.setattr(channels, "KEEPALIVE_TIMEOUT_SECONDS", 0.3)
    async with _proxy(station.server.port) as (port, cut), connect(f"127.0.0.1:{port}", station.settings) as through:
        stub: InstanceServiceAsyncStub = instance_service_pb2_grpc.InstanceServiceStub(through)
        stream = stub.WatchCredentials(WatchCredentialsRequest(), metadata=station.tokens.metadata())
        await stream.read()
        cut.set()
        async with asyncio.timeout(20):
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE


@asynccontextmanager
async def _proxy(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A port that leads to another one until the event is set; then whatever is sent vanishes."""
    cut = asyncio.Event()
    copying: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not cut.is_set():
                    writer.write(data)
        finally:
            writer.close()
            await writer.wait_closed()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        copying.update(asyncio.create_task(copy(*ends)) for ends in ((reader, there_writer), (there_reader, writer)))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], cut
    finally:
        listener.close()
        for task in copying:
            task.cancel()
        await asyncio.gather(*copying, return_exceptions=True)


@pytest.mark.thorough
async def test_a_service_that_is_away_is_named_and_not_located(station: Station) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with connect(address, station.settings, "message") as nowhere:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await access_service_pb2_grpc.AccessServiceStub(nowhere).Check(CheckRequest())
    assert failure_of(caught.value).metadata == {"service": "message"}
    assert address not in (caught.value.details() or "")


async def test_a_streaming_method_is_no_method_of_the_pipe(station: Station) -> None:
    async with station.channel(pipe=True) as pipe:
        call: Any = pipe.unary_unary(METHOD + "WatchCredentials")
        with refuses("METHOD_UNKNOWN", method=METHOD + "WatchCredentials"):
            await call(b"", metadata=station.tokens.metadata())


async def test_methods_that_a_servicer_leaves_out_are_not_served(station: Station, channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_unary(METHOD + "CreateInstance")
    with refuses("METHOD_NOT_SERVED", method=METHOD + "CreateInstance"):
        await call(b"", metadata=station.tokens.metadata())


async def test_a_method_that_takes_a_stream(station: Station) -> None:
    first, chunk = UploadAttachmentRequest(id="a"), UploadAttachmentRequest(chunk=b"12345")
    async with station.channel(pipe=True) as channel:  # streams pass by the pipe
        stub: MediaServiceAsyncStub = media_service_pb2_grpc.MediaServiceStub(channel)
        answer = await stub.UploadAttachment(iter([first, chunk, chunk]), metadata=station.tokens.metadata())
        assert (answer.attachment.size, answer.attachment.user_id) == (10, "SERVICE")
        assert (await stub.UploadAttachment(iter([]))).attachment.user_id == "PUBLIC"
        too_long = UploadAttachmentRequest(chunk=bytes(1024 * 1024 + 1))
        for broken in ([too_long], [first, too_long]):
            with refuses("FIELD_INVALID"):
                await stub.UploadAttachment(iter(broken))
        with refuses("TOKEN_INVALID"):
            await stub.UploadAttachment(iter([first]), metadata=(("authorization", "Bearer nonsense"),))
        raw: Any = channel.stream_unary("/roomline.v1.MediaService/UploadAttachment")
        with refuses("REQUEST_UNDECODABLE"):
            await raw(iter([b"", b"\xff"]))


async def test_closing_a_stream_ends_its_handler(station: Station) -> None:
    class Call:
        """As much of a call as the interceptors need."""

        def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
            return station.tokens.metadata()

    handler: Any = grpc.unary_stream_rpc_method_handler(station.probe.WatchCredentials)
    method = ServedMethod(METHODS[METHOD + "WatchCredentials"], handler)
    context: Any = Call()
    responses = station.interceptors.server_stream(method, b"", context)
    await anext(responses)
    await responses.aclose()
    assert station.probe.stream_closed.is_set()


async def test_a_stream_whose_caller_is_gone_ends_its_handler(station: Station) -> None:
    async with station.channel(pipe=False) as plain:
        stub: InstanceServiceAsyncStub = instance_service_pb2_grpc.InstanceServiceStub(plain)
        stream = stub.WatchCredentials(WatchCredentialsRequest(), metadata=station.tokens.metadata())
        await stream.read()
        stream.cancel()
        async with asyncio.timeout(10):
            await station.probe.stream_closed.wait()


async def test_a_public_method_takes_a_token_but_no_bad_one(station: Station, channel: grpc.aio.Channel) -> None:
    stub: InstanceServiceAsyncStub = instance_service_pb2_grpc.InstanceServiceStub(channel)
    request = IssueTestTokenRequest(instance_id="one", user_id="bob")
    operator = ServiceTokens(OPERATOR_ISSUER, OPERATOR_SECRET, "operator")
    for metadata, level in (((), "PUBLIC"), (station.tokens.metadata(), "SERVICE"), (operator.metadata(), "OPERATOR")):
        assert (await stub.IssueTestToken(request, metadata=metadata)).access_token == level
    with refuses("TOKEN_INVALID"):
        await stub.IssueTestToken(request, metadata=(("authorization", "Bearer nonsense"),))
    with refuses("TOKEN_INVALID"):
        other = (*station.tokens.metadata("one"), ("roomline-instance", "two"))
        await stub.IssueTestToken(request, metadata=other)
