"""What `live` measures: a real `roomline up --dev` with a room, and a bare broadcaster of the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.listeners import Plan
from tests.support.many_sockets import allow_files
from tests.support.server import Running, running_server
from tests.wire import client

SENDERS = 16
"""Connections that send in bursts."""
SPARE_FILES = 1024
BATCH = 10
"""Users that one request makes."""

LOCATOR = "v1:local:bench"
KEY = "bench:a-secret-that-everybody-knows"

_TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds that it does so many times a day."


@dataclass(frozen=True)
class Broadcast:
    """A running bare broadcaster."""

    pids: dict[str, int]
    port: int

    def plan(self, sockets: int, event: str) -> Plan:
        """So many sockets, and senders that have the event sent to all of them."""
        head = f"POST / HTTP/1.1\r\nHost: bare\r\nContent-Length: {len(event.encode())}\r\n\r\n"
        return Plan(
            host="127.0.0.1",
            port=self.port,
            path="/",
            tls=False,
            subscriptions=[None] * sockets,
            requests=[[head + event]] * SENDERS,
            named=False,
        )


@dataclass(frozen=True)
class Room:
    """A running server with one public room and many users who subscribe to it, each with a token of their own."""

    running: Running
    chatkit: client.Server
    users: list[str]
    room: str

    @property
    def pids(self) -> dict[str, int]:
        """Of the processes that a delivery or a socket concerns."""
        return {process: self.running.pids[process] for process in ("gateway", "message")}

    def plan(self, *, tls: bool = False) -> Plan:
        """A socket for each user, and senders."""
        address = urlsplit(self.running.https if tls else self.running.http)
        assert address.hostname is not None
        assert address.port is not None
        path = self.chatkit.target(client.V6, client.path_of("rooms", self.room) + "?message_limit=0")
        tokens = [self.chatkit.user_token(user) for user in self.users]
        return Plan(
            host=address.hostname,
            port=address.port,
            path="/ws",
            tls=tls,
            subscriptions=[(path, {"Authorization": f"Bearer {token}"}) for token in tokens],
            requests=[] if tls else [[self._request(address.netloc)]] * SENDERS,
            named=True,
        )

    def event(self) -> str:
        """What a socket gets for a message of a sender."""
        message = self.chatkit.send(self.room, self.users[0], client.inline(_TEXT))
        data = self.chatkit.message(self.room, message)
        body = {"event_name": "new_message", "data": data, "timestamp": data["created_at"]}
        return json.dumps([102, 0, str(message), {}, body], separators=(",", ":"))

    def send(self, number: int) -> None:
        """Sends messages, one by one."""
        for _ in range(number):
            self.chatkit.send(self.room, self.users[0], client.inline(_TEXT))

    def _request(self, host: str) -> str:
        path = self.chatkit.target(client.V6, client.path_of("rooms", self.room, "messages"))
        body = json.dumps({"parts": [client.inline(_TEXT)]})
        head = (
            f"POST {path} HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {self.chatkit.user_token(self.users[0])}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join([*head, "", body])


@contextmanager
def running_room(folder: Path, sockets: int, *, tls: bool = True) -> Iterator[Room]:
    """A server for so many sockets on its listener, or on each of the two with TLS, for the time of the block."""
    allow_files((2 if tls else 1) * (sockets + SPARE_FILES))
    env = {"ROOMLINE_MAX_CONNECTIONS": str(sockets + SPARE_FILES // 2)}
    options = () if tls else ("--instance", LOCATOR, "--key", KEY)
    with (
        running_server(folder, *options, env=env, dev=tls) as running,
        client.Server(running.http, running.instance_locator or LOCATOR, running.key or KEY) as chatkit,
    ):
        users = [f"user-{number:05}" for number in range(sockets)]
        server = chatkit.su()
        for begin in range(0, sockets, BATCH):
            batch = [{"id": user, "name": user} for user in users[begin : begin + BATCH]]
            server.post("/batch_users", {"users": batch}).read(201)
        yield Room(running, chatkit, users, chatkit.new_room(users[0]))


@contextmanager
def running_broadcaster(sockets: int) -> Iterator[Broadcast]:
    """A bare broadcaster for the time of the block."""
    allow_files(sockets + SPARE_FILES)
    command = [sys.executable, "-m", "bench.broadcaster"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Broadcast({"bare": process.pid}, int(process.stdout.readline()))
        finally:
            process.terminate()
