"""Senders that go on whatever happens to the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import orjson
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.message_service_pb2_grpc import MessageServiceStub

from services.common.ids import Uuid7
from services.common.pipe.limits import RECONNECT_OPTIONS
from tests.faults import lobby
from tests.faults.chance import CHANCE
from tests.faults.ledger import Ledger, Send
from tests.faults.lobby import bearer
from tests.gateway.client import Connection
from tests.support.server import Running

if TYPE_CHECKING:
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub

HTTP_SENDERS = 6
GRPC_SENDERS = 4

_LOST = (ConnectionError, TimeoutError, asyncio.IncompleteReadError)
_TRY_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_PAUSE_SECONDS = 0.02
TRY_SECONDS = 1.0
REPEATED = 0.1
"""How many acknowledged messages are sent again, as if the answer had been lost."""

Where = Callable[[], Running]
"""Where the server is now."""


class HttpSender:
    """Sends over HTTP, each message once. One connection, for as long as it holds."""

    def __init__(self, ledger: Ledger, room: str, name: str, where: Where) -> None:
        self._ledger = ledger
        self._room = room
        self._name = name
        self._where = where
        self._connection: Connection | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until the event is set."""
        while not stop.is_set():
            try:
                await self._send(self._ledger.begin(self._name))
            except _LOST:
                await self._close()
                await asyncio.sleep(_PAUSE_SECONDS)  # nobody tells when the listener is back
        await self._close()

    async def _send(self, send: Send) -> None:
        running = self._where()
        if self._connection is None:
            port = urlsplit(running.http).port
            assert port is not None
            self._connection = await Connection.open(port)
        body = orjson.dumps({"parts": [{"type": "text/plain", "content": send.text}]})
        self._connection.write(
            f"POST /services/chatkit/v6/{running.instance_id}/rooms/{self._room}/messages HTTP/1.1\r\n"
            f"Host: localhost\r\nAuthorization: {bearer(running, self._name)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        reply = await self._connection.reply()
        if reply.status == 201:
            self._ledger.acknowledge(send, reply.json["message_id"])
            return
        assert reply.error == (503, "service_unavailable"), reply
        # A client repeats a refused write if it may: then nothing must have been done (spec §10.5).
        send.refused = "retry-after" in reply.headers
        if reply.headers.get("connection") == "close":
            await self._close()
        await asyncio.sleep(_PAUSE_SECONDS)

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


class GrpcSender:
    """Sends to the message service, each message until it is acknowledged, with one request id."""

    def __init__(self, ledger: Ledger, room: str, name: str, where: Where, *, su: bool) -> None:
        self._ledger = ledger
        self._room = room
        self._name = name
        self._where = where
        self._su = su
        self._new_id = Uuid7()
        self._send: Send | None = None
        self._request = SendMessageRequest()

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until the event is set and the last message is acknowledged."""
        while self._send is not None or not stop.is_set():
            address = self._where().grpc["message"]
            async with grpc.aio.insecure_channel(address, options=RECONNECT_OPTIONS) as channel:
                await self._use(MessageServiceStub(channel), address, stop)

    async def _use(self, stub: MessageServiceAsyncStub, address: str, stop: asyncio.Event) -> None:
        """Sends over one channel, until the server moves."""
        while address == self._where().grpc["message"]:
            if self._send is None:
                if stop.is_set():
                    return
                self._begin()
            assert self._send is not None
            if await self._try(stub, self._send) and CHANCE.random() >= REPEATED:
                self._send = None

    def _begin(self) -> None:
        self._send = self._ledger.begin(self._name)
        self._request = SendMessageRequest(
            room_id=self._room,
            parts=[Part(type="text/plain", content=self._send.text)],
            request_id=self._new_id(),
            user_id=self._name if self._su else "",
        )

    async def _try(self, stub: MessageServiceAsyncStub, send: Send) -> bool:
        """Whether the message was acknowledged."""
        authorization = bearer(self._where(), "" if self._su else self._name, su=self._su)
        try:
            answer = await stub.SendMessage(
                self._request,
                metadata=(("authorization", authorization),),
                timeout=TRY_SECONDS,
                wait_for_ready=True,
            )
        except grpc.aio.AioRpcError as error:
            if error.code() not in _TRY_AGAIN:
                raise
            return False
        self._ledger.acknowledge(send, answer.message.id)
        return True


@contextlib.asynccontextmanager
async def load(where: Where, room: str) -> AsyncIterator[Ledger]:
    """A new room, and messages from many senders in it for the time of the block.

    Afterwards each message is answered or given up.
    """
    http, plain = [f"{room}-h{number}" for number in range(HTTP_SENDERS)], [f"{room}-g{n}" for n in range(GRPC_SENDERS)]
    await lobby.create(where(), room, [*http, *plain])
    ledger = Ledger([*http, *plain])
    stop = asyncio.Event()
    senders: list[HttpSender | GrpcSender] = [
        *(HttpSender(ledger, room, name, where) for name in http),
        *(GrpcSender(ledger, room, name, where, su=number % 2 == 0) for number, name in enumerate(plain)),
    ]
    async with asyncio.TaskGroup() as group:  # a sender that fails ends the block
        for sender in senders:
            group.create_task(sender.run(stop))
        yield ledger
        stop.set()
