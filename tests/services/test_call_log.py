"""What is logged of calls."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import structlog
from roomline.v1 import (
    room_service_pb2,
)
from roomline.v1.instance_service_pb2 import (
    GetCredentialsResponse,
)
from roomline.v1.message_service_pb2 import SendMessageRequest

from services.common import running_call, telemetry
from services.common.interceptors import MAX_RESPONSE_BYTES
from services.common.settings import Settings
from tests.services.station import METHOD, Station
from tests.support.cluster import SERVICE_SECRET, Cluster
from tests.support.refusals import refuses

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
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await station.get(channel, "x" * 161, x_request_id="r" * 200)
    assert dict(caught.value.trailing_metadata() or ())["x-request-id"] == "r" * 128
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
    unknown: Any = channel.unary_unary(METHOD + "x" * 16_000)
    with refuses("METHOD_UNKNOWN", method=(METHOD + "x" * 256)[:256]):
        await unknown(b"")
    assert (logged[1]["reason"], len(logged[1]["method"])) == ("METHOD_UNKNOWN", 256)


async def test_a_response_that_is_too_large_is_logged_as_the_call_it_belongs_to(
    station: Station, channel: grpc.aio.Channel, lines: Lines
) -> None:
    logged = lines(logging.DEBUG)
    large = GetCredentialsResponse()
    large.credentials.instance.id = "x" * MAX_RESPONSE_BYTES

    async def answer() -> GetCredentialsResponse:
        return large

    station.probe.behavior = answer
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await station.get(channel)
    ((reason, caller, request_id),) = [(line["reason"], line["caller"], line["request_id"]) for line in logged]
    assert (reason, caller) == ("RESPONSE_TOO_LARGE", "service")
    assert dict(caught.value.trailing_metadata() or ())["x-request-id"] == request_id


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
