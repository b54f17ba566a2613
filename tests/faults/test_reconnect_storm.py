"""Fault 25: a thousand clients lose their connections at once, and come back at once.

Everybody is back within a minute and has every message once, in order; the gateway's memory stays bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.faults.deployment import Deployment, deployed, free_ports
from tests.support import memory
from tests.support.many_sockets import Place, Receiver, Tally, allow_files
from tests.support.server import Running
from tests.wire.client import V6, Server, fresh, path_of

SOCKETS = 1000
BACK_SECONDS = 60
GROWTH_BYTES = 150_000 * SOCKETS
"""How much the gateway may grow beyond what it needs for as many sockets: several times what it does."""
BATCH = 10

pytestmark = [
    pytest.mark.slow,  # a thousand users, each with a socket, twice
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One server for all storms; its ports stay the same when it is killed."""
    allow_files(2 * SOCKETS)
    with deployed(tmp_path_factory.mktemp("storm"), *free_ports()) as running:
        yield running


class Crowd:
    """A public room, and users who follow it, each over a socket."""

    def __init__(self, server: Server, running: Running) -> None:
        self.tally = Tally()
        self._server = server
        users = [fresh("user-") for _ in range(SOCKETS)]
        for begin in range(0, SOCKETS, BATCH):
            batch = [{"id": user, "name": user} for user in users[begin : begin + BATCH]]
            server.su().post("/batch_users", {"users": batch}).read(201)
        self._sender = users[0]
        self._room = server.new_room(self._sender)
        self._sent: list[int] = []
        address = urlsplit(running.http)
        assert address.hostname is not None
        assert address.port is not None
        place = Place(address.hostname, address.port, "/ws")
        path = server.target(V6, path_of("rooms", self._room))
        self.receivers = [
            Receiver(place, self.tally, (path, {"Authorization": f"Bearer {server.user_token(user)}"}))
            for user in users
        ]
        for receiver in self.receivers:
            receiver.kept = []

    async def send(self, number: int) -> None:
        """Sends messages, one by one."""
        for _ in range(number):
            self._sent.append(await asyncio.to_thread(self._server.send, self._room, self._sender))

    async def have_all(self) -> None:
        """Waits until as many events are there as there must be, and checks that they are the right ones."""
        await self.tally.reaches(len(self._sent) * SOCKETS)
        for receiver in self.receivers:
            assert receiver.event_ids() == self._sent

    async def come(self) -> None:
        """Everybody subscribes, and goes on after the last event, if there was one."""
        await asyncio.gather(*(receiver.come_back(receiver.last_event_id()) for receiver in self.receivers))

    def cut(self) -> None:
        """Everybody loses the connection."""
        for receiver in self.receivers:
            receiver.cut()


@contextmanager
def crowd(running: Running) -> Iterator[Crowd]:
    """A crowd of its own for each test."""
    with Server(running.http, running.instance_locator, running.key) as server:
        here = Crowd(server, running)
        try:
            yield here
        finally:
            here.cut()


async def test_lost_connections(deployment: Deployment) -> None:
    """Messages are sent while everybody is away, and while they come back."""
    with crowd(deployment.running) as here:
        gateway = {"gateway": deployment.running.pids["gateway"]}
        await _gather(here)
        before = memory.peak(gateway)["gateway"]
        here.cut()
        await here.send(5)
        async with asyncio.timeout(BACK_SECONDS):
            await asyncio.gather(here.come(), here.send(20))
            await here.have_all()
        await _goes_on(here)
        assert memory.peak(gateway)["gateway"] - before < GROWTH_BYTES


async def test_a_killed_gateway(deployment: Deployment) -> None:
    """Nobody has been told that it ends."""
    with crowd(deployment.running) as here:
        await _gather(here)
        before = memory.peak({"gateway": deployment.running.pids["gateway"]})["gateway"]
        await asyncio.to_thread(deployment.kill_children, "gateway")
        assert all(receiver.lost for receiver in here.receivers)
        async with asyncio.timeout(BACK_SECONDS):
            await asyncio.gather(here.come(), here.send(20))
            await here.have_all()
        await _goes_on(here)
        assert memory.peak({"gateway": deployment.running.pids["gateway"]})["gateway"] < before + GROWTH_BYTES


async def _gather(here: Crowd) -> None:
    async with asyncio.timeout(BACK_SECONDS):
        await here.come()
        await _goes_on(here)


async def _goes_on(here: Crowd) -> None:
    async with asyncio.timeout(BACK_SECONDS):
        await here.send(3)
        await here.have_all()
    assert not any(receiver.lost for receiver in here.receivers)
