"""A small HTTP client that sends exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import orjson

INSTANCE = "the-instance"
PREFIX = f"/services/chatkit/v6/{INSTANCE}"
TEXT_PREFIX = f"/services/chatkit/v2/{INSTANCE}"
V7_PREFIX = f"/services/chatkit/v7/{INSTANCE}"
CURSORS_PREFIX = f"/services/chatkit_cursors/v2/{INSTANCE}"
ROOTS = (
    *(b"/services", b"//services", b"/healthz", b"/nowhere", b"/attachments", b"/api", b"//api", b"/.well-known"),
    *(b"/openapi.json", b"/docs"),
)
PROVIDER_PREFIX = f"/services/chatkit_token_provider/v1/{INSTANCE}"


@dataclass
class Reply:
    """What the gateway answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and code of an error, whose form is checked."""
        body = self.json
        assert set(body) == {"error", "error_description", "error_uri"}
        assert all(isinstance(value, str) for value in body.values())
        assert body["error_uri"].endswith(body["error"])
        assert "no-store" in self.headers["cache-control"]
        assert "access-control-allow-origin" in self.headers
        return self.status, body["error"]

    @property
    def description(self) -> str:
        return str(self.json["error_description"])


class Connection:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Self:
        name = "localhost" if tls else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next status line and headers."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return int(first.split(" ")[1]), headers

    async def reply(self, *, has_body: bool = True) -> Reply:
        status, headers = await self.head()
        length = int(headers.get("content-length", 0)) if has_body else 0
        return Reply(status, headers, await self.reader.readexactly(length))

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Client:
    """Sends one request per connection."""

    port: int
    tls: ssl.SSLContext | None = None
    authorization: str | None = "Bearer the-token"

    async def request(
        self, method: str, target: str | bytes, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """`body` is bytes, or anything else as JSON; a target that begins with "/" and no service is below PREFIX."""
        raw_target = target if isinstance(target, bytes) else target.encode()
        if not raw_target.startswith(ROOTS):
            raw_target = PREFIX.encode() + raw_target
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        every = {"Host": "localhost", "Content-Length": str(len(data)), **(headers or {})}
        if self.authorization is not None:
            every.setdefault("Authorization", self.authorization)
        lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
        connection = await Connection.open(self.port, self.tls)
        try:
            connection.write(method.encode() + b" " + raw_target + b" HTTP/1.1\r\n" + lines.encode() + b"\r\n" + data)
            return await connection.reply(has_body=method != "HEAD")
        finally:
            await connection.close()

    async def get(self, target: str | bytes) -> Reply:
        return await self.request("GET", target)

    async def post(self, target: str | bytes, body: Any = None) -> Reply:
        return await self.request("POST", target, body)

    async def put(self, target: str | bytes, body: Any = None) -> Reply:
        return await self.request("PUT", target, body)

    async def delete(self, target: str | bytes) -> Reply:
        return await self.request("DELETE", target)
