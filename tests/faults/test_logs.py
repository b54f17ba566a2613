"""Fault 29: secrets in logs. What callers send and hold is in no log, whatever is logged and whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.instance_service_pb2 import WatchCredentialsRequest
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.message_service_pb2_grpc import MessageServiceStub
from roomline.v1.pipe_service_pb2 import PipeRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from services.common.contract import METHODS
from services.common.pipe.channel import PipeChannel
from services.common.tokens import OPERATOR_ISSUER, SERVICE_ISSUER, ServiceTokens
from tests.cli.commands import roomline
from tests.faults import account_secrets
from tests.faults.actors import outcome, text
from tests.faults.http2 import Http2
from tests.faults.markers import Markers
from tests.faults.sensitive import Site, a_user, be_refused, break_http, succeed
from tests.support.browser import PRIVATE_KEY, SUBJECT
from tests.support.server import running_server

LEFT_OUT = {"ResetInstance", "PurgeInstance"}
"""They would take the users away that later steps need."""
GET_ROOM = "/roomline.v1.RoomService/GetRoom"
SEND = "/roomline.v1.MessageService/SendMessage"
PIPE = "/roomline.v1.PipeService/Pipe"


@contextlib.asynccontextmanager
async def channels(site: Site) -> AsyncIterator[list[grpc.aio.Channel]]:
    """To every service, plain and over the pipe."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(channel)
            for address in site.running.grpc.values()
            for channel in (grpc.aio.insecure_channel(address), PipeChannel(address))
        ]


def own_tokens(site: Site) -> tuple[str, str]:
    """The operator's token, and one of a service."""
    operator = site.mark.keep("the operator's secret", (site.running.data_dir / "operator.key").read_text().strip())
    environment = Path(f"/proc/{site.running.pids['message']}/environ").read_text().split("\0")
    service = dict(entry.split("=", 1) for entry in environment if entry)["ROOMLINE_SERVICE_SECRET"]
    site.mark.keep("the services' secret", service)
    made = ServiceTokens(OPERATOR_ISSUER, operator, "operator")(), ServiceTokens(SERVICE_ISSUER, service, "test")("dev")
    return site.mark.keep("the operator's token", made[0]), site.mark.keep("a service's token", made[1])


async def call_everything(site: Site) -> None:
    """Calls every method of every service, with everybody's token and with none, plainly and over the pipe."""
    mark = site.mark
    operator, service = own_tokens(site)
    good = (site.bearer("bob", su=True), site.bearer("bob"), "Bearer " + operator, "Bearer " + service)
    bad = (f"Bearer {mark('a token')}", mark("a bare token"), f"Bearer {mark('a token')}" * 500, "")
    async with channels(site) as opened:
        for channel in opened:
            for name, method in METHODS.items():
                if method.server_streaming or method.client_streaming or method.name in LEFT_OUT:
                    continue
                call: Any = channel.unary_unary(name)
                for authorization in good + bad:
                    metadata = (("authorization", authorization), ("x-more-bin", mark("metadata").encode()))
                    await outcome(call(mark.request(method).SerializeToString(), metadata=metadata))
                await outcome(call(b"\xff" + mark("no request").encode(), metadata=(("authorization", good[0]),)))
        for channel in opened[2:4]:  # of the message service
            await send_in_many_ways(channel, mark, (("authorization", good[0]),))
        watch = InstanceServiceStub(opened[0]).WatchCredentials(
            WatchCredentialsRequest(), metadata=(("authorization", "Bearer " + service),)
        )
        news: Any = await watch.read()
        for key in (key for credentials in news.changed for key in credentials.keys):
            mark.keep("an instance's key", key.secret)
        watch.cancel()


async def send_in_many_ways(channel: grpc.aio.Channel, mark: Markers, metadata: tuple[tuple[str, str], ...]) -> None:
    """Sends messages that are stored, repeated, refused, too large, too late and given up."""
    custom_data = Struct()
    custom_data.update(mark.data("gRPC"))
    room = CreateRoomRequest(id=mark("a room"), name=mark("a name"), custom_data=custom_data)
    await RoomServiceStub(channel).CreateRoom(room, metadata=metadata)
    request = SendMessageRequest(room_id=room.id, parts=[text(mark("a message"))], custom_data=custom_data)
    request.request_id = mark("a request id")
    stub = MessageServiceStub(channel)
    sent = await stub.SendMessage(request, metadata=metadata)
    assert await stub.SendMessage(request, metadata=metadata) == sent
    request.parts[0].content = mark("another message")
    assert await outcome(stub.SendMessage(request, metadata=metadata)) == "REQUEST_ID_REUSED"
    request.reply_to = mark("what it answers")
    request.request_id = ""
    assert await outcome(stub.SendMessage(request, metadata=metadata)) == "FIELD_INVALID"
    raw: Any = channel.unary_unary(SEND)
    await outcome(raw(mark("a large request").encode() * 300_000, metadata=metadata))
    await outcome(raw(request.SerializeToString(), metadata=metadata, timeout=0.0005))
    given_up = raw(request.SerializeToString(), metadata=metadata)
    await asyncio.sleep(0)
    given_up.cancel()


