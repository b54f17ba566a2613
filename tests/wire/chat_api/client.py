"""A black-box client of `/api/v1`: people with accounts, who call it over HTTP."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.wire.client import Reply, Server, fresh

NOBODY = "00000000-0000-0000-0000-000000000000"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PASSWORD = "correct horse battery"
NOT_ALLOWED = (403, "operation_not_allowed")
UNAUTHORIZED = (401, "Unauthorized")
BOUNDARY = "----a-boundary"

USER_KEYS = {"id", "first_name", "last_name", "email", "last_seen"}
CONVERSATION_KEYS = {
    *("id", "created_by", "conversation_type", "last_msg_text", "last_msg_uid"),
    *("archived", "joined_at", "unread_count", "participants"),
}
MESSAGE_KEYS = {
    *("id", "conversation_id", "created_by", "created_at", "unsent_at", "edited_at", "expires_at"),
    *("content", "attachments"),
}
MEDIA_KEYS = {"id", "link", "caption", "file_name"}


def refused(reply: Reply) -> tuple[int, str]:
    """Check the exact form of an error; return its status and text."""
    body = reply.read(reply.status)
    assert set(body) == {"ok", "error"}
    assert body["ok"] is False
    assert type(body["error"]) is str
    return reply.status, body["error"]


def refused_json(reply: Reply) -> str:
    """Check an error about the body; return the detail."""
    return _detail(reply, "Json deserialize error: ")


def refused_query(reply: Reply) -> str:
    """Check an error about the query; return the detail."""
    return _detail(reply, "Query deserialize error: ")


def _detail(reply: Reply, prefix: str) -> str:
    status, text = refused(reply)
    assert status == 400
    assert text.startswith(prefix)
    return text.removeprefix(prefix)


def done(reply: Reply, **fields: object) -> None:
    """Check an answer of the third shape that has these fields and no others."""
    assert reply.read() == {"ok": True, **fields}


def head(token: str) -> Any:
    """The header of a JWT."""
    return _jwt_part(token, 0)


def claims(token: str) -> Any:
    """The payload of a JWT."""
    return _jwt_part(token, 1)


def _jwt_part(token: str, number: int) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))


@dataclass(frozen=True)
class Part:
    """One part of a form."""

    data: bytes
    filename: str | None = "a b.png"
    field: str = "file"
    mime: str | None = "image/png"


def form(*parts: Part) -> bytes:
    """The body that a browser makes of `FormData`."""
    body = b""
    for part in parts:
        head = f'Content-Disposition: form-data; name="{part.field}"'
        if part.filename is not None:
            head += f'; filename="{part.filename}"'
        if part.mime is not None:
            head += f"\r\nContent-Type: {part.mime}"
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + part.data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


class Api:
    """The API, as somebody calls it who has this token, or none."""

    def __init__(self, server: Server, token: str | None = None) -> None:
        self.server = server
        self.token = token

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Reply:
        """Call a path below `/api/v1`. A body of bytes is sent as it is, None sends none."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        every: dict[str, str] = {}
        if data is not None or method == "POST":
            every["Content-Length"] = str(len(data or b""))
        if data is not None:
            every["Content-Type"] = "application/json"
        if self.token is not None:
            every["Authorization"] = f"Bearer {self.token}"
        target = f"/api/v1/{path}" + (f"?{urlencode(query)}" if query else "")
        return self.server.request(method, target, {**every, **(headers or {})}, data)

    def get(self, path: str, **query: object) -> Reply:
        """Send a GET."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: object = None, **query: object) -> Reply:
        """Send a POST."""
        return self.call("POST", path, body, query=query)

    def open(self, *users: str) -> Any:
        """Open the conversation with these users."""
        answer = self.post("conversations.open", {"users": list(users)}).read()
        assert set(answer) == {"ok", "conversation"}
        assert set(answer["conversation"]) == CONVERSATION_KEYS
        return answer["conversation"]

    def say(self, cid: str, text: str = "test", **fields: object) -> Any:
        """Post a text; return the message."""
        body = {"conversation_id": cid, "content": {"text": text}, **fields}
        return self.post("chat.postMessage", body).read()

    def show(self, cid: str, *files: str, **fields: object) -> Any:
        """Post files; return the message."""
        body = {"conversation_id": cid, "attachments": list(files), **fields}
        return self.post("chat.postMessage", body).read()

    def info(self, cid: str) -> Any:
        """The conversation, None for one that is not there."""
        answer = self.get("conversations.info", cid=cid).read()
        assert set(answer) == {"ok", "conversation"}
        return answer["conversation"]

    def replies(self, cid: str, **query: object) -> Any:
        """The messages of a conversation."""
        answer = self.get("conversations.replies", cid=cid, **query).read()
        assert type(answer) is list
        return answer

    def upload(self, *parts: Part, headers: Mapping[str, str] | None = None) -> Reply:
        """Upload a form."""
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.call("POST", "media/content", form(*parts), {**kind, **(headers or {})})

    def file(self, data: bytes, filename: str = "a b.png") -> str:
        """Upload one file; return its id."""
        (block,) = self.upload(Part(data, filename)).read()
        return str(block["id"])


class Person(Api):
    """Somebody with an account who has logged in."""

    def __init__(self, server: Server, email: str, refresh_token: str, access_token: str) -> None:
        super().__init__(server, access_token)
        self.email = email
        self.refresh_token = refresh_token
        self.id = str(claims(access_token)["sub"])
        """Id and `uid` of somebody who registered are the same; the API itself shows only the latter."""
        self.access_token = access_token


def register(server: Server, first_name: str = "Anna", last_name: str = "Smith", email: str | None = None) -> str:
    """Register with a server token, which may at any rate; return the e-mail address."""
    email = email or f"{fresh()}@example.org"
    body = {"first_name": first_name, "last_name": last_name, "email": email, "password": PASSWORD}
    done(Api(server, server.server_token()).post("auth/register", body))
    return email


def log_in(server: Server, email: str, password: str = PASSWORD) -> Person:
    """Log in."""
    answer = Api(server).post("auth/login", {"email": email, "password": password}).read()
    assert set(answer) == {"ok", "access_token", "refresh_token"}
    assert answer["ok"] is True
    return Person(server, email, answer["refresh_token"], answer["access_token"])


def person(server: Server, first_name: str = "Anna", last_name: str = "Smith") -> Person:
    """Somebody new."""
    return log_in(server, register(server, first_name, last_name))
