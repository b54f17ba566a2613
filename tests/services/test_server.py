"""What every service's server offers, and how it ends."""

# ruff: noqa: N802 - the signatures are gRPC's

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from roomline.v1 import (
    access_service_pb2_grpc,
    instance_service_pb2_grpc,
    media_service_pb2_grpc,
    presence_service_pb2,
    presence_service_pb2_grpc,
    room_service_pb2,
)
from roomline.v1.access_service_pb2 import CheckRequest
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.instance_service_pb2 import (
    GetCredentialsRequest,
    GetCredentialsResponse,
    InstanceCredentials,
    IssueTestTokenRequest,
    IssueTestTokenResponse,
    WatchCredentialsRequest,
    WatchCredentialsResponse,
)
from roomline.v1.media_service_pb2 import UploadAttachmentRequest, UploadAttachmentResponse
from roomline.v1.message_service_pb2 import SendMessageRequest

from services.common import channels, running_call, server, telemetry
from services.common.call import current_caller
from services.common.channels import connect
from services.common.contract import METHODS
from services.common.errors import failure_of
from services.common.interceptors import Context, Interceptors, ServedMethod
from services.common.server import ServiceServer
from services.common.settings import Settings
from services.common.tokens import OPERATOR_ISSUER, SERVICE_ISSUER, ServiceTokens, TokenVerifier
from tests.support.cluster import OPERATOR_SECRET, SERVICE_SECRET, Cluster, running_cluster
from tests.support.ports import free_port
from tests.support.refusals import refuses

if TYPE_CHECKING:
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub

MIB = 1024 * 1024
METHOD = "/roomline.v1.InstanceService/"


@pytest.fixture(params=[True, False], ids=["pipe", "plain"])
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, pipe=request.param) as running:
        await running.add_users("bob")
        yield running


async def test_reflection_lists_the_services_and_describes_them(cluster: Cluster) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cluster.message_channel)  # type: ignore[arg-type]  # typed as sync
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="roomline.v1.MessageService"),
    ]
    answers = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert names >= {
        *("roomline.v1.RoomService", "roomline.v1.MessageService", "roomline.v1.CursorService"),
        *("roomline.v1.AccessService", "roomline.v1.EventService", "roomline.v1.PipeService", "grpc.health.v1.Health"),
    }
    assert answers[1].file_descriptor_response.file_descriptor_proto


