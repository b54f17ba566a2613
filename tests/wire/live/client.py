"""Subscriptions as a client sees them, on both transports (spec §10.1, §10.2): nothing of the product's code."""

from __future__ import annotations

import json
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.wire.client import TIMESTAMP, V6, Server

SECONDS = 30.0
"""How long anything may take on a machine that is busy; nobody waits so long for what is there."""

ERROR_KEYS = {"error", "error_description", "error_uri"}


class Event(NamedTuple):
    """One event."""

    id: str
    name: str
    data: Any
    timestamp: str


class End(NamedTuple):
    """How a subscription ended, or why it was refused."""

    status: int
    code: str
    description: str
    headers: Mapping[str, str]


class Subscription(ABC):
    """One subscription on a connection of its own."""

    is_open = False
    refused: End | None = None

    def __init__(self) -> None:
        self.frames: list[Any] = []
        """All that came, as it came; of an HTTP stream without signs of life."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def receive(self) -> Event | End:
        """Wait for what comes next; forms are checked."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""

    def cut(self) -> None:
        """Lose the connection, without a word."""
        self.close()

    def opened(self) -> Self:
        """Check that it was not refused."""
        assert self.is_open, self.refused
        return self

    def event(self, name: str) -> Event:
        """Wait for the next event, which must have this name."""
        event = self.receive()
        assert isinstance(event, Event), event
        assert event.name == name, event
        return event

    def data(self, name: str) -> Any:
        """The data of the next event, which must have this name."""
        return self.event(name).data

    def ends(self, status: int, code: str) -> End:
        """Wait for the end, which must come next."""
        end = self.receive()
        assert isinstance(end, End), end
        assert (end.status, end.code) == (status, code), end
        return end

    def refuses(self, status: int, code: str) -> str:
        """Check that it never opened; return the description."""
        assert self.refused is not None
        assert (self.refused.status, self.refused.code) == (status, code), self.refused
        return self.refused.description


def event_of(event_id: object, headers: object, body: Any) -> Event:
    assert isinstance(event_id, str)
    assert event_id
    assert headers == {}
    assert set(body) == {"event_name", "data", "timestamp"}
    assert isinstance(body["data"], dict)
    assert TIMESTAMP.fullmatch(body["timestamp"])
    return Event(event_id, body["event_name"], body["data"], body["timestamp"])


def ended(status: object, headers: Any, body: Any) -> End:
    assert isinstance(status, int)
    assert isinstance(headers, dict)
    assert isinstance(body, dict)
    if status == 204:
        return End(status, "", "", headers)
    assert set(body) == ERROR_KEYS
    assert all(isinstance(value, str) for value in body.values())
    return End(status, body["error"], body["error_description"], headers)


