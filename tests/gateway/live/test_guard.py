"""What ends a subscription though nothing has happened in its room, with the real services (spec §2.2, §12.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.account_service_pb2 import LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest
from roomline.v1.instance_pb2 import InstanceKey
from roomline.v1.instance_service_pb2 import CreateKeyRequest, ResetInstanceRequest, RevokeKeyRequest
from roomline.v1.role_pb2 import ROLE_SCOPE_GLOBAL, Role
from roomline.v1.room_service_pb2 import CreateRoomRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from tests.gateway.client import Connection
from tests.gateway.live.house import ROOM, gateway_of, opened, token_of
from tests.gateway.live.stage import Socket, Stream, socket_at, subscribe_bytes
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster

NOTIFICATIONS = "/services/chatkit_push_notifications/v1/one/users/bob"
OTHER_SECRET = "a-secret-of-the-second-instance-key"


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def cluster(tmp_path: Path, clock: ShiftedClock) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, clock=clock, chat_api_instance="one") as running:
        await running.add_users("alice", "bob")
        await running.rooms.CreateRoom(
            CreateRoomRequest(id="the-room", name="a room", user_ids=["bob"]), metadata=running.as_server("alice")
        )
        yield running


@pytest.fixture
async def socket(cluster: Cluster) -> AsyncIterator[Socket]:
    async with gateway_of(cluster) as gateway, socket_at(gateway.port) as opened:
        yield opened


async def ended(socket: Socket, *numbers: int) -> dict[int, tuple[int, str]]:
    """Status and code with which the subscriptions end, all that comes till then left aside."""
    ends: dict[int, tuple[int, str]] = {}
    while set(ends) != set(numbers):
        frame: list[Any] = await socket.receive()
        if frame[0] == 199:
            ends[frame[1]] = (frame[2], frame[4]["error"])
    return ends


async def is_opened(socket: Socket, number: int, path: str, headers: dict[str, str]) -> bool:
    await socket.subscribe(number, path, headers)
    code: int = (await socket.receive())[0]
    return code == 101


async def test_a_revoked_key_ends_what_was_opened_with_it(cluster: Cluster, socket: Socket) -> None:
    request = CreateKeyRequest(instance_id="one", key=InstanceKey(id="other", secret=OTHER_SECRET))
    await cluster.instances.CreateKey(request, metadata=cluster.operator.metadata())
    revoked = token_of(cluster, key="other", secret=OTHER_SECRET)
    attempt = 100
    while not await is_opened(socket, attempt, ROOM, revoked):  # a new key has to reach every service
        attempt += 1
    presence = "/services/chatkit_presence/v2/one/users/bob/register"
    for number, path in enumerate([ROOM, "/services/chatkit/v7/one/users", presence]):
        await opened(socket, number, path, revoked)
        if number == 1:
            await socket.receive()  # initial_state
    await opened(socket, 9, ROOM, token_of(cluster))
    revoke = RevokeKeyRequest(instance_id="one", key_id="other")
    await cluster.instances.RevokeKey(revoke, metadata=cluster.operator.metadata())
    assert await ended(socket, 0, 1, 2, attempt) == dict.fromkeys(
        (0, 1, 2, attempt), (401, "authentication/jwt/invalid")
    )
    await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())
    assert await ended(socket, 9) == {9: (404, "services/chatkit/not_found/instance_reset")}


async def test_a_session_that_ends_takes_its_subscriptions_with_it(cluster: Cluster, socket: Socket) -> None:
    credentials = {"email": "carol@example.org", "password": "a long password"}
    await cluster.accounts.Register(RegisterRequest(first_name="Carol", **credentials))
    session = await cluster.accounts.Login(LoginRequest(**credentials))
    headers = {"Authorization": "Bearer " + session.access_token}
    await opened(socket, 0, "/services/chatkit/v6/one/users", headers)
    await cluster.accounts.Logout(LogoutRequest(), metadata=(("authorization", headers["Authorization"]),))
    assert await ended(socket, 0) == {0: (401, "authentication/session_ended")}


async def test_a_session_that_ends_later_than_the_token_does_so_too(
    cluster: Cluster, clock: ShiftedClock, socket: Socket
) -> None:
    credentials = {"email": "carol@example.org", "password": "a long password"}
    await cluster.accounts.Register(RegisterRequest(first_name="Carol", **credentials))
    session = await cluster.accounts.Login(LoginRequest(**credentials))
    headers = {"Authorization": "Bearer " + session.access_token}
    await opened(socket, 0, "/services/chatkit/v6/one/users", headers)
    clock.advance(session.expires_in + 1)
    fresh = await cluster.accounts.Refresh(RefreshRequest(refresh_token=session.refresh_token))
    await cluster.accounts.Logout(LogoutRequest(), metadata=(("authorization", "Bearer " + fresh.access_token),))
    assert await ended(socket, 0) == {0: (401, "authentication/session_ended")}


async def test_streams_over_http_end_with_their_key_too(cluster: Cluster) -> None:
    async with gateway_of(cluster) as gateway:
        connection = await Connection.open(gateway.port)
        connection.write(subscribe_bytes(ROOM, token_of(cluster)))
        assert (await connection.head())[0] == 200
        stream = Stream(connection)
        assert await stream.line() == [0, ""]
        revoke = RevokeKeyRequest(instance_id="one", key_id="key")
        await cluster.instances.RevokeKey(revoke, metadata=cluster.operator.metadata())
        code, status, _, body = await stream.line()
        assert (code, status, body["error"]) == (255, 401, "authentication/jwt/invalid")
        await stream.end()
        await connection.close()


async def test_a_token_that_expires_ends_nothing(
    cluster: Cluster, clock: ShiftedClock, socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.live.held_tokens.SWEEP_SECONDS", 0.01)
    short = token_of(cluster, seconds=60)
    await opened(socket, 1, ROOM, short)
    clock.advance(61)
    await socket.subscribe(2, ROOM, short)
    assert await ended(socket, 2) == {2: (401, "authentication/expired")}
    for number in range(3, 9):  # while its token is looked at
        await opened(socket, number, ROOM, token_of(cluster))
    request = RevokeKeyRequest(instance_id="one", key_id="key")
    await cluster.instances.RevokeKey(request, metadata=cluster.operator.metadata())
    assert (await ended(socket, *range(3, 9), 1))[1] == (401, "authentication/jwt/invalid")


async def test_a_reset_ends_everything_and_the_instance_goes_on(cluster: Cluster, socket: Socket) -> None:
    await opened(socket, 1, ROOM, token_of(cluster))
    await opened(socket, 2, ROOM + "/memberships", token_of(cluster))
    await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())
    ends = await ended(socket, 1, 2)
    assert {status for status, _ in ends.values()} == {404}
    await cluster.add_users("alice", "bob")
    await opened(socket, 3, "/services/chatkit/v6/one/users", token_of(cluster))
    frame = await socket.receive()
    assert frame[4]["data"]["rooms"] == []
    await cluster.rooms.CreateRoom(
        CreateRoomRequest(id="the-room", name="a room", user_ids=["bob"]), metadata=cluster.as_server("alice")
    )
    frame = await socket.receive()
    assert (frame[1], frame[4]["event_name"]) == (3, "added_to_room")


def as_server(cluster: Cluster, user_id: str = "") -> dict[str, str]:
    """The headers of a server, which may act as a user."""
    return {"Authorization": str(dict(cluster.as_server(user_id))["authorization"])}


async def test_what_servers_follow_for_a_user_ends_with_the_user(cluster: Cluster, socket: Socket) -> None:
    own = [
        NOTIFICATIONS,
        "/services/chatkit_cursors/v2/one/cursors/0/users/bob",
        "/services/chatkit_presence/v2/one/users/bob/register",
    ]
    server, acting = as_server(cluster), as_server(cluster, "bob")
    over = [*((path, server) for path in own), *((path, acting) for path in [*own, "/services/chatkit/v7/one/users"])]
    going_on = [(ROOM, acting), ("/services/chatkit_presence/v2/one/users/bob", server)]
    for number, (path, headers) in enumerate([*over, *going_on]):
        await socket.subscribe(number, path, headers)
    waiting = set(range(len(over) + len(going_on)))
    while waiting:
        frame = await socket.receive()
        assert frame[0] != 199
        if frame[0] == 101:
            waiting.remove(frame[1])
    await cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=cluster.as_server())
    ends = await ended(socket, *range(len(over)))  # and no others before
    assert set(ends.values()) == {(404, "services/chatkit/not_found/user_not_found")}


async def test_whoever_may_not_read_messages_is_not_notified_of_them(cluster: Cluster, socket: Socket) -> None:
    role = Role(name="writer", scope=ROLE_SCOPE_GLOBAL, permissions=["message:create", "user:rooms:get"])
    await cluster.access.CreateRole(CreateRoleRequest(role=role), metadata=cluster.as_server())
    assign = AssignRoleRequest(user_id="bob", role_name="writer")
    await cluster.access.AssignRole(assign, metadata=cluster.as_server())
    await socket.subscribe(0, NOTIFICATIONS, token_of(cluster))
    assert await ended(socket, 0) == {0: (401, "services/chatkit_authorizer/authorization/missing_permission")}
    await opened(socket, 1, NOTIFICATIONS, as_server(cluster))
