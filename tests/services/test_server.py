"""What every service's server offers."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from roomline.v1 import (
    presence_service_pb2,
    presence_service_pb2_grpc,
    room_service_pb2,
)

from tests.support.cluster import Cluster
from tests.support.refusals import refuses


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