class WebSocketSubscription(Subscription):
    """Over a WebSocket."""

    def __init__(self, url: str, path: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._socket: ClientConnection = self._stack.enter_context(connect(url, ping_interval=None, proxy=None))
        self._socket.send(json.dumps([100, 0, path, headers]))
        frame = self._frame()
        if frame[0] == 101:
            assert frame == [101, 0, {}]
            self.is_open = True
        else:
            self.refused = self._ended(frame)

    def receive(self) -> Event | End:
        frame = self._frame()
        if frame[0] == 199:
            return self._ended(frame)
        code, number, event_id, headers, body = frame
        assert (code, number) == (102, 0)
        return event_of(event_id, headers, body)

    def close(self) -> None:
        self._stack.close()

    def cut(self) -> None:
        self._socket.socket.shutdown(socket.SHUT_RDWR)
        self._stack.close()

    def _frame(self) -> Any:
        frame = json.loads(self._socket.recv(SECONDS))
        assert isinstance(frame, list)
        self.frames.append(frame)
        return frame

    def _ended(self, frame: Any) -> End:
        code, number, status, headers, body = frame
        assert (code, number) == (199, 0)
        return ended(status, headers, body)


class HttpSubscription(Subscription):
    """Over an HTTP stream."""

    def __init__(self, address: tuple[str, int], path: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._socket = socket.create_connection(address, timeout=SECONDS)
        self._file = self._socket.makefile("rb")
        host, port = address
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"{host}:{port}", **headers}.items())
        self._socket.sendall(f"SUBSCRIBE {path} HTTP/1.1\r\n{lines}\r\n".encode())
        self._rest = b""
        status = int(self._file.readline().split(b" ")[1])
        fields = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            fields[name.lower()] = value
        if status == 200:
            self.is_open = True
        else:
            body = json.loads(self._file.read(int(fields["content-length"])))
            self.refused = ended(status, fields, body)

    def receive(self) -> Event | End:
        while True:
            line = json.loads(self._line())
            if line[0]:
                self.frames.append(line)
            match line[0]:
                case 0:
                    assert len(line) == 2
                case 1:
                    _, event_id, headers, body = line
                    return event_of(event_id, headers, body)
                case _:
                    code, status, headers, body = line
                    assert code == 255
                    return ended(status, headers, body)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _line(self) -> bytes:
        size = int(self._file.readline(), 16)
        assert size, "the stream ended without saying so"
        chunk = self._file.read(size + 2)
        assert chunk.endswith(b"\n\r\n")
        assert chunk.count(b"\n") == 2
        return chunk[:-2]


class SharedSocket:
    """Several subscriptions on one WebSocket, as browsers have them; the caller chooses their numbers."""

    def __init__(self, server: Server, *, origin: str | None = None) -> None:
        self._server = server
        self._stack = ExitStack()
        url = f"ws://{server.netloc}/ws"
        sent = None if origin is None else Origin(origin)
        self._socket = self._stack.enter_context(connect(url, origin=sent, ping_interval=None, proxy=None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def subscribe(self, number: int, path: str, user: str, *, api: str = V6) -> None:
        """Ask for a subscription with a user's token, and wait for nothing."""
        authorization = f"Bearer {self._server.user_token(user)}"
        self._send(100, number, self._server.target(api, path), {"Authorization": authorization})

    def unsubscribe(self, number: int) -> None:
        """Leave a subscription; when this returns, the server knows."""
        self._send(198, number, None, None)
        assert not [frame for frame in self._until_pong() if frame[1] != number]

    def receive(self) -> tuple[int, Event | End | None]:
        """Wait for the next frame of any subscription: its number with an event, the end, or None for the opening."""
        match self._frame():
            case [101, int(number), {}]:
                return number, None
            case [102, int(number), event_id, headers, body]:
                return number, event_of(event_id, headers, body)
            case [199, int(number), status, headers, body]:
                return number, ended(status, headers, body)
            case frame:
                raise AssertionError(frame)

    def _send(self, *frame: object) -> None:
        self._socket.send(json.dumps(frame))

    def _frame(self) -> Any:
        return json.loads(self._socket.recv(SECONDS))

    def _until_pong(self) -> Iterator[Any]:
        self._send(16, 0)
        while (frame := self._frame()) != [17, 0]:
            yield frame


class Subscriber:
    """Subscribes to paths of a server."""

    def __init__(self, server: Server, transport: str) -> None:
        self._server = server
        self._transport = transport

    def subscribe(
        self, path: str, token: str, *, api: str = V6, headers: Mapping[str, str] | None = None
    ) -> Subscription:
        """Ask for a subscription to a path (with query) of the instance; it may have been refused."""
        target = self._server.target(api, path)
        every = {"Authorization": f"Bearer {token}", **(headers or {})}
        if self._transport == "websocket":
            return WebSocketSubscription(f"ws://{self._server.netloc}/ws", target, every)
        host, _, port = self._server.netloc.rpartition(":")
        return HttpSubscription((host, int(port)), target, every)

    def user(self, path: str, user: str, *, api: str = V6, headers: Mapping[str, str] | None = None) -> Subscription:
        """Open a subscription with a user's token."""
        return self.subscribe(path, self._server.user_token(user), api=api, headers=headers).opened()
