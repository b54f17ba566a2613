"""Faults 3, 5, 7 and 8 through the gateway: foreign tokens, private rooms, forged cursors."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import grpc
import pytest
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import CreateInstanceRequest

from gateway.chatkit.routes import add_routes
from gateway.router import Handler, Router
from tests.faults.actors import Actor
from tests.faults.chatkit import Caller, Chatkit
from tests.support.cluster import SECRET, Cluster

CURSORS = "chatkit_cursors/v2"
TEXT = "chatkit/v2"
SAY = {"parts": [{"type": "text/plain", "content": "let me in"}]}

LEFT_OUT = ("chatkit_token_provider", "chatkit_files", "/attachments")
"""Paths that need no token, and those of the media service, which the cluster has not."""

ANYTHING = {"name": "x", "users": [{"id": "x", "name": "x"}], "user_ids": ["ann"], "position": 7, "text": "x", **SAY}
"""A body for every path."""

HIDDEN: list[tuple[str, str, Any]] = [
    ("GET", "/rooms/{room}", None),
    ("PUT", "/rooms/{room}", {"name": "mine"}),
    ("DELETE", "/rooms/{room}", None),
    ("PUT", "/rooms/{room}/users/add", {"user_ids": ["eve"]}),
    ("PUT", "/rooms/{room}/users/remove", {"user_ids": ["bob"]}),
    ("PUT", "/rooms/{room}/messages/1000000", SAY),
    ("DELETE", "/rooms/{room}/messages/1000000", None),
]
"""Where a private room is answered like none."""

CLOSED: list[tuple[str, str, str, Any]] = [
    ("chatkit/v6", "GET", "/rooms/{room}/messages", None),
    ("chatkit/v6", "GET", "/rooms/{room}/messages/1000000", None),
    ("chatkit/v6", "GET", "/rooms/{room}/messages/1", None),
    ("chatkit/v6", "POST", "/rooms/{room}/messages", SAY),
    (TEXT, "GET", "/rooms/{room}/messages", None),
    (TEXT, "POST", "/rooms/{room}/messages", {"text": "let me in"}),
    (CURSORS, "GET", "/cursors/0/rooms/{room}", None),
    (CURSORS, "GET", "/cursors/0/rooms/{room}/users/bob", None),
    (CURSORS, "GET", "/cursors/0/rooms/{room}/users/nobody", None),
    (CURSORS, "PUT", "/cursors/0/rooms/{room}/users/{user}", {"position": 7}),
]
"""Where a stranger is told that it is no member (spec §5.2)."""


class Recorder(Router):
    """Takes routes as the gateway's router does, and tells of them."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[tuple[str, str]] = []

    def add(self, method: str, pattern: str, handler: Handler, *, credentials: bool = False, head: bool = True) -> None:
        super().add(method, pattern, handler, credentials=credentials, head=head)
        if not any(part in pattern for part in LEFT_OUT):
            self.closed.append((method, pattern))


async def served_paths() -> list[tuple[str, str]]:
    """Every method and pattern that needs a token."""
    recorder = Recorder()
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        add_routes(recorder, channel, channel, channel)
    return recorder.closed


def api_and_path(pattern: str) -> tuple[str, str]:
    """Service with version, and the path below the instance, of things that are there."""
    filled = pattern.replace("{room_id}", "den").replace("{user_id}", "bob").replace("{message_id}", "1000000")
    api, _, path = filled.removeprefix("/services/").partition("/{instance_id}")
    return api, path


@pytest.fixture
async def den(server: Actor) -> None:
    """A private room with Bob in it, and Ann until a moment ago; and a public one."""
    await server.create_room("hall")
    await server.create_room("den", "ann", private=True)
    await server.send("den", "a secret")
    await server.set_cursor("den", "bob")
    await server.remove("den", "ann")


@pytest.mark.usefixtures("den")
async def test_foreign_tokens_are_refused_on_every_path(cluster: Cluster, chatkit: Chatkit) -> None:
    await cluster.add_instance("two")
    await cluster.add_users("bob", instance_id="two")
    answers = defaultdict(set)
    for method, pattern in await served_paths():
        api, path = api_and_path(pattern)
        for caller, instance_id in (
            (chatkit.server("bob", "two"), "one"),
            (chatkit.user("bob", "two"), "one"),
            (chatkit.server("bob", "one"), "two"),
            (chatkit.server("bob", "one"), "three"),
            (chatkit.server("bob", "three"), "three"),
        ):
            reply = await caller(
                method, path, ANYTHING if method in {"POST", "PUT"} else None, api=api, instance_id=instance_id
            )
            answers[reply.status, reply.body].add(f"{method} {api}{path}")
    assert len(answers) == 1, answers
    ((status, body),) = answers
    assert (status, b"authentication/jwt/invalid" in body) == (401, True)


