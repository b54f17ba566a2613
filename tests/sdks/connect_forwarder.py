"""A loopback HTTPS proxy that sends every CONNECT tunnel to one address, whatever host was asked for.

The Python SDK only knows the fixed host of its cluster. With this as its proxy it reaches the server under
test and still checks the certificate against that host; neither DNS nor the hosts file is touched.
"""

import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

MAX_LINE = 8192
CHUNK = 65536
CONNECT_SECONDS = 10.0


@contextmanager
def connect_forwarder(target: tuple[str, int]) -> Iterator[str]:
    """Yield the proxy's URL, `http://127.0.0.1:port`, and close every tunnel at the end of the block."""
    with _Forwarder(target) as forwarder:
        thread = threading.Thread(target=forwarder.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{forwarder.server_address[1]}"
        finally:
            forwarder.shutdown()
            thread.join()


class _Forwarder(socketserver.ThreadingTCPServer):
    """Accepts proxy clients; each runs in a thread of its own, joined by `server_close`."""

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.target = target
        self.clients: set[socket.socket] = set()

    def server_close(self) -> None:
        for client in self.clients.copy():
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Tunnel(socketserver.StreamRequestHandler):
    """One proxy client: a CONNECT head, then bytes both ways."""

    # Unbuffered: nothing that belongs to the tunnel may be read along with the head.
    rbufsize = 0
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.forwarder = cast("_Forwarder", self.server)
        self.forwarder.clients.add(self.connection)

    def handle(self) -> None:
        with suppress(OSError):
            request = self.rfile.readline(MAX_LINE)
            while self.rfile.readline(MAX_LINE).strip():
                pass
            if not request.startswith(b"CONNECT "):
                self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(self.forwarder.target, CONNECT_SECONDS) as upstream:
                # Head and body come in two pieces, and the second would wait for the first's late acknowledgement.
                upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.wfile.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                _relay(self.connection, upstream)

    def finish(self) -> None:
        self.forwarder.clients.discard(self.connection)
        super().finish()


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until either side ends: no HTTPS client goes on after half a close."""
    with selectors.DefaultSelector() as readable:
        readable.register(one, selectors.EVENT_READ, (one, other))
        readable.register(other, selectors.EVENT_READ, (other, one))
        while True:
            for key, _ in readable.select():
                source, sink = key.data
                data = source.recv(CHUNK)
                if not data:
                    return
                # The SDK sends head and body in two pieces, and the second waits for the first's acknowledgement.
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                sink.sendall(data)
