"""The limits of an instance (spec §12.2): the defaults of some, and all of them where an operator has changed them."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.server import Running
from tests.wire import codes
from tests.wire.client import Reply, Server, fresh, inline, path_of
from tests.wire.conftest import Target
from tests.wire.files import reserve
from tests.wire.live.client import Subscriber

LIMITS = {
    "message_bytes": 6000,
    "message_parts": 12,
    "custom_data_bytes": 20_000,
    "batch_users": 12,
    "room_members": 3,
    "room_name_characters": 200,
    "list_items": 120,
    "replayed_messages": 110,
    "user_id_characters": 60,
    "file_bytes": 50,
}


def administer(running: Running, *arguments: str) -> str:
    """What an operator does; there is no call for it."""
    command = [sys.executable, "-m", "services.cli", "instance", *arguments, "--data-dir", str(running.data_dir)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def other(dev_server: Running, target: Target) -> Iterator[Server]:
    """An instance with limits of its own, on a server whose operator we are."""
    if target.url != dev_server.http:
        pytest.skip("nobody but its operator can change the limits of an external server")
    name, key = fresh(), f"key:{fresh()}"
    administer(dev_server, "create", "--id", name, "--key", key)
    options = [word for limit, value in LIMITS.items() for word in ("--limit", f"{limit}={value}")]
    administer(dev_server, "update", name, *options)
    with Server(dev_server.http, f"v1:local:{name}", key) as server:
        yield server


@pytest.fixture(scope="module")
def owner(other: Server) -> str:
    """A user there."""
    return other.new_user()


def text(server: Server, user: str, room: str, *parts: str) -> Reply:
    body = {"parts": [inline(part) for part in parts]}
    return server.su(user).post(path_of("rooms", room, "messages"), body)


def batch(server: Server, count: int) -> Reply:
    return server.su().post("/batch_users", {"users": [{"id": fresh(), "name": "x"} for _ in range(count)]})


def test_bytes_of_a_message(other: Server, owner: str) -> None:
    room = other.new_room(owner)
    assert text(other, owner, room, "x" * 5990, "x" * 10).status == 201
    text(other, owner, room, "x" * 5990, "x" * 11).fails(422, codes.MESSAGE_TOO_LARGE)


def test_parts_of_a_message(other: Server, owner: str) -> None:
    room = other.new_room(owner)
    assert text(other, owner, room, *"x" * 12).status == 201
    text(other, owner, room, *"x" * 13).refuses("parts")


def test_custom_data(other: Server, owner: str) -> None:
    def update(size: int) -> Reply:
        return other.su().put(path_of("users", owner), {"custom_data": {"x": "x" * size}})

    update(19_000).done()
    update(20_001).refuses("custom_data")


def test_users_in_a_batch(other: Server, server: Server) -> None:
    assert batch(other, 12).status == 201
    batch(other, 13).refuses("users")
    assert batch(server, 10).status == 201
    batch(server, 11).refuses("users")


def test_users_added_and_removed_at_once(other: Server, owner: str) -> None:
    room = other.new_room(owner)
    nobody = [fresh() for _ in range(13)]
    path = path_of("rooms", room, "users", "remove")
    other.su().put(path, {"user_ids": nobody[:12]}).done()
    other.su().put(path, {"user_ids": nobody}).refuses("user_ids")


def test_members_of_a_room(other: Server, owner: str) -> None:
    users = [user["id"] for user in batch(other, 3).read(201)]
    room = other.new_room(owner, *users[:2])
    path = path_of("rooms", room, "users", "add")
    other.su().put(path, {"user_ids": users[2:]}).fails(403, f"{codes.FORBIDDEN}quota_exceeded")
    other.su().put(path_of("rooms", room, "users", "remove"), {"user_ids": users[:1]}).done()
    other.su().put(path, {"user_ids": users[2:]}).done()


@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}"])
def test_the_name_of_a_room(other: Server, owner: str, server: Server, alice: str, letter: str) -> None:
    for instance, creator, limit in ((other, owner, 200), (server, alice, 160)):
        room = instance.new_room(creator, name=letter * limit)
        assert instance.room(room)["name"] == letter * limit
        too_long = {"name": letter * (limit + 1)}
        instance.su(creator).post("/rooms", too_long).refuses("name", "invalid")
        instance.su().put(path_of("rooms", room), too_long).refuses("name", "invalid")


@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}"])
def test_the_id_of_a_user(other: Server, server: Server, letter: str) -> None:
    for instance, limit in ((other, 60), (server, 160)):
        user_id = (letter + fresh()).ljust(limit, letter)
        too_long = {"id": user_id + letter, "name": "x"}
        instance.su().post("/users", too_long).refuses("id", "invalid")
        both = {"users": [{"id": fresh(), "name": "x"}, too_long]}
        instance.su().post("/batch_users", both).refuses(r"users\[1\].id")
        assert instance.su().post("/users", {"id": user_id, "name": "x"}).read(201)["id"] == user_id


def test_users_in_a_list(other: Server) -> None:
    for _ in range(11):
        assert batch(other, 12).status == 201
    assert len(other.su().get("/users?limit=110").read()) == 110
    assert len(other.su().get("/users?limit=1000").read()) == 120
    assert len(other.su().get("/users").read()) == 20


def test_messages_in_a_list_and_when_resuming(other: Server, owner: str) -> None:
    room = other.new_room(owner)
    sent = [other.send(room, owner) for _ in range(125)]
    path = path_of("rooms", room)
    for query, count in (("?limit=110", 110), ("?limit=1000", 120), ("", 20)):
        found = other.su().get(f"{path}/messages{query}").read()
        assert [message["id"] for message in found] == sent[: -count - 1 : -1]
    websocket = Subscriber(other, "websocket")
    with websocket.user(f"{path}?message_limit=1000", owner) as stream:
        assert [stream.data("new_message")["id"] for _ in range(120)] == sent[-120:]
    with websocket.user(path, owner, headers={"Last-Event-Id": str(sent[0])}) as stream:
        assert [stream.data("new_message")["id"] for _ in range(110)] == sent[-110:]


def test_bytes_of_a_file(other: Server, owner: str) -> None:
    room = other.new_room(owner)
    reserve(other.su(owner), room, 50)
    body = {"content_type": "image/png", "content_length": 51, "name": "x"}
    other.su(owner).post(path_of("rooms", room, "attachments"), body).fails(413, codes.FILE_TOO_LARGE)
