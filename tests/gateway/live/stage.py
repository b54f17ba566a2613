"""A gateway with subscriptions of the tests' own, and clients of both transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import orjson
from roomline.v1.error_reason_pb2 import ErrorReason
from websockets.asyncio.client import ClientConnection, connect

from gateway.app import App
from gateway.chatkit.endpoint import SubscriptionEndpoint, refusal
from gateway.chatkit.routes import ALL_VERSIONS, CHATKIT, add_subscriptions
from gateway.inquiry import Inquiry
from gateway.live.delivery import Admission
from gateway.live.handshake import PATH, no_handshake
from gateway.live.outlet import Outlet, event_tail
from gateway.live.streaming import Heartbeat, StreamDelivery
from gateway.patience import Patience
from gateway.request import Limits, Request
from gateway.response import Response, json_response
from gateway.router import Router
from gateway.server import Gateway
from services.common.errors import RoomlineError
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX, Connection

AGES = 60.0
PATIENT = Patience(head=AGES, body=AGES, idle=AGES, taking=AGES, lingering=AGES, ping=AGES, silence=AGES, look=0.01)
WITH_TOKEN = {"Authorization": "Bearer the-token"}


@dataclass
class Scene:
    """One subscription, as its maker sees it."""

    request: Request
    outlet: Outlet
    is_closed: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        assert not self.is_closed.is_set(), "closed twice"
        self.is_closed.set()

    def event(self, number: int, **body: Any) -> None:
        self.outlet.event(event_tail(str(number), orjson.dumps(body)))

    async def closed(self) -> None:
        await asyncio.wait_for(self.is_closed.wait(), 30)


@dataclass
class Stage:
    """What is subscribed to. `/rooms/{room_id}` opens at once, the other paths do as they are called."""

    scenes: list[Scene] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def scene(self, number: int = 0) -> Scene:
        """The subscription of that number, as soon as there is one."""
        async with asyncio.timeout(30):
            while len(self.scenes) <= number:
                self.changed.clear()
                await self.changed.wait()
        return self.scenes[number]

    def add_to(self, router: Router, inquiry: Inquiry) -> None:
        """Adds the paths."""
        subscriptions = [
            ("/rooms/{room_id}", self.at_once),
            ("/later", self.later),
            ("/in_turn", self.in_turn),
            ("/over", self.over),
            ("/refused", self.refused),
            ("/broken", self.broken),
            ("/spaced/{room_id}", self.spaced),
            ("/short", self.short),
        ]
        add_subscriptions(router, inquiry, CHATKIT, ALL_VERSIONS, subscriptions)
        endpoint = SubscriptionEndpoint(CHATKIT, self.at_once, inquiry)

        async def quick(request: Request) -> Response:
            return await StreamDelivery(endpoint, request, Admission(1), Heartbeat(0.02)).opening()

        router.add("GET", "/services/chatkit/v6/{instance_id}/quick", quick)
        router.add("GET", "/services/chatkit/v6/{instance_id}/rooms/{room_id}", self.get)
        router.add("GET", "/services/chatkit/v6/{instance_id}/users", self.get)
        router.add("GET", PATH, no_handshake)

    async def at_once(self, request: Request, outlet: Outlet) -> Scene:
        scene = Scene(request, outlet)
        self.scenes.append(scene)
        self.changed.set()
        outlet.open()
        scene.event(1, event_name="initial_state")
        return scene

    async def later(self, request: Request, outlet: Outlet) -> Scene:
        self.waiting.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return await self.at_once(request, outlet)

    async def in_turn(self, request: Request, outlet: Outlet) -> Scene:
        await outlet.in_turn()
        return await self.at_once(request, outlet)

    async def over(self, request: Request, outlet: Outlet) -> Scene:
        await self.waiting.wait()
        outlet.end()
        return await self.in_turn(request, outlet)

    async def refused(self, _request: Request, _outlet: Outlet) -> Scene:
        raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)

    async def broken(self, _request: Request, _outlet: Outlet) -> Scene:
        raise ZeroDivisionError("secret")

    async def spaced(self, request: Request, outlet: Outlet) -> Scene:
        if "+" in request.parameters["room_id"]:
            raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
        return await self.at_once(request, outlet)

    async def short(self, request: Request, outlet: Outlet) -> Scene:
        scene = await self.at_once(request, outlet)
        outlet.end()
        outlet.event(event_tail("2", b"{}"))
        return scene

    async def get(self, _request: Request) -> Response:
        return json_response([])


@asynccontextmanager
async def running_stage(
    stage: Stage,
    settings: Settings,
    backend: Backend,
    patience: Patience = PATIENT,
    max_subscriptions: int = 1000,
) -> AsyncIterator[Gateway]:
    """A gateway that serves the stage."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        router = Router()
        stage.add_to(router, Inquiry(channel))
        app = App(
            router,
            lambda error, request: refusal(error, request, CHATKIT),
            Limits(settings.max_request_bytes, settings.call_timeout_seconds),
            max_subscriptions=max_subscriptions,
        )
        gateway = Gateway(settings, app, patience)
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.stop()


