"""A server to send to: a real `roomline up --dev` with users and rooms, the requests for it, and what it has stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.generator import Plan
from tests.support.server import running_server
from tests.wire import client

USERS = 16
ROOMS = 8
PAGE = 100

_TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds that it does so many times a day."


@dataclass(frozen=True)
class Target:
    """A running server."""

    name: str
    pids: dict[str, int]
    """Of its processes that a send concerns, by name."""
    url: str
    chatkit: client.Server
    users: list[str]
    rooms: list[str]

    def plan(self, connections: int) -> Plan:
        """What `connections` users send: each with one user's token, to all rooms in turn."""
        host, port = urlsplit(self.url).hostname, urlsplit(self.url).port
        assert host is not None
        assert port is not None
        tokens = [self.chatkit.user_token(user) for user in self.users]
        requests = []
        for number in range(connections):
            rooms = self.rooms[number % ROOMS :] + self.rooms[: number % ROOMS]
            requests.append([self._request(room, tokens[number % USERS], f"{host}:{port}") for room in rooms])
        return Plan(host=host, port=port, requests=requests)

    def stored_ids(self) -> list[int]:
        """The ids of all messages, read page by page through the API."""
        reader = self.chatkit.su()
        ids: list[int] = []
        for room in self.rooms:
            path = client.path_of("rooms", room, "messages") + f"?limit={PAGE}"
            page = [message["id"] for message in reader.get(path).read()]
            while page:
                ids += page
                page = [message["id"] for message in reader.get(f"{path}&initial_id={page[-1]}").read()]
        return ids

    def _request(self, room: str, token: str, host: str) -> str:
        path = self.chatkit.target(client.V6, client.path_of("rooms", room, "messages"))
        body = json.dumps({"parts": [client.inline(_TEXT)]})
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", body])


@contextmanager
def running_target(name: str, folder: Path, *, pipe: bool) -> Iterator[Target]:
    """A server with its data in `folder`, for the time of the block."""
    env = {"ROOMLINE_PIPE": "true" if pipe else "false"}
    with (
        running_server(folder, env=env) as running,
        client.Server(running.http, running.instance_locator, running.key) as chatkit,
    ):
        users = [chatkit.new_user(f"user-{number}") for number in range(USERS)]
        rooms = [chatkit.new_room(users[0], *users[1:]) for _ in range(ROOMS)]
        pids = {process: running.pids[process] for process in ("gateway", "message", "user")}
        yield Target(name, pids, running.http, chatkit, users, rooms)
