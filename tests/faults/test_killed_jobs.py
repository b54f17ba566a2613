"""Fault 2 for asynchronous deletions: kill -9 right after one has begun; it is carried on, and its job still known."""

import time
from collections.abc import Iterator

import pytest

from tests.cli.commands import wait_until
from tests.faults.chance import CHANCE
from tests.faults.deployment import SERVICES, Deployment, deployed, free_ports
from tests.faults.invariants import check_databases, is_settled
from tests.wire import codes
from tests.wire.client import SCHEDULER, Reply, Server
from tests.wire.files import at, attach, attachment_of

PATIENCE_SECONDS = 60
USERS = [f"user-{number}" for number in range(6)]
ROOMS = [f"room-{number}" for number in range(6)]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One server, which survives all tests."""
    with deployed(tmp_path_factory.mktemp("jobs"), *free_ports()) as running:
        yield running


@pytest.mark.slow  # kills and restarts
@pytest.mark.parametrize("names", [("user",), ("message",), ("media",), SERVICES, ()], ids=str)
def test_a_deletion_survives(deployment: Deployment, names: tuple[str, ...]) -> None:
    running = deployment.running
    with Server(running.http, running.instance_locator, running.key) as server:
        eventually(server, "DELETE", "/resources").done()
        urls = [furnished(server, room) for room in ROOMS]
        paths = [f"/rooms/{room}" for room in ROOMS] + [f"/users/{user}" for user in USERS]
        CHANCE.shuffle(paths)
        jobs = [server.su().put(path, api=SCHEDULER).read(202)["id"] for path in paths]
        if names:
            deployment.kill_children(*names)
        else:
            deployment.kill_all()
            deployment.start()
        for job in jobs:
            wait_until(lambda: told(server, job) == "completed")  # noqa: B023 - called at once
        for path in paths:
            eventually(server, "GET", path).fails(404)
        for url in urls:
            at(server, url).fails(404, codes.ATTACHMENT_NOT_FOUND)
    wait_until(lambda: is_settled(deployment.data_dir))
    check_databases(deployment.data_dir)


def furnished(server: Server, room: str) -> str:
    """Makes a room with all users in it, unless they are there already, and a message with a file; the file's URL."""
    for user in USERS:
        if server.su().get(f"/users/{user}").status == 404:
            server.new_user(user)
    server.new_room(USERS[0], *USERS, id=room)
    message = server.send(room, USERS[0], attach(server, room, USERS[0]).part)
    return str(attachment_of(server, room, message)["download_url"])


def told(server: Server, job: str) -> str:
    """The job's status."""
    return str(eventually(server, "GET", f"/status/{job}", SCHEDULER).read()["status"])


def eventually(server: Server, method: str, path: str, api: str = "chatkit/v6") -> Reply:
    """The answer, once the services are reachable again."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            reply = server.su().call(method, path, None, api)
        except ConnectionError:
            assert time.monotonic() < until
        else:
            if reply.status != 503 or time.monotonic() > until:
                return reply
        time.sleep(0.05)  # as clients do: nobody tells them
