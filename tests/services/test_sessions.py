"""Access tokens of accounts in every service, and how fast they end there (fault 9; chat API spec §1)."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import orjson
import pytest
from roomline.v1.access_service_pb2 import AssignRoleRequest
from roomline.v1.account_service_pb2 import (
    LoginRequest,
    LogoutRequest,
    RefreshRequest,
    RegisterRequest,
    UpdateProfileRequest,
)
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import ReserveAttachmentRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest, GetUserRequest

from services.common.errors import failure_of
from services.common.sqlite import Database
from services.message.server import build_server as build_message_server
from services.user.server import build_server as build_user_server
from services.user.sqlite_sessions import SqliteSessions
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, Metadata, running_cluster
from tests.support.refusals import refuses
from tests.support.transports import PIPE_AND_PLAIN

PASSWORD = "correct horse battery"
SOON_SECONDS = 2.0
"""How long a token may live on after its session."""


@pytest.fixture(params=PIPE_AND_PLAIN)
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, pipe=request.param, clock=ShiftedClock(), chat_api_instance="one") as running:
        await register(running, "ann@example.org")
        yield running


async def register(cluster: Cluster, email: str) -> str:
    request = RegisterRequest(first_name="Ann", email=email, password=PASSWORD)
    return (await cluster.accounts.Register(request)).account.user_id


class Session:
    """Somebody who is logged in."""

    def __init__(self, cluster: Cluster, access_token: str, refresh_token: str) -> None:
        self._cluster = cluster
        self.access_token = access_token
        self.refresh_token = refresh_token

    @classmethod
    async def start(cls, cluster: Cluster, email: str = "ann@example.org") -> Session:
        """Logs in."""
        pair = await cluster.accounts.Login(LoginRequest(email=email, password=PASSWORD))
        return cls(cluster, pair.access_token, pair.refresh_token)

    @property
    def metadata(self) -> Metadata:
        """The metadata of its calls."""
        return (("authorization", "Bearer " + self.access_token),)

    @property
    def user_id(self) -> str:
        """Who it is."""
        return self._claim("sub")

    @property
    def id(self) -> str:
        """The session's id."""
        return self._claim("sid")

    def _claim(self, name: str) -> str:
        payload = self.access_token.split(".")[1]
        return str(orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name])

    def calls(self) -> list[Callable[[], Awaitable[object]]]:
        """A call of each service, which needs a user."""
        cluster, metadata = self._cluster, self.metadata
        reserve = ReserveAttachmentRequest(name="a.txt", content_type="text/plain", content_length=1)
        return [
            lambda: cluster.users.GetUser(GetUserRequest(id=self.user_id), metadata=metadata),
            lambda: cluster.rooms.CreateRoom(CreateRoomRequest(name="a room"), metadata=metadata),
            lambda: cluster.media.ReserveAttachment(reserve, metadata=metadata),
        ]

    async def works(self) -> None:
        """Every service takes the token."""
        for call in self.calls():
            await call()

    async def ends_soon(self) -> None:
        """Every service refuses the token, in time."""
        deadline = time.monotonic() + SOON_SECONDS
        for call in self.calls():
            while True:
                try:
                    await call()
                except grpc.aio.AioRpcError as error:
                    assert failure_of(error).reason == ErrorReason.ERROR_REASON_SESSION_ENDED  # noqa: PT017
                    break
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)


async def test_an_account_acts_as_its_user_in_every_service(cluster: Cluster) -> None:
    session = await Session.start(cluster)
    await session.works()
    room = (await cluster.rooms.CreateRoom(CreateRoomRequest(name="mine"), metadata=session.metadata)).room
    assert room.created_by_id == session.user_id
    part = Part(type="text/plain", content="hello")
    await cluster.messages.SendMessage(SendMessageRequest(room_id=room.id, parts=[part]), metadata=session.metadata)
    # Its roles are those of any user: `context.roles` of the token counts for nothing.
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await cluster.users.DeleteUser(DeleteUserRequest(id=session.user_id), metadata=session.metadata)
    assign = AssignRoleRequest(user_id=session.user_id, role_name="admin")
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await cluster.access.AssignRole(assign, metadata=session.metadata)


