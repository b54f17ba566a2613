"""The server under test: the one that `ROOMLINE_WIRE_URL` names, else the session's own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import Running
from tests.wire.client import Server, fresh


@dataclass(frozen=True)
class Target:
    """Where the server under test is."""

    url: str
    https_url: str | None
    locator: str
    key: str
    ca_file: Path | None

    def connect(self, url: str) -> Server:
        """Make a client of the server at one of its URLs."""
        return Server(url, self.locator, self.key, self.ca_file)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    url = os.environ.get("ROOMLINE_WIRE_URL")
    if url is not None:
        ca_file = os.environ.get("ROOMLINE_WIRE_CA")
        return Target(
            url=url,
            https_url=url if url.startswith("https:") else None,
            locator=os.environ["ROOMLINE_WIRE_LOCATOR"],
            key=os.environ["ROOMLINE_WIRE_KEY"],
            ca_file=None if ca_file is None else Path(ca_file),
        )
    running: Running = request.getfixturevalue("dev_server")
    return Target(running.http, running.https, running.instance_locator, running.key, running.ca_file)


@pytest.fixture(scope="session")
def server(target: Target) -> Iterator[Server]:
    with target.connect(target.url) as server:
        yield server


@pytest.fixture
def alice(server: Server) -> str:
    """Create a user."""
    return server.new_user(fresh("alice-"))


@pytest.fixture
def bob(server: Server) -> str:
    """Create another user."""
    return server.new_user(fresh("bob-"))


@pytest.fixture
def room(server: Server, alice: str) -> str:
    """Create a public room of Alice's, with her alone in it."""
    return server.new_room(alice)


@pytest.fixture
def private_room(server: Server, alice: str) -> str:
    """Create a private room of Alice's, with her alone in it."""
    return server.new_room(alice, private=True)