class Socket:
    """A WebSocket with the protocol's arrays on it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *frame: Any) -> None:
        await self.connection.send(orjson.dumps(frame).decode())

    async def subscribe(self, number: int | str, path: str, headers: dict[str, str] | None = None) -> None:
        """A path that begins with "/" and no service is below PREFIX."""
        if not path.lstrip("/").startswith("services/"):
            path = PREFIX + path
        await self.send(100, number, path, WITH_TOKEN if headers is None else headers)

    async def receive(self) -> list[Any]:
        """The next message, which must be text."""
        message = await asyncio.wait_for(self.connection.recv(), 30)
        assert isinstance(message, str)
        found = orjson.loads(message)
        assert isinstance(found, list)
        return found

    async def opened(self, number: int | str, path: str = "/rooms/r") -> None:
        """Subscribes and takes what comes first."""
        await self.subscribe(number, path)
        assert await self.receive() == [101, number, {}]
        assert await self.receive() == [102, number, "1", {}, {"event_name": "initial_state"}]

    async def ended(self) -> int:
        """The code with which the connection has been closed; all messages must have been received."""
        await asyncio.wait_for(self.connection.wait_closed(), 30)
        return self.connection.close_code or 0

    async def ended_with(self, number: int | str) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the next message, which must be the end of the subscription."""
        code, found, status, headers, body = await self.receive()
        assert (code, found) == (199, number)
        assert isinstance(body, dict)
        assert all(isinstance(value, str) for value in (*body.values(), *headers.values()))
        return status, headers, body

    async def closed_with(self) -> tuple[int, dict[str, str], str]:
        """Status, headers and code of the error with which the server closes the connection."""
        code, status, headers, body = await self.receive()
        assert code == 99
        assert {"error", "error_description"} <= body.keys()
        await self.ended()
        return status, headers, body["error"]


@asynccontextmanager
async def socket_at(port: int, path: str = "/ws", **options: Any) -> AsyncIterator[Socket]:
    """A socket that is open, without pings of its own."""
    async with connect(f"ws://127.0.0.1:{port}{path}", ping_interval=None, proxy=None, **options) as connection:
        yield Socket(connection)


class Stream:
    """The answer to one SUBSCRIBE."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def chunk(self) -> bytes:
        """The next chunk; empty for the last one."""
        reader = self.connection.reader
        size = int(await asyncio.wait_for(reader.readline(), 30), 16)
        data = await asyncio.wait_for(reader.readexactly(size + 2), 30)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def line(self) -> list[Any]:
        """The next line, which must be a chunk."""
        chunk = await self.chunk()
        assert chunk.endswith(b"\n")
        assert chunk.count(b"\n") == 1
        found = orjson.loads(chunk)
        assert isinstance(found, list)
        return found

    async def end(self) -> None:
        """Reads what must be the end."""
        assert await self.chunk() == b""
        assert await asyncio.wait_for(self.connection.reader.read(), 30) == b""


def subscribe_bytes(path: str, headers: dict[str, str] | None = None, method: str = "SUBSCRIBE") -> bytes:
    """The request for a stream; a path that begins with "/" and no service is below PREFIX."""
    if not path.startswith("/services"):
        path = PREFIX + path
    fields = {"Host": "localhost", **WITH_TOKEN, **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()