async def test_a_request_for_nothing_needs_a_token_too(chatkit: Chatkit) -> None:
    """The gateway itself verifies no token, so all that it may answer by itself is that a body makes no sense."""
    caller = Caller(chatkit.port, "Bearer nonsense")
    for method, pattern in await served_paths():
        api, path = api_and_path(pattern)
        reply = await caller(method, path, {} if method in {"POST", "PUT"} else None, api=api)
        if method not in {"POST", "PUT"} or reply.status not in {400, 422}:
            assert reply.error == (401, "authentication/jwt/invalid"), pattern


@pytest.mark.usefixtures("den")
async def test_a_private_room_is_like_none(chatkit: Chatkit) -> None:
    answers = {
        (404, "services/chatkit/not_found/room_not_found"),
        (401, "services/chatkit_authorizer/authorization/missing_permission"),
    }
    for user in ("ann", "eve"):
        for method, path, body in HIDDEN:
            unknown = await chatkit.user(user)(method, path.format(room="nowhere"), body)
            private = await chatkit.user(user)(method, path.format(room="den"), body)
            assert private.error in answers, path
            assert (private.status, private.body) == (unknown.status, unknown.body), path


@pytest.mark.usefixtures("den")
async def test_a_private_room_is_closed(chatkit: Chatkit) -> None:
    for user in ("ann", "eve"):
        for api, method, path, body in CLOSED:
            refused = await chatkit.user(user)(method, path.format(room="den", user=user), body, api=api)
            assert refused.error == (403, f"services/{api.partition('/')[0]}/forbidden/not_a_member"), path
            assert b"secret" not in refused.body


@pytest.mark.usefixtures("den")
async def test_a_private_room_is_not_joined_and_not_listed(chatkit: Chatkit) -> None:
    for user in ("ann", "eve"):
        caller = chatkit.user(user)
        joined = await caller("POST", f"/users/{user}/rooms/den/join")
        assert joined.error == (403, "services/chatkit/forbidden/private_room")
        for path in ("/rooms", "/rooms?include_private=true", f"/users/{user}/rooms?joinable=true"):
            assert [room["id"] for room in (await caller("GET", path)).json] == ["hall"]
        assert (await caller("GET", f"/users/{user}/rooms")).json == []


@pytest.mark.usefixtures("den")
async def test_nobody_acts_as_another(chatkit: Chatkit) -> None:
    eve = chatkit.user("eve")
    refused = [
        await eve("PUT", "/cursors/0/rooms/den/users/bob", {"position": 1}, api=CURSORS),
        await eve("PUT", "/cursors/0/rooms/hall/users/bob", {"position": 1}, api=CURSORS),
        await eve("GET", "/cursors/0/users/bob", api=CURSORS),
        await eve("GET", "/users/bob/rooms"),
        await eve("GET", "/users/bob/rooms?joinable=true"),
        await eve("GET", "/users/nobody/rooms"),
        await eve("POST", "/users/bob/rooms/hall/join"),
        await eve("POST", "/users/bob/rooms/den/leave"),
    ]
    for reply in refused:
        assert reply.error == (401, "services/chatkit_authorizer/authorization/invalid_token_subject")
    assert len({reply.body for reply in refused}) == 1


async def test_the_token_provider_does_not_tell_instances_apart(cluster: Cluster, chatkit: Chatkit) -> None:
    request = CreateInstanceRequest(instance=Instance(id="without"), key=InstanceKey(id="key", secret=SECRET))
    await cluster.instances.CreateInstance(request, metadata=cluster.operator.metadata())
    answers = set()
    for instance_id in ("without", "unknown"):
        reply = await chatkit.user("bob")(
            "POST", "/token?user_id=bob", api="chatkit_token_provider/v1", instance_id=instance_id
        )
        answers.add((reply.status, reply.body))
    assert len(answers) == 1, answers
