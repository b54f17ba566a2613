"""Attachments and files as clients of the dialect handle them (spec §6)."""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.wire.client import TIMEOUT_SECONDS, Caller, Reply, Server, path_of

FILES = "chatkit_files/v1"
BOUNDARY = "----a-boundary"
DATA = bytes(range(256)) * 4
"""Every byte."""
STORE = os.environ.get("ROOMLINE_WIRE_STORE", "")
"""The object store from which clients download directly, if they do."""


@dataclass(frozen=True)
class Reserved:
    """A reservation."""

    id: str
    upload_url: str

    @property
    def part(self) -> dict[str, object]:
        """An attachment part, as it is sent."""
        return self.part_of("application/octet-stream")

    def part_of(self, mime: str) -> dict[str, object]:
        """An attachment part of this type."""
        return {"type": mime, "attachment": {"id": self.id}}


def reserve(caller: Caller, room: str, size: int = len(DATA), **fields: object) -> Reserved:
    """Reserve an attachment, by default of octets and without a name."""
    body = {"content_type": "application/octet-stream", "content_length": size, **fields}
    answer = caller.post(path_of("rooms", room, "attachments"), body).read(201)
    assert set(answer) == {"attachment_id", "upload_url"}
    assert all(type(value) is str and value for value in answer.values())
    return Reserved(answer["attachment_id"], answer["upload_url"])


def at(
    server: Server, url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """Use a URL that the server gave, as it stands and without a token."""
    address = urlsplit(url)
    assert address.scheme in {"http", "https"}
    if STORE and method in {"GET", "HEAD"} and address.netloc == urlsplit(STORE).netloc:
        return _straight_from_the_store(url, method, headers or {})
    assert address.netloc == server.netloc
    every = {**({} if body is None else {"Content-Length": str(len(body))}), **(headers or {})}
    return server.request(method, f"{address.path}?{address.query}", every, body)


def _straight_from_the_store(url: str, method: str, headers: Mapping[str, str]) -> Reply:
    address = urlsplit(url)
    with closing(HTTPConnection(address.netloc, timeout=TIMEOUT_SECONDS)) as connection:
        connection.request(method, f"{address.path}?{address.query}", headers=dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())


def upload(server: Server, url: str, data: bytes = DATA, headers: Mapping[str, str] | None = None) -> None:
    """Put the bytes where they were announced."""
    assert at(server, url, "PUT", data, headers).status == 200


def attach(server: Server, room: str, user: str, data: bytes = DATA, **fields: Any) -> Reserved:
    """Reserve and upload."""
    reserved = reserve(server.su(user), room, len(data), **fields)
    upload(server, reserved.upload_url, data)
    return reserved


def attachment_of(server: Server, room: str, message: int, index: int = 0) -> Any:
    """Read the attachment in a part of a message."""
    return server.message(room, message)["parts"][index]["attachment"]


def form(data: bytes, mime: str | None, field: str = "file", filename: str = "blob") -> bytes:
    """Make the body that a browser makes of `FormData` with one file."""
    head = f'Content-Disposition: form-data; name="{field}"; filename="{filename}"\r\n'
    if mime is not None:
        head += f"Content-Type: {mime}\r\n"
    return f"--{BOUNDARY}\r\n{head}\r\n".encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def post_form(caller: Caller, room: str, user: str, name: str, body: bytes, boundary: str = BOUNDARY) -> Reply:
    """Post a form to the v2 file service."""
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return caller.call("POST", path_of("rooms", room, "users", user, "files", name), body, FILES, headers)


def post_file(server: Server, room: str, user: str, name: str, data: bytes = DATA, mime: str | None = None) -> Any:
    """Upload a v2 file as its user; the answer goes into a message as it is."""
    reply = post_form(server.user(user), room, user, name, form(data, mime))
    assert reply.status in {200, 201}
    assert set(reply.json) == {"resource_link", "type"}
    return reply.json
