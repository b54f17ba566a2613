"""A black-box Chatkit client: exact bytes on the wire, tokens made by hand, nothing of the product's code."""

import base64
import hashlib
import hmac
import json
import re
import socket
import ssl
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from tests.wire import codes

V2 = "chatkit/v2"
V6 = "chatkit/v6"
V7 = "chatkit/v7"
CURSORS = "chatkit_cursors/v2"
AUTHORIZER = "chatkit_authorizer/v2"
SCHEDULER = "chatkit_scheduler/v1"

TIMEOUT_SECONDS = 15.0
TOKEN_SECONDS = 86_400

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""RFC 3339 in UTC, whole seconds, literal `Z` (spec §0 rule 1)."""


def fresh(prefix: str = "") -> str:
    """Make an id that no other test uses, so that order and leftovers do not matter."""
    return f"{prefix}{uuid.uuid4()}"


def path_of(*segments: str) -> str:
    """Join percent-encoded segments: `path_of("users", "a/b")` is `/users/a%2Fb`."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def pass_a_second() -> None:
    """Wait until a new timestamp differs from all earlier ones: the spec counts whole seconds."""
    time.sleep(1.05)


def inline(content: str = "hello", mime: str = "text/plain") -> dict[str, object]:
    """Make an inline message part."""
    return {"type": mime, "content": content}


def link(url: str = "https://pictures.example/pics/dog", mime: str = "image/png") -> dict[str, object]:
    """Make a link message part."""
    return {"type": mime, "url": url}


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: HTTPMessage = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)

    def read(self, status: int = 200) -> Any:
        """Check the status and that the body is JSON, and return the parsed body."""
        assert self.status == status
        assert self.headers.get_content_type() == "application/json"
        return self.json

    def done(self) -> None:
        """Check a `204`, which must not announce a body: `http.client` would not read it."""
        assert self.status == 204
        assert self.headers.get("Content-Length", "0") == "0"
        assert "Transfer-Encoding" not in self.headers

    def fails(self, status: int, code: str | None = None) -> str:
        """Check the status, the exact error body and, if given, the code; return the description."""
        error = self.read(status)
        assert isinstance(error, dict)
        assert set(error) == {"error", "error_description", "error_uri"}
        assert all(isinstance(value, str) for value in error.values())
        assert error["error_uri"] == f"https://docs.pusher.com/errors/{error['error']}"
        assert code is None or error["error"] == code
        return str(error["error_description"])

    def refuses(self, name: str, because: str = "") -> None:
        """Check a refused field (or an item of it) of the `chatkit` service: `required`, `invalid` or either."""
        description = self.fails(422, codes.VALIDATION_FAILED)
        assert re.search(rf"Field `{name}(\[\d+\])?` is {because}", description), description


