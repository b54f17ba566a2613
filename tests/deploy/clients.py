"""The clients of tests/wire, by way of nginx: over HTTP/2, and over HTTP/1.1 with TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Self

from tests.deploy.http2 import Http2Connection, Stream, connected
from tests.deploy.nginx import NAME, Nginx
from tests.support.server import Running
from tests.wire.client import V6, Reply, Server
from tests.wire.live.client import End, Event, Subscription, ended, event_of


class Front(Server):
    """The server behind nginx, over one connection of HTTP/2."""

    def __init__(self, running: Running, nginx: Nginx, source: str = "127.0.0.1") -> None:
        super().__init__(nginx.url, running.instance_locator, running.key, running.ca_file)
        self._connecting = connected(nginx.port, trusting(running, "h2"), NAME, source)

    def __enter__(self) -> Self:
        self.connection: Http2Connection = self._connecting.__enter__()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._connecting.__exit__(None, None, None)

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """One request with exactly this target."""
        return self.connection.call(method, target.encode("utf-8", "surrogateescape"), headers, body)

    def subscribe(
        self, path: str, user: str, *, api: str = V6, headers: Mapping[str, str] | None = None
    ) -> Http2Subscription:
        """Ask for a subscription as this user, on the one connection."""
        every = {"Authorization": f"Bearer {self.user_token(user)}", **(headers or {})}
        return Http2Subscription(self.connection.open("SUBSCRIBE", self.target(api, path), every))


class Http2Subscription(Subscription):
    """A stream of a connection that others share."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream.begin()
        if stream.status == 200:
            self.is_open = True
        else:
            reply = stream.reply()
            self.refused = ended(reply.status, dict(reply.headers), reply.json)

    def receive(self) -> Event | End:
        """See `Subscription`."""
        while True:
            line = json.loads(self._stream.line())
            if line[0] == 0:
                continue
            self.frames.append(line)
            kind, number, headers, body = line
            return event_of(number, headers, body) if kind == 1 else ended(number, headers, body)

    def heartbeat(self) -> str:
        """Wait for the next line, which must be a sign of life; return its text."""
        code, text = json.loads(self._stream.line())
        assert code == 0
        return str(text)

    def close(self) -> None:
        """Leave; all else on the connection goes on."""
        if not self._stream.is_over:
            self._stream.cancel()


def trusting(running: Running, protocol: str) -> ssl.SSLContext:
    """Trust the server's CA, and speak this protocol alone (`h2` or `http/1.1`)."""
    context = ssl.create_default_context(cafile=running.ca_file)
    context.set_alpn_protocols([protocol])
    return context
