"""The CONNECT forwarder by itself: what it passes on, what it refuses, how it ends."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.sdks.connect_forwarder import connect_forwarder

CONNECT = b"CONNECT local.pusherplatform.io:443 HTTP/1.1\r\nHost: local.pusherplatform.io:443\r\n\r\n"


class _Shout(socketserver.StreamRequestHandler):
    """Answers each line in upper case."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


@pytest.fixture
def target() -> Iterator[tuple[str, int]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Shout) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield ("127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def dial(proxy: str) -> socket.socket:
    url = urlsplit(proxy)
    return socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=5)


def test_a_tunnel_reaches_the_target_whatever_host_is_named(target: tuple[str, int]) -> None:
    with connect_forwarder(target) as proxy, dial(proxy) as client:
        client.sendall(CONNECT)
        assert client.recv(1024).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"hello\n")
        assert client.recv(1024) == b"HELLO\n"


def test_other_methods_are_refused(target: tuple[str, int]) -> None:
    with connect_forwarder(target) as proxy, dial(proxy) as client:
        client.sendall(b"GET http://localhost/ HTTP/1.1\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.1 405 ")


def test_an_open_tunnel_ends_with_the_forwarder(target: tuple[str, int]) -> None:
    with connect_forwarder(target) as proxy:
        client = dial(proxy)
        client.sendall(CONNECT)
        assert client.recv(1024).startswith(b"HTTP/1.1 200 ")
    with client:
        assert client.recv(1024) == b""
