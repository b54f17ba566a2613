"""Senders that go on whatever happens to the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import orjson
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest

from services.common.ids import Uuid7
from tests.faults import lobby
from tests.faults.chance import CHANCE
from tests.faults.ledger import Ledger, Send
from tests.faults.lives import Life
from tests.faults.lobby import bearer
from tests.faults.reach import Reach, Where
from tests.gateway.client import Connection

HTTP_SENDERS = 6
GRPC_SENDERS = 4
LIVES = 2

_LOST = (ConnectionError, TimeoutError, asyncio.IncompleteReadError)
_PAUSE_SECONDS = 0.02
REPEATED = 0.1
"""How many acknowledged messages are sent again, as if the answer had been lost."""


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

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until the event is set and the last message is acknowledged."""
        async with Reach(self._where, "" if self._su else self._name) as reach:
            while not stop.is_set():
                await self._send(reach)

    async def _send(self, reach: Reach) -> None:
        send = self._ledger.begin(self._name)
        request = SendMessageRequest(
            room_id=self._room,
            parts=[Part(type="text/plain", content=send.text)],
            request_id=self._new_id(),
            user_id=self._name if self._su else "",
        )
        again = True
        while again:
            answer = await reach(lambda stubs, options: stubs.messages.SendMessage(request, **options))
            self._ledger.acknowledge(send, answer.message.id)
            again = CHANCE.random() < REPEATED


@contextlib.asynccontextmanager
async def load(where: Where, room: str) -> AsyncIterator[Ledger]:
    """A new room, messages from many senders in it, and members who come and go, for the time of the block.

    Afterwards each message is answered or given up.
    """
    http, plain = [f"{room}-h{number}" for number in range(HTTP_SENDERS)], [f"{room}-g{n}" for n in range(GRPC_SENDERS)]
    await lobby.create(where(), room, [*http, *plain])
    ledger = Ledger([*http, *plain])
    stop = asyncio.Event()
    everybody: list[HttpSender | GrpcSender | Life] = [
        *(HttpSender(ledger, room, name, where) for name in http),
        *(GrpcSender(ledger, room, name, where, su=number % 2 == 0) for number, name in enumerate(plain)),
        *(Life(room, f"{room}-l{number}", where) for number in range(LIVES)),
    ]
    async with asyncio.TaskGroup() as group:  # one that fails ends the block
        for one in everybody:
            group.create_task(one.run(stop))
        yield ledger
        stop.set()