async def test_tokens_of_both_dialects_meet_in_one_room(cluster: Cluster) -> None:
    await cluster.add_users("bob")
    session = await Session.start(cluster)
    request = CreateRoomRequest(name="ours", user_ids=["bob"])
    room = (await cluster.rooms.CreateRoom(request, metadata=session.metadata)).room
    part = Part(type="text/plain", content="hello")
    send = SendMessageRequest(room_id=room.id, parts=[part])
    for metadata in (session.metadata, cluster.as_user("bob"), cluster.as_user(session.user_id)):
        await cluster.messages.SendMessage(send, metadata=metadata)


async def test_an_instance_sees_no_accounts_of_another(cluster: Cluster) -> None:
    await cluster.add_instance("two")
    session = await Session.start(cluster)
    with refuses("USER_NOT_FOUND"):
        await cluster.users.GetUser(GetUserRequest(id=session.user_id), metadata=cluster.as_server(instance_id="two"))
    for call in (
        cluster.users.GetUser(GetUserRequest(id="x"), metadata=(*session.metadata, ("roomline-instance", "two"))),
        cluster.rooms.CreateRoom(
            CreateRoomRequest(name="x"), metadata=(*session.metadata, ("roomline-instance", "two"))
        ),
    ):
        with refuses("TOKEN_INVALID"):
            await call


async def test_a_logout_counts_in_every_service(cluster: Cluster) -> None:
    session, other = await Session.start(cluster), await Session.start(cluster)
    await asyncio.gather(session.works(), other.works())
    await cluster.accounts.Logout(LogoutRequest(), metadata=session.metadata)
    await session.ends_soon()
    await other.works()


async def test_a_token_that_nobody_has_seen_ends_too(cluster: Cluster) -> None:
    session = await Session.start(cluster)
    await cluster.accounts.Logout(LogoutRequest(), metadata=session.metadata)
    await session.ends_soon()


async def test_a_new_password_ends_the_other_sessions_in_every_service(cluster: Cluster) -> None:
    session, other = await Session.start(cluster), await Session.start(cluster)
    await other.works()
    change = UpdateProfileRequest(old_password=PASSWORD, new_password="another password")
    await cluster.accounts.UpdateProfile(change, metadata=session.metadata)
    await other.ends_soon()
    await session.works()


async def test_a_deleted_user_is_out_of_every_service(cluster: Cluster) -> None:
    session = await Session.start(cluster)
    await session.works()
    await cluster.users.DeleteUser(DeleteUserRequest(id=session.user_id), metadata=cluster.as_server())
    await session.ends_soon()


async def test_a_stolen_refresh_token_ends_its_session_in_every_service(cluster: Cluster) -> None:
    session = await Session.start(cluster)
    await session.works()
    request = RefreshRequest(refresh_token=session.refresh_token)
    await cluster.accounts.Refresh(request)
    assert isinstance(cluster.clock, ShiftedClock)
    cluster.clock.advance(60)
    with refuses("REFRESH_TOKEN_INVALID"):
        await cluster.accounts.Refresh(request)
    await session.ends_soon()


async def test_a_service_that_starts_later_knows_who_has_logged_out(cluster: Cluster) -> None:
    session, other = await Session.start(cluster), await Session.start(cluster)
    await cluster.accounts.Logout(LogoutRequest(), metadata=session.metadata)
    await cluster.message_server.stop()
    cluster.message_server = build_message_server(cluster.settings, cluster.clock)
    await cluster.message_server.start(cluster.settings.message_address)
    create = CreateRoomRequest(name="a room")
    with refuses("SESSION_ENDED"):
        await cluster.rooms.CreateRoom(create, metadata=session.metadata, wait_for_ready=True)
    await other.works()


async def test_what_ends_while_the_stream_is_down_has_ended_when_it_is_back(cluster: Cluster) -> None:
    session, other = await Session.start(cluster), await Session.start(cluster)
    await asyncio.gather(session.works(), other.works())
    await cluster.user_server.stop()
    store = Database(cluster.settings.data_dir / "user.db")
    await store.open()
    await SqliteSessions(store, cluster.clock).end("one", session.id)
    await store.close()
    cluster.user_server = build_user_server(cluster.settings, cluster.clock)
    await cluster.user_server.start(cluster.settings.user_address)
    create = CreateRoomRequest(name="a room")
    async with asyncio.timeout(30):
        while True:
            try:
                await cluster.rooms.CreateRoom(create, metadata=session.metadata)
            except grpc.aio.AioRpcError as error:
                assert failure_of(error).reason == ErrorReason.ERROR_REASON_SESSION_ENDED  # noqa: PT017
                break
    await cluster.rooms.CreateRoom(create, metadata=other.metadata)