class _ExactTarget:
    """Sends the request target as it is: `http.client` alone refuses raw UTF-8, which some SDKs send."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("utf-8", "surrogateescape")


class _Plain(_ExactTarget, HTTPConnection):
    """A plain connection."""


class _Secure(_ExactTarget, HTTPSConnection):
    """A TLS connection."""


def sign(claims: Mapping[str, object], secret: bytes, header: Mapping[str, object] | None = None) -> str:
    """Make a JWT with an HS256 signature, whatever its header says."""

    def encode(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    header = header or {"alg": "HS256", "typ": "JWT"}
    signed = b".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return (signed + b"." + encode(hmac.digest(secret, signed, hashlib.sha256))).decode()


class Server:
    """One instance of a server, reached over one keep-alive connection."""

    def __init__(self, url: str, locator: str, key: str, ca_file: Path | None = None) -> None:
        version, _cluster, self.instance = locator.split(":")
        assert version == "v1"
        self.locator = locator
        self.key_id, secret = key.split(":", 1)
        self.secret = secret.encode()
        address = urlsplit(url)
        self.netloc = address.netloc
        assert address.hostname is not None
        host, port, seconds = address.hostname, address.port, TIMEOUT_SECONDS
        self._tls = ssl.create_default_context(cafile=ca_file) if address.scheme == "https" else None
        self._connection: HTTPConnection = (
            _Secure(host, port, timeout=seconds, context=self._tls)
            if self._tls
            else _Plain(host, port, timeout=seconds)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """One request with exactly this target; repeated once if the idle connection had been closed."""
        is_new = self._connection.sock is None
        try:
            reply = self._exchange(method, target, headers, body)
        except ConnectionError:
            self._connection.close()
            if is_new:
                raise
            reply = self._exchange(method, target, headers, body)
        assert reply.status == 304 or not 300 <= reply.status < 400, "redirects break the SDKs (spec §1.3)"
        return reply

    def _exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        # The answer to a body that is too large may come before all of it is sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.endheaders(body)
        response = self._connection.getresponse()
        return Reply(response.status, response.headers, response.read())

    def open_socket(self, server_name: str | None = None) -> socket.socket:
        """Open another connection, for what `http.client` cannot say; over TLS the certificate must be for the name."""
        host, port = self._connection.host, self._connection.port
        connection = socket.create_connection((host, port), timeout=TIMEOUT_SECONDS)
        return self._tls.wrap_socket(connection, server_hostname=server_name or host) if self._tls else connection

    def target(self, api: str, path: str) -> str:
        """Place a path (with query) in this instance and a service such as `chatkit/v6`."""
        return f"/services/{api}/{self.instance}{path}"

    def token(self, **claims: object) -> str:
        """Make a valid token with these claims added; a claim that is None is left out."""
        now = int(time.time())
        usual = {"instance": self.instance, "iss": f"api_keys/{self.key_id}"}
        every = {**usual, "iat": now, "exp": now + TOKEN_SECONDS, **claims}
        return sign({name: value for name, value in every.items() if value is not None}, self.secret)

    def user_token(self, sub: str, **claims: object) -> str:
        """Make a user token (`U`)."""
        return self.token(sub=sub, **claims)

    def server_token(self, sub: str | None = None, **claims: object) -> str:
        """Make a superuser token (`SU`), acting as `sub` if given."""
        return self.token(sub=sub, su=True, **claims)

    def bearer(self, token: str) -> "Caller":
        """Act with this token."""
        return Caller(self, f"Bearer {token}")

    def user(self, sub: str) -> "Caller":
        """Act with a user token."""
        return self.bearer(self.user_token(sub))

    def su(self, sub: str | None = None) -> "Caller":
        """Act with a superuser token."""
        return self.bearer(self.server_token(sub))

    @property
    def nobody(self) -> "Caller":
        """A caller without a token."""
        return Caller(self, None)

    def new_user(self, user_id: str | None = None, **fields: object) -> str:
        """Create a user, named after its id, and return the id."""
        body = {"id": user_id or fresh("user-")}
        reply = self.su().post("/users", {**body, "name": body["id"], **fields})
        return str(reply.read(201)["id"])

    def new_room(self, creator: str, *members: str, **fields: object) -> str:
        """Create a room, public unless said otherwise, and return its id."""
        body = {"name": "a room", "user_ids": members, **fields}
        return str(self.su(creator).post("/rooms", body).read(201)["id"])

    def room(self, room: str) -> Any:
        """Read the room with a superuser token."""
        return self.su().get(path_of("rooms", room)).read()

    def rooms_of(self, user: str, query: str = "") -> dict[str, Any]:
        """Read the user's rooms, by id."""
        rooms = self.su().get(path_of("users", user, "rooms") + query).read()
        return {room["id"]: room for room in rooms}

    def send(self, room: str, sender: str, *parts: dict[str, object]) -> int:
        """Send a message of these parts (default: one text) and return its id."""
        body = {"parts": parts or [inline()]}
        return int(self.su(sender).post(path_of("rooms", room, "messages"), body).read(201)["message_id"])

    def send_text(self, room: str, sender: str, text: str, **attachment: object) -> int:
        """Send a message of the text dialect, with an attachment if its fields are given."""
        body = {"text": text, "attachment": attachment or None}
        reply = self.su(sender).post(path_of("rooms", room, "messages"), body, api=V2)
        return int(reply.read(201)["message_id"])

    def message(self, room: str, message: int, api: str = V6) -> Any:
        """Read the message in the dialect of this version."""
        return self.su().get(path_of("rooms", room, "messages", str(message)), api=api).read()

    def set_cursor(self, room: str, user: str, position: int) -> None:
        """Set the user's read cursor in the room."""
        path = path_of("cursors", "0", "rooms", room, "users", user)
        assert self.user(user).put(path, {"position": position}, api=CURSORS).status == 201


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the server with one value of the `Authorization` header, or none."""

    server: Server
    authorization: str | None

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        api: str = V6,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call a path (with query) of the instance. A body of bytes is sent as it is, None sends no body."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        every: dict[str, str] = {}
        if data is not None or method in {"POST", "PUT"}:
            every["Content-Length"] = str(len(data or b""))
        if data is not None:
            every["Content-Type"] = "application/json"
        if self.authorization is not None:
            every["Authorization"] = self.authorization
        target = self.server.target(api, path)
        return self.server.request(method, target, {**every, **(headers or {})}, data)

    def get(self, path: str, *, api: str = V6) -> Reply:
        """Send a GET."""
        return self.call("GET", path, None, api)

    def post(self, path: str, body: object = None, *, api: str = V6) -> Reply:
        """Send a POST."""
        return self.call("POST", path, body, api)

    def put(self, path: str, body: object = None, *, api: str = V6) -> Reply:
        """Send a PUT."""
        return self.call("PUT", path, body, api)

    def delete(self, path: str, *, api: str = V6) -> Reply:
        """Send a DELETE."""
        return self.call("DELETE", path, None, api)
