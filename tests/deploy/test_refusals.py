"""What nginx says of its own accord, in the forms that clients can read."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.clients import Front, trusting
from tests.deploy.nginx import NAME, Nginx, running_nginx
from tests.support.ports import free_port
from tests.support.server import Running
from tests.wire.chat_api.client import Api, refused
from tests.wire.client import Server


@contextmanager
def alone(folder: Path, behind: Running, upstream: str) -> Iterator[Front]:
    """An nginx in front of something that is no gateway."""
    tls = behind.data_dir / "tls"
    with (
        running_nginx(folder, upstream, tls / "server.pem", tls / "server.key") as nginx,
        Front(behind, nginx) as server,
    ):
        yield server


def test_a_gateway_that_is_not_there(tmp_path: Path, behind: Running) -> None:
    with alone(tmp_path, behind, f"127.0.0.1:{free_port()}") as server:
        for reply in (server.su().get("/users"), server.su().post("/users", {})):
            reply.fails(503, "service_unavailable")
            assert reply.headers["Retry-After"] == "1"  # nothing was done: it may be repeated
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert refused(Api(server).get("users.list")) == (503, "unavailable")
        assert server.subscribe("/users", "alice").refuses(503, "service_unavailable")


def test_a_gateway_that_dies_in_between(tmp_path: Path, behind: Running) -> None:
    """What was asked for may have been done: SDKs must not repeat it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)

        dying = threading.Thread(target=hang_up, daemon=True)
        dying.start()
        with alone(tmp_path, behind, f"127.0.0.1:{listening.getsockname()[1]}") as server:
            reply = server.su().post("/users", {"id": "a", "name": "a"})
            reply.fails(503, "service_unavailable")
            assert "Retry-After" not in reply.headers
        dying.join()


@pytest.mark.parametrize("target", ["/%zz", "/../..", "nowhere"])
def test_a_path_that_is_none(server: Server, target: str) -> None:
    server.request("GET", target, {}, None).fails(400, "bad_request")


def test_the_places_of_refusals_are_no_secret_doors(server: Server) -> None:
    for name in ("refused", "unavailable"):
        server.request("GET", f"/.{name}", {}, None).fails(404, "bad_request")


def test_a_header_that_nobody_could_need(nginx: Nginx, behind: Running) -> None:
    with Server(nginx.url, behind.instance_locator, behind.key, behind.ca_file) as old:
        old.su().call("GET", "/users", headers={"X-Padding": "x" * 70_000}).fails(400, "bad_request")


def test_another_name_is_not_served(nginx: Nginx, behind: Running, front: Front) -> None:
    """Links in answers begin with the name that a client asked for."""
    tls = trusting(behind, "http/1.1")
    with socket.create_connection(("127.0.0.1", nginx.port)) as plain, pytest.raises(ssl.SSLError):
        tls.wrap_socket(plain, server_hostname="local.pusherplatform.io")
    with Server(nginx.url, behind.instance_locator, behind.key, behind.ca_file) as old, old.open_socket() as connection:
        assert old.netloc.startswith(NAME)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert connection.makefile("rb").readline() == b"HTTP/1.1 421 Misdirected Request\r\n"
    stream = front.connection.open("GET", "/healthz", {}, host="evil.example")
    stream.reply().fails(421, "misdirected_request")
