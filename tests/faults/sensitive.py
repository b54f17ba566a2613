"""What a client of the gateway sends that is nobody else's business: accepted, refused, and broken on the way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from services.common.tokens import user_token
from tests.faults import lobby
from tests.faults.markers import Markers
from tests.gateway.client import Client, Connection, Reply
from tests.support.server import Running

TOKENS = "chatkit_token_provider/v1"
CURSORS = "chatkit_cursors/v2"
ABANDON_SECONDS = 0.1
"""How long a client waits that has not sent all of its request."""


class Site(NamedTuple):
    """A server of its own, and what must not be in its logs."""

    running: Running
    mark: Markers

    @property
    def port(self) -> int:
        """Where the gateway's plain listener is."""
        return urlsplit(self.running.http).port or 0

    def bearer(self, user_id: str = "", *, su: bool = False) -> str:
        """The authorization of a caller."""
        return self.mark.keep("a token", lobby.bearer(self.running, user_id, su=su))

    async def call(
        self, method: str, path: str, body: Any = None, *, api: str = "chatkit/v6", authorization: str = ""
    ) -> Reply:
        """Calls a path of the instance; as a server that acts as Bob, unless somebody else is named."""
        client = Client(self.port, authorization=authorization or self.bearer("bob", su=True))
        return await client.request(method, f"/services/{api}/{self.running.instance_id}{path}", body)


async def succeed(site: Site) -> None:
    """Does everything that the gateway offers."""
    mark = site.mark
    ann, room = mark("a user's id"), mark("a room's id")

    async def done(
        method: str, path: str, body: Any = None, *, api: str = "chatkit/v6", authorization: str = ""
    ) -> Any:
        reply = await site.call(method, path, body, api=api, authorization=authorization)
        assert reply.status < 300, (method, path, reply)
        return reply.json if reply.body else None

    await done("DELETE", "/resources")
    await done("POST", "/users", a_user(mark, "bob"))
    await done("POST", "/batch_users", {"users": [a_user(mark, ann), a_user(mark, mark("a user's id"))]})
    as_ann = site.bearer(ann)
    for path in (f"/users/{ann}", "/users", "/users_by_ids", f"/users_by_ids?id={ann}", f"/users_by_ids?id=['{ann}']"):
        await done("GET", path, authorization=as_ann)
    await done("PUT", f"/users/{ann}", a_user(mark, ann))

    title = {"push_notification_title_override": mark("a title")}
    described = {"name": mark("a room's name"), "custom_data": mark.data("a room"), **title}
    await done("POST", "/rooms", {"id": room, "private": True, "user_ids": [ann], **described})
    await done("PUT", f"/rooms/{room}", described)
    parts = [
        {"type": "text/plain", "content": mark("a message")},
        {"type": "application/json", "content": f'{{"a": "{mark("a part")}"}}'},
        {"type": f"text/{mark('a type')}", "url": mark.url("a part")},
    ]
    message_id = (await done("POST", f"/rooms/{room}/messages", {"parts": parts}))["message_id"]
    text = {"text": mark("a text"), "attachment": {"resource_link": mark.url("a link"), "type": "image"}}
    await done("POST", f"/rooms/{room}/messages", text, api="chatkit/v2", authorization=as_ann)
    for api in ("chatkit/v2", "chatkit/v6"):
        await done("GET", f"/rooms/{room}/messages", api=api, authorization=as_ann)
    await done("PUT", f"/rooms/{room}/messages/{message_id}", {"parts": parts[:1]})
    cursor = f"/cursors/0/rooms/{room}/users/{ann}"
    await done("PUT", cursor, {"position": message_id}, api=CURSORS, authorization=as_ann)
    await done("GET", cursor, api=CURSORS)
    await done("GET", f"/users/{ann}/rooms")
    await done("GET", f"/rooms?from_id={mark('a room that need not exist')}")
    await done("POST", f"/users/{ann}/rooms/{room}/leave", authorization=as_ann)
    await done("PUT", f"/rooms/{room}/users/add", {"user_ids": [ann]})

    provided = await done("POST", f"/token?user_id={ann}", b"grant_type=client_credentials", api=TOKENS)
    refresh_token = mark.keep("a refresh token", provided["refresh_token"])
    form = f"grant_type=refresh_token&refresh_token={refresh_token}".encode()
    provided = await done("POST", f"/token?user_id={ann}", form, api=TOKENS)
    mark.keep("a refresh token", provided["refresh_token"])
    await done("GET", "/users", authorization="Bearer " + mark.keep("a test token", provided["access_token"]))
    for path in (f"/rooms/{room}/messages/{message_id}", f"/rooms/{room}", f"/users/{ann}"):
        await done("DELETE", path)


def a_user(mark: Markers, user_id: str) -> dict[str, Any]:
    """A user to create or update."""
    custom_data, avatar_url = mark.data("a user"), mark.url("an avatar")
    return {"id": user_id, "name": mark("a user's name"), "avatar_url": avatar_url, "custom_data": custom_data}


