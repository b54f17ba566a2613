"""A server of its own, which trusts the nginx in front of it as the shipped file says."""

from collections.abc import Iterator

import pytest

from tests.deploy.clients import Front
from tests.deploy.nginx import Nginx, find_nginx, running_nginx
from tests.support.server import Running, running_server
from tests.wire.client import Server, fresh


@pytest.fixture(scope="session")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run the server behind nginx."""
    find_nginx()  # no server is started for tests that are left out
    with running_server(tmp_path_factory.mktemp("behind"), env={"ROOMLINE_TRUSTED_PROXIES": "127.0.0.1/32"}) as running:
        yield running


@pytest.fixture(scope="session")
def nginx(behind: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Run nginx in front of it."""
    tls = behind.data_dir / "tls"
    upstream = behind.http.removeprefix("http://")
    with running_nginx(tmp_path_factory.mktemp("nginx"), upstream, tls / "server.pem", tls / "server.key") as running:
        yield running


@pytest.fixture
def front(behind: Running, nginx: Nginx) -> Iterator[Front]:
    """Call through nginx over HTTP/2."""
    with Front(behind, nginx) as server:
        yield server


@pytest.fixture(params=["http/2", "http/1.1"])
def server(request: pytest.FixtureRequest, behind: Running, nginx: Nginx) -> Iterator[Server]:
    """Call through nginx over this protocol."""
    old = Server(nginx.url, behind.instance_locator, behind.key, behind.ca_file)
    with Front(behind, nginx) if request.param == "http/2" else old as server:
        yield server


@pytest.fixture
def alice(front: Front) -> str:
    """Create a user."""
    return front.new_user(fresh("alice-"))


@pytest.fixture
def bob(front: Front) -> str:
    """Create another user."""
    return front.new_user(fresh("bob-"))


@pytest.fixture
def room(front: Front, alice: str, bob: str) -> str:
    """Create a room of both."""
    return front.new_room(alice, bob)