async def test_health_needs_no_token_and_knows_each_service(cluster: Cluster) -> None:
    channel = grpc.aio.insecure_channel(cluster.settings.message_address)
    stub: Any = health_pb2_grpc.HealthStub(channel)  # typed without its methods
    for name in ("", "roomline.v1.MessageService"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await channel.close()


async def test_unknown_methods_are_unimplemented_with_a_reason(cluster: Cluster) -> None:
    for path in ("/roomline.v1.RoomService/Nonsense", "/roomline.v2.RoomService/GetRoom", "/x/y"):
        call: Any = cluster.message_channel.unary_unary(path)
        with refuses("METHOD_UNKNOWN", method=path):
            await call(b"")


async def test_methods_of_services_that_are_not_served_say_so(cluster: Cluster) -> None:
    stub = presence_service_pb2_grpc.PresenceServiceStub(cluster.message_channel)  # it is served elsewhere
    with refuses("METHOD_NOT_SERVED", method="/roomline.v1.PresenceService/BatchGetPresence"):
        await stub.BatchGetPresence(presence_service_pb2.BatchGetPresenceRequest(), metadata=cluster.as_user("bob"))
    stream = stub.Track(iter([presence_service_pb2.TrackRequest()]), metadata=cluster.service.metadata("one"))
    with refuses("METHOD_NOT_SERVED", method="/roomline.v1.PresenceService/Track"):
        await stream.read()


async def test_bodies_that_cannot_be_decoded_are_invalid(cluster: Cluster) -> None:
    call: Any = cluster.message_channel.unary_unary("/roomline.v1.RoomService/GetRoom")
    with refuses("REQUEST_UNDECODABLE"):
        await call(b"\xff\xff\xff", metadata=cluster.as_server())


async def test_a_failing_handler_tells_nothing_of_the_inside(cluster: Cluster) -> None:
    with closing(sqlite3.connect(cluster.settings.data_dir / "message.db")) as vandal:
        vandal.execute("DROP TABLE cursors")
    request = room_service_pb2.ListUserRoomsRequest(user_id="bob")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await cluster.rooms.ListUserRooms(request, metadata=cluster.as_server())
    with refuses("INTERNAL"):
        raise caught.value
    assert "cursors" not in (caught.value.details() or "")


async def test_a_stopping_server_lets_calls_finish(cluster: Cluster) -> None:
    request = room_service_pb2.CreateRoomRequest(name="n")
    calls = [
        asyncio.ensure_future(cluster.rooms.CreateRoom(request, metadata=cluster.as_server("bob"))) for _ in range(50)
    ]
    await calls[0]
    stopping = asyncio.create_task(cluster.message_server.stop())
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    await stopping
    for outcome in outcomes:
        if isinstance(outcome, grpc.aio.AioRpcError):
            # The gRPC core says CANCELLED of a plain call that comes while the server stops.
            assert outcome.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        else:
            assert isinstance(outcome, room_service_pb2.CreateRoomResponse)


class NoInstances:
    """Credentials of nobody."""

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        return None

    def version(self, instance_id: str) -> int:
        return 0

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        return False


class Probe(instance_service_pb2_grpc.InstanceServiceServicer):
    """Does what a test wants."""

    def __init__(self) -> None:
        self.behavior: Callable[[], Awaitable[GetCredentialsResponse]] = self.answer
        self.stream_closed = asyncio.Event()

    async def answer(self) -> GetCredentialsResponse:
        return GetCredentialsResponse()

    async def GetCredentials(self, request: GetCredentialsRequest, context: Context) -> GetCredentialsResponse:
        return await self.behavior()

    async def WatchCredentials(
        self, request: WatchCredentialsRequest, context: Context
    ) -> AsyncIterator[WatchCredentialsResponse]:
        try:
            while True:
                yield WatchCredentialsResponse(complete=True)
                await asyncio.sleep(0.001)
        finally:
            self.stream_closed.set()

    async def IssueTestToken(self, request: IssueTestTokenRequest, context: Context) -> IssueTestTokenResponse:
        return IssueTestTokenResponse(access_token=current_caller().level.name)


class Uploads(media_service_pb2_grpc.MediaServiceServicer):
    """Counts bytes."""

    async def UploadAttachment(
        self, request_iterator: AsyncIterator[UploadAttachmentRequest], context: Context
    ) -> UploadAttachmentResponse:
        size = 0
        async for request in request_iterator:
            size += len(request.chunk)
        return UploadAttachmentResponse(attachment=Attachment(size=size, user_id=current_caller().level.name))


class Station:
    """A server with a probe, and channels to it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.probe = Probe()  # type: ignore[abstract]  # the rest is not served
        self.tokens = ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "test")
        verifier = TokenVerifier(NoInstances(), SERVICE_SECRET, OPERATOR_SECRET)
        self.interceptors = Interceptors(verifier, authorizer=None)  # type: ignore[arg-type]  # services need none
        self.server = ServiceServer(settings, self.interceptors)
        self.server.add(self.probe, instance_service_pb2_grpc.add_InstanceServiceServicer_to_server)
        self.server.add(Uploads(), media_service_pb2_grpc.add_MediaServiceServicer_to_server)  # type: ignore[abstract]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def channel(self, *, pipe: bool) -> grpc.aio.Channel:
        return connect(self.address, self.settings.model_copy(update={"pipe": pipe}))

    async def get(self, channel: grpc.aio.Channel, instance_id: str = "one", **metadata: str) -> GetCredentialsResponse:
        stub: InstanceServiceAsyncStub = instance_service_pb2_grpc.InstanceServiceStub(channel)
        all_metadata = (*self.tokens.metadata(), *((key.replace("_", "-"), value) for key, value in metadata.items()))
        return await stub.GetCredentials(GetCredentialsRequest(instance_id=instance_id), metadata=all_metadata)


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    made = Station(Settings(shutdown_grace_seconds=0.5))
    await made.server.start("127.0.0.1:0")
    yield made
    await made.server.stop()


@pytest.fixture(params=[True, False], ids=["pipe", "plain"])
async def channel(station: Station, request: pytest.FixtureRequest) -> AsyncIterator[grpc.aio.Channel]:
    async with station.channel(pipe=request.param) as opened:
        yield opened


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


async def test_a_large_response_arrives(station: Station, channel: grpc.aio.Channel) -> None:
    large = GetCredentialsResponse(credentials=InstanceCredentials())
    large.credentials.instance.id = "x" * (server.MAX_RESPONSE_BYTES - 1024)

    async def answer() -> GetCredentialsResponse:
        return large

    station.probe.behavior = answer
    assert await station.get(channel) == large


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


Lines = Callable[[int], list[structlog.types.EventDict]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Has the interceptors log at a level into a list."""

    def begin(level: int) -> list[structlog.types.EventDict]:
        capture = structlog.testing.LogCapture()
        processors: list[Any] = [telemetry.add_request_id, capture]
        logger = structlog.wrap_logger(
            None, processors=processors, wrapper_class=structlog.make_filtering_bound_logger(level)
        )
        monkeypatch.setattr(running_call, "log", logger)
        return capture.entries

    return begin


async def test_refused_calls_are_logged_and_others_are_not(
    station: Station, channel: grpc.aio.Channel, lines: Lines
) -> None:
    logged = lines(logging.INFO)
    await station.get(channel, x_request_id="fine")
    assert logged == []
    with refuses("FIELD_INVALID"):
        await station.get(channel, "x" * 161, x_request_id="r" * 200)
    (line,) = logged
    assert isinstance(line.pop("ms"), float)
    assert line == {
        "event": "call",
        "log_level": "info",
        "method": METHOD + "GetCredentials",
        "code": "INVALID_ARGUMENT",
        "reason": "FIELD_INVALID",
        "request_id": "r" * 128,
        "instance": "",
        "caller": "service",
    }
    unknown: Any = channel.unary_unary(METHOD + "x" * 1000)
    with refuses("METHOD_UNKNOWN"):
        await unknown(b"")
    assert (logged[1]["reason"], len(logged[1]["method"])) == ("METHOD_UNKNOWN", 256)


async def test_at_debug_level_every_call_is_logged(station: Station, channel: grpc.aio.Channel, lines: Lines) -> None:
    logged = lines(logging.DEBUG)
    await station.get(channel)
    ((code, level, request_id),) = [(line["code"], line["log_level"], line["request_id"]) for line in logged]
    assert (code, level) == ("OK", "debug")
    assert len(request_id) == 36


async def test_what_a_handler_logs_names_its_call(station: Station, channel: grpc.aio.Channel, lines: Lines) -> None:
    logged = lines(logging.INFO)

    async def answer() -> GetCredentialsResponse:
        running_call.log.info("inside")
        return GetCredentialsResponse()

    station.probe.behavior = answer
    await asyncio.gather(*(station.get(channel, x_request_id=request_id) for request_id in ("a", "b")))
    assert sorted(line["request_id"] for line in logged) == ["a", "b"]


async def test_no_line_holds_a_token_or_a_text(cluster: Cluster, lines: Lines) -> None:
    logged = lines(logging.DEBUG)
    room = await cluster.rooms.CreateRoom(
        room_service_pb2.CreateRoomRequest(name="hush"), metadata=cluster.as_server("bob")
    )
    request = SendMessageRequest(room_id=room.room.id)
    request.parts.add(type="text/plain", content="hush")
    await cluster.messages.SendMessage(request, metadata=cluster.as_user("bob"))
    request.parts[0].type = "hush"
    for metadata in (cluster.as_user("bob"), (("authorization", "Bearer hush"),), cluster.operator.metadata()):
        with pytest.raises(grpc.aio.AioRpcError):
            await cluster.messages.SendMessage(request, metadata=metadata)
    assert len(logged) >= 5
    for secret in ("hush", "Bearer", cluster.token("bob").split(".")[1], SERVICE_SECRET):
        assert secret not in str(logged)


def test_every_line_names_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        telemetry.configure_logging(Settings(), "message")
        contextvars.Context().run(structlog.get_logger().info, "said")
    finally:
        structlog.configure(**before)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["process"], line["level"]) == ("said", "message", "info")