async def break_grpc(site: Site) -> None:
    """Sends what is no HTTP/2, no gRPC call, or no frame of a pipe."""
    broken = site.mark("a broken call").encode()
    headers = [
        *((b"x-thing-bin", b"!!! " + broken), (b"x-thing", broken + b"\x01"), (b"x-thing", broken * 5000)),
        *((b"authorization-bin", broken), (b"grpc-timeout", broken), (b"grpc-encoding", broken)),
        *((b"x-" + broken, broken), (b"X-" + broken, broken), (b"authorization", b"Bearer " + broken)),
    ]
    call = PipeRequest().calls.add(id=1, method=GET_ROOM, request=broken)
    call.metadata.add(key="x-thing", value=broken + b"\n")
    frames = [broken, PipeRequest(calls=[call]).SerializeToString(), PipeRequest(calls=[call] * 65).SerializeToString()]
    for address in site.running.grpc.values():
        for header in headers:
            async with Http2.to(address) as wire:
                wire.call(1, GET_ROOM, broken, [header, header])
                await wire.end_of(1)
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /%s HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n" % (broken, broken))
        await reader.read()
        writer.close()
        async with grpc.aio.insecure_channel(address) as channel:
            for frame in frames:
                pipe: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(PIPE)()
                await pipe.write(frame)
                await pipe.done_writing()
                with contextlib.suppress(grpc.aio.AioRpcError):
                    while await pipe.read() is not grpc.aio.EOF:
                        pass


async def fail_inside(site: Site) -> None:
    """Kills a service while it works, damages what is stored, and takes tables away."""
    mark = site.mark
    message = {"parts": [{"type": "text/plain", "content": mark("a message on its way")}]}

    async def send() -> int:
        return (await site.call("POST", f"/rooms/{mark('a room')}/messages", message)).status

    os.kill(site.running.pids["message"], signal.SIGKILL)
    assert {*await asyncio.gather(*(send() for _ in range(50)))} <= {404, 503}
    while await send() != 404:
        pass
    with contextlib.closing(sqlite3.connect(site.running.data_dir / "user.db")) as database:
        damaged = mark("a damaged name").encode() + b"\xff"
        database.execute("UPDATE users SET name = CAST(? AS TEXT)", (damaged,))
        database.commit()
    for method in ("GET", "PUT"):
        assert (await site.call(method, "/users/bob", {"name": mark("a name")})).status == 500
    for name, table in (("message", "rooms"), ("user", "users")):
        with contextlib.closing(sqlite3.connect(site.running.data_dir / f"{name}.db")) as database:
            database.execute(f"ALTER TABLE {table} RENAME TO gone")
    assert await send() == 500
    user = mark("a user")
    for method, path in (("GET", f"/users/{user}"), ("PUT", f"/users/{user}"), ("POST", "/users")):
        assert (await site.call(method, path, a_user(mark, user))).status == 500


def use_command(site: Site) -> str:
    """Gives the command keys, good and bad; what it says on standard error. A new key is on standard output, once."""
    good, bad = f"id:{site.mark('a key')}", site.mark("a malformed key")
    create = ("instance", "create", "--data-dir", site.running.data_dir, "--id", "other", "--key")
    ran = [roomline(*create, key) for key in (good, good, bad)]
    ran.append(roomline("token", "--user", "x", "--instance", "v1:local:x", env={"ROOMLINE_KEY": bad}))
    assert [one.returncode for one in ran] == [0, 1, 2, 2]
    return "".join(one.stderr for one in ran)


@pytest.mark.slow  # starts a server, and sends it thousands of calls
@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_nothing_secret_is_logged(tmp_path: Path, log_format: str) -> None:
    mark = Markers()
    # gRPC's core has a log of its own.
    settings = {"ROOMLINE_LOG_LEVEL": "debug", "ROOMLINE_LOG_FORMAT": log_format, "GRPC_VERBOSITY": "INFO"}
    settings |= {"ROOMLINE_PUSH_VAPID_KEY": mark.keep("the push key", PRIVATE_KEY), "ROOMLINE_PUSH_SUBJECT": SUBJECT}
    with running_server(tmp_path, env=settings) as running:
        mark.keep("the instance's key", running.key.partition(":")[2])
        site = Site(running, mark)
        for step in (succeed, account_secrets.live, be_refused, break_http, call_everything, break_grpc):
            await step(site)
        said = await asyncio.to_thread(use_command, site)
        await fail_inside(site)
    log = (tmp_path / "up.log").read_text(errors="replace")
    # What `up --dev` tells the person who started it is no log, and has the key.
    started, _, told = log.partition("Roomline is ready")
    told, _, logged = told.partition("Ctrl-C stops everything")
    assert running.key in told
    for event in ("call", "OK", "TOKEN_INVALID", "FIELD_INVALID", "handler_failed", "request_failed", "child_ended"):
        assert event in logged
    assert mark.found_in(started + logged + said) == []
