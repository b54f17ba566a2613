"""Faults 11, 18 and 19: nonsense at a gRPC port. Only the call that brings it fails."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_service_pb2 import GetRoomRequest, GetRoomResponse
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from tests.faults.actors import Actor, outcome, text
from tests.faults.chance import CHANCE
from tests.faults.http2 import CANCEL, END_HEADERS, HEADERS, RST_STREAM, Frame, Http2
from tests.support.cluster import Cluster

Method = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

GET_ROOM = "/roomline.v1.RoomService/GetRoom"
SEND = "/roomline.v1.MessageService/SendMessage"
PIPE = "/roomline.v1.PipeService/Pipe"
CUSTOM_DATA = 7
"""The number of `SendMessageRequest.custom_data`."""

ODD_HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "bad base64": [(b"x-thing-bin", b"!!! this is no base64 !!!")],
    "half base64": [(b"x-thing-bin", b"abcde")],
    "many": [(b"x-%d" % number, b"value") for number in range(2000)],
    "giant": [(b"x-giant", b"x" * 300_000)],
    "giant binary": [(b"x-giant-bin", b"QUJD" * 60_000)],
    "bad timeout": [(b"grpc-timeout", b"soon")],
    "no timeout": [(b"grpc-timeout", b"0n")],
    "unknown encoding": [(b"grpc-encoding", b"zip-of-death")],
    "control characters": [(b"x-thing", b"a\x01b")],
    "line break": [(b"x-thing", b"a\r\nauthorization: Bearer x")],
    "high bytes": [(b"x-thing", b"\xff\xfe")],
    "two tokens": [(b"authorization", b"Bearer x"), (b"authorization", b"Bearer y")],
    "binary token": [(b"authorization-bin", b"QUJD")],
}

ODD_BODIES = {
    "4 GiB announced": b"\0\xff\xff\xff\xffabc",
    "more than announced": b"\0\0\0\0\0abcdefghij",
    "flags": b"\x07\0\0\0\0",
    "compressed, not said how": b"\x01\0\0\0\x03abc",
    "two messages": b"\0\0\0\0\0" * 2,
    "no protobuf": b"\0\0\0\0\x03\xff\xff\xff",
    "no UTF-8": b"\0\0\0\0\x04\x0a\x02\xff\xfe",
}


def token_of(cluster: Cluster) -> bytes:
    """The authorization of a server."""
    return cluster.as_server()[0][1].encode()


async def check_next_call(cluster: Cluster, wire: Http2, stream: int) -> None:
    """An ordinary call over the same connection."""
    request = GetRoomRequest(room_id="lobby").SerializeToString()
    wire.call(stream, GET_ROOM, request, [(b"authorization", token_of(cluster))])
    data, orderly = await wire.end_of(stream)
    assert orderly
    assert data, "the call was refused"
    assert GetRoomResponse.FromString(data[5:]).room.id == "lobby"


async def test_odd_headers(cluster: Cluster, server: Actor) -> None:
    await server.create_room("lobby")
    for name, headers in ODD_HEADERS.items():
        async with Http2.to(cluster.settings.message_address) as wire:
            wire.call(1, GET_ROOM, GetRoomRequest(room_id="lobby").SerializeToString(), headers)
            assert (await wire.end_of(1))[0] == b"", name
            await check_next_call(cluster, wire, 3)


async def test_odd_bodies(cluster: Cluster, server: Actor) -> None:
    await server.create_room("lobby")
    for name, body in ODD_BODIES.items():
        async with Http2.to(cluster.settings.message_address) as wire:
            wire.call(1, GET_ROOM, body, [(b"authorization", token_of(cluster))], raw=True)
            assert (await wire.end_of(1))[0] == b"", name
            await check_next_call(cluster, wire, 3)


async def test_calls_without_a_whole_request(cluster: Cluster, server: Actor) -> None:
    """The gRPC core leaves such a call open until the client ends it, or its deadline."""
    await server.create_room("lobby")
    async with Http2.to(cluster.settings.message_address) as wire:
        for stream, body in ((1, b""), (3, b"\0\0"), (5, b"\0\0\0\0\x10abc")):
            wire.call(stream, GET_ROOM, body, raw=True)
        await check_next_call(cluster, wire, 7)
        for stream in (1, 3, 5):
            wire.send(Frame(RST_STREAM, 0, stream, CANCEL))
        await check_next_call(cluster, wire, 9)


async def test_a_rapid_reset(cluster: Cluster, server: Actor) -> None:
    await server.create_room("lobby")
    async with Http2.to(cluster.settings.message_address) as wire:
        for stream in range(1, 4001, 2):
            wire.headers(stream, GET_ROOM)
            wire.send(Frame(RST_STREAM, 0, stream, CANCEL))
        assert await outcome(server.get_room("lobby")) == "OK"  # over a pipe that is open
        async with asyncio.timeout(10), grpc.aio.insecure_channel(cluster.settings.message_address) as channel:
            other = Actor(replace(cluster, rooms=RoomServiceStub(channel)), cluster.as_server())
            while await outcome(other.get_room("lobby")) != "OK":
                pass  # the core sheds some new calls while very many wait


async def test_other_protocols(cluster: Cluster, server: Actor) -> None:
    host, _, port = cluster.settings.message_address.rpartition(":")
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"\0" * 100_000):
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(OSError):  # the server may have hung up already
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(10):
                while await reader.read(65536):
                    pass
        writer.close()
        assert await outcome(server.create_room("")) == "OK"


async def test_headers_that_are_none(cluster: Cluster, server: Actor) -> None:
    async with Http2.to(cluster.settings.message_address) as wire:
        wire.send(Frame(HEADERS, END_HEADERS, 1, b"\xff" * 50))  # HPACK that refers to what is not there
        with contextlib.suppress(ConnectionError):
            data, _ = await wire.end_of(1)
            assert data == b""
    assert await outcome(server.create_room("")) == "OK"


def nested(depth: int, *, in_lists: bool = False) -> bytes:
    """A serialized Struct of so many levels, which no library would make."""
    struct = b""
    for _ in range(depth - 1):
        struct = _field(6, _field(1, _field(5, struct))) if in_lists else _field(5, struct)
        struct = _field(1, _field(1, b"k") + _field(2, struct))
    return struct


def _field(number: int, data: bytes) -> bytes:
    length, size = b"", len(data)
    while size >= 128:
        length += bytes((size % 128 + 128,))
        size //= 128
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + data


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "pipe"])
async def test_deep_custom_data(cluster: Cluster, server: Actor, *, plain: bool) -> None:
    await server.create_room("lobby")
    base = SendMessageRequest(room_id="lobby", parts=[text("x")]).SerializeToString()
    async with grpc.aio.insecure_channel(cluster.settings.message_address) as channel:
        send: Method = (channel if plain else cluster.message_channel).unary_unary(SEND)

        async def say(custom_data: bytes) -> str:
            return await outcome(send(base + _field(CUSTOM_DATA, custom_data), metadata=cluster.as_server("bob")))

        assert Struct.FromString(nested(24)).fields["k"].HasField("struct_value")
        assert await say(nested(24)) == "OK"
        assert await say(nested(26)) == "FIELD_INVALID"
        assert await say(nested(13, in_lists=True)) == "OK"
        for depth in (15, 30, 40, 100, 1000, 10_000):
            assert await say(nested(depth, in_lists=True)) in {"FIELD_INVALID", "REQUEST_UNDECODABLE"}
        for depth in (30, 40, 100, 1000, 10_000):
            assert await say(nested(depth)) in {"FIELD_INVALID", "REQUEST_UNDECODABLE"}
        assert len(await server.page("lobby")) == 2


async def test_random_bytes(cluster: Cluster, server: Actor) -> None:
    await server.create_room("lobby")
    send: Method = cluster.message_channel.unary_unary(SEND)
    for length in range(200):
        result = await outcome(send(CHANCE.randbytes(length), metadata=cluster.as_server("bob")))
        assert result in {"REQUEST_UNDECODABLE", "FIELD_REQUIRED", "FIELD_INVALID", "ROOM_NOT_FOUND"}, result


async def test_nonsense_in_a_pipe_ends_that_pipe_alone(cluster: Cluster, server: Actor) -> None:
    async with grpc.aio.insecure_channel(cluster.settings.message_address) as channel:
        for data in (b"\xff\xff\xff", b"\x0a\x02\xff\xff", CHANCE.randbytes(1000)):
            pipe: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(PIPE)()
            await pipe.read()
            await pipe.write(data)
            assert await pipe.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert await outcome(server.create_room("")) == "OK"