async def be_refused(site: Site) -> None:
    """Sends what the gateway or the services refuse."""
    await _show_bad_tokens(site)
    mark = site.mark
    room, user = f"/rooms/{mark('a room')}", f"/users/{mark('a user')}"
    targets = [("POST", "/users"), ("POST", "/batch_users"), ("PUT", user), ("POST", "/rooms"), ("PUT", room)]
    targets += [("PUT", f"{room}/users/add"), ("POST", f"{room}/messages"), ("PUT", f"{room}/messages/1")]
    for body in _bad_bodies(mark):
        for method, path in targets:
            assert (await site.call(method, path, body)).status in range(400, 500)
        await site.call("POST", f"{room}/messages", body, api="chatkit/v2")
        await site.call("PUT", f"/cursors/0{room}{user}", body, api=CURSORS)
    for path in (user, f"{user}%ff", f"{user}%00", f"{user}+x", room, f"{room}/messages{user}", f"{room}/nowhere"):
        assert (await site.call("GET", path)).status in {404, 422}
    for query in ("limit", "from_ts"):
        assert (await site.call("GET", f"/users?{query}={mark('a value in a query')}")).status == 422
    for form in ("grant_type=refresh_token&refresh_token=", '{"user_id": "', "password="):
        body = (form + mark("a form")).encode()
        await site.call("POST", f"/token?user_id={mark('a user')}", body, api=TOKENS)


async def _show_bad_tokens(site: Site) -> None:
    mark = site.mark
    forged = user_token(site.running.instance_id, "key", mark("a key"), mark("a user"), 0, 2**40)
    cut = site.bearer(mark("a user"))[:-1]
    authorizations = [
        *(f"Basic {mark('a password')}", mark("a bare token"), f"Bearer {mark('a token')} {mark('two tokens')}"),
        *(f"Bearer {mark('a header')}.{mark('a payload')}.{mark('a signature')}", f"Bearer {mark('a token')}" * 500),
        *("Bearer " + mark.keep("a forged token", forged), mark.keep("a cut token", cut), f"Bearer é{mark('odd')}"),
    ]
    for authorization in authorizations:
        assert (await site.call("GET", "/users", authorization=authorization)).status == 401
        body = {"parts": [{"type": "text/plain", "content": mark("a message")}]}
        assert (await site.call("POST", "/rooms/x/messages", body, authorization=authorization)).status == 401
    for place in ("token", "access_token", "jwt", "authorization"):  # no route takes one from a query or a cookie
        headers = {"Cookie": f"{place}={mark('a cookie')}", "X-Api-Key": mark("a key"), "Referer": mark.url("a page")}
        users, nowhere = f"/services/chatkit/v6/{site.running.instance_id}/users", f"/nowhere/{mark('a path')}"
        for path, status in ((users, 401), (nowhere, 404), ("/healthz", 200)):
            target = f"{path}?{place}={mark(f'a token as {place}')}"
            assert (
                await Client(site.port, authorization=None).request("GET", target, headers=headers)
            ).status == status


def _bad_bodies(mark: Markers) -> list[Any]:
    """Bodies that no path takes."""
    text = mark("a bad body")
    raw = text.encode()
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {mark("a key far down"): deep}
    names = ("id", "name", "text", "parts", "users", "user_ids", "position")
    fields = dict.fromkeys(names, text)
    long = dict.fromkeys(("id", "name"), text * 100)
    file = {"type": text, "attachment": {"id": text}}
    return [
        *(raw, b'{"name": "' + raw, b'{"name": "\\ud800' + raw + b'"}', b'{"name": "\xff' + raw + b'"}', [text]),
        b'{"name": "' + raw * 100_000 + b'"}',
        *({name: {text: text} for name in names}, {name: [[text]] for name in names}),
        {**fields, "id": text + "\0", "custom_data": text},
        {**fields, "custom_data": deep, "user_ids": [mark("a user")] * 50, "parts": [{"type": text, "url": text}]},
        {**long, "custom_data": {text: 2**60}, "user_ids": [], "parts": [{"type": text, "content": text * 1000}]},
        {**long, "user_ids": [text * 100], "users": [fields, long], "parts": [file]},
    ]


async def break_http(site: Site) -> None:
    """Sends what is no HTTP, not all of a request, or no TLS."""
    text = site.mark("a broken request").encode()
    head = b"POST /services/chatkit/v6/x/users?q=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % (text, text)
    requests = [
        *(text + b"\r\n\r\n", b"GET /%s HTTP/9.9\r\n\r\n" % text, head + b"Broken %s\r\n\r\n" % text),
        *(head + b"Content-Length: %s\r\n\r\n" % text, head + b"X-Long: %s\r\n\r\n" % (text * 5000)),
        head + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n" % text,
        head + b'Content-Length: 1000\r\n\r\n{"name": "%s' % text,
        head + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        head + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: %s\r\n\r\n" % text,
    ]
    tls_port = urlsplit(site.running.https).port or 0
    tls = ssl.create_default_context(cafile=site.running.ca_file)
    for request in requests:
        for port, context in ((site.port, None), (tls_port, tls), (tls_port, None)):
            connection = await Connection.open(port, context)
            connection.write(request)
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(connection.reader.read(65536), ABANDON_SECONDS)
            connection.writer.transport.abort()
