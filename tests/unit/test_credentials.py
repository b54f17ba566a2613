"""The copy of the user service's credentials, against a user service that answers when a test wants it to."""

# ruff: noqa: N802 - the signatures are gRPC's

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import (
    EndedSession,
    GetCredentialsRequest,
    GetCredentialsResponse,
    InstanceCredentials,
    WatchCredentialsRequest,
    WatchCredentialsResponse,
)
from roomline.v1.instance_service_pb2_grpc import (
    InstanceServiceServicer,
    InstanceServiceStub,
    add_InstanceServiceServicer_to_server,
)

from services.common import credentials
from services.common.credentials import CredentialsCopy
from services.common.ended_sessions import FIRST_SWEEP, MARGIN_SECONDS, EndedSessions
from services.common.errors import RoomlineError
from services.common.tokens import SERVICE_ISSUER, ServiceTokens

NOW = 1_560_000_000

Context = grpc.aio.ServicerContext[Any, Any]


def known(*keys: str) -> InstanceCredentials:
    return InstanceCredentials(instance=Instance(id="one"), keys=[InstanceKey(id=key, secret=key) for key in keys])


class UserService(InstanceServiceServicer):
    """A user service that says what it is told to."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[WatchCredentialsResponse] = asyncio.Queue()
        self.asked = asyncio.Event()
        self.answers: asyncio.Queue[InstanceCredentials | None] = asyncio.Queue()
        self.ended: list[EndedSession] = []

    async def GetCredentials(self, request: GetCredentialsRequest, context: Context) -> GetCredentialsResponse:
        self.asked.set()
        answer = await self.answers.get()
        if answer is None:
            error = RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND)
            await context.abort(error.code, error.message, error.trailing_metadata())
        return GetCredentialsResponse(credentials=answer, ended_sessions=self.ended)

    async def WatchCredentials(
        self, request: WatchCredentialsRequest, context: Context
    ) -> AsyncIterator[WatchCredentialsResponse]:
        while True:
            yield await self.news.get()


@pytest.fixture
async def user_service() -> UserService:
    return UserService()  # type: ignore[abstract]  # it serves what the copy calls


@pytest.fixture
async def channel(user_service: UserService) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    add_InstanceServiceServicer_to_server(user_service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


class Now:
    """A clock that fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures

    def __call__(self) -> float:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the clock stands still")
        return float(NOW)


@asynccontextmanager
async def watching(channel: grpc.aio.Channel, now: Now) -> AsyncIterator[CredentialsCopy]:
    """A copy that is being kept current."""
    tokens = ServiceTokens(SERVICE_ISSUER, "a secret that the services share", "message", now)
    copy = CredentialsCopy(InstanceServiceStub(channel), tokens, lambda: NOW)
    task = asyncio.create_task(copy.watch())
    try:
        yield copy
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def copy(channel: grpc.aio.Channel) -> AsyncIterator[CredentialsCopy]:
    async with watching(channel, Now()) as copy:
        yield copy


async def changed(copy: CredentialsCopy, before: int) -> None:
    """Waits until the copy has learnt something about the instance."""
    async with asyncio.timeout(10):
        while copy.version("one") == before:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


def ended(*names: str, instance_id: str = "one", tokens_end: int = NOW + 900) -> list[EndedSession]:
    return [EndedSession(instance_id=instance_id, id=name, tokens_end=Timestamp(seconds=tokens_end)) for name in names]


async def until_ended(copy: CredentialsCopy, session_id: str) -> None:
    """Waits until the copy has learnt that the session has ended."""
    async with asyncio.timeout(10):
        while not copy.is_ended("one", session_id):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("late", [known("revoked", "kept"), None], ids=["stale", "not found"])
async def test_a_late_answer_does_not_replace_what_the_watch_has_brought(
    user_service: UserService, copy: CredentialsCopy, late: InstanceCredentials | None
) -> None:
    asking = asyncio.create_task(copy.get("one"))
    await user_service.asked.wait()
    user_service.news.put_nowait(WatchCredentialsResponse(changed=[known("kept")]))
    await changed(copy, 0)
    version = copy.version("one")
    user_service.answers.put_nowait(late)
    assert await asking == known("kept")
    assert await copy.get("one") == known("kept")
    assert copy.version("one") == version


async def test_a_late_answer_does_not_bring_a_deleted_instance_back(
    user_service: UserService, copy: CredentialsCopy
) -> None:
    asking = asyncio.create_task(copy.get("one"))
    await user_service.asked.wait()
    user_service.news.put_nowait(WatchCredentialsResponse(deleted_instance_ids=["one"]))
    await changed(copy, 0)
    user_service.answers.put_nowait(known("kept"))
    assert await asking is None


async def test_an_answer_counts_if_there_is_no_news(user_service: UserService, copy: CredentialsCopy) -> None:
    user_service.answers.put_nowait(known("kept"))
    assert await copy.get("one") == known("kept")
    assert copy.version("one")
    assert await copy.get("one") == known("kept")


async def test_ended_sessions_come_by_the_watch_and_leave_the_version_alone(
    user_service: UserService, copy: CredentialsCopy
) -> None:
    user_service.news.put_nowait(WatchCredentialsResponse(changed=[known("kept")], complete=True))
    await changed(copy, 0)
    version = copy.version("one")
    assert not copy.is_ended("one", "s")
    user_service.news.put_nowait(WatchCredentialsResponse(ended_sessions=ended("s")))
    await until_ended(copy, "s")
    assert not copy.is_ended("two", "s")
    # What is known already, as a new stream says it again, changes nothing either.
    news = WatchCredentialsResponse(changed=[known("kept")], ended_sessions=ended("t"))
    user_service.news.put_nowait(news)
    await until_ended(copy, "t")
    assert copy.is_ended("one", "s")
    assert copy.version("one") == version


async def test_ended_sessions_come_with_an_answer_even_a_late_one(
    user_service: UserService, copy: CredentialsCopy
) -> None:
    user_service.ended = ended("s")
    asking = asyncio.create_task(copy.get("one"))
    await user_service.asked.wait()
    user_service.news.put_nowait(WatchCredentialsResponse(changed=[known("kept")], ended_sessions=ended("t")))
    await changed(copy, 0)
    user_service.answers.put_nowait(known("revoked"))
    assert await asking == known("kept")
    assert copy.is_ended("one", "s")
    assert copy.is_ended("one", "t")


def test_ended_sessions_are_remembered_as_long_as_their_tokens_and_not_much_longer() -> None:
    now = float(NOW)
    sessions = EndedSessions(lambda: now)
    sessions.add(ended(*map(str, range(FIRST_SWEEP))))
    now += 900
    sessions.add(ended("more", tokens_end=NOW + 1800))
    assert sessions.has("one", "0")  # the clock may be set back a little
    now += MARGIN_SECONDS
    sessions.add(ended(*(f"x{number}" for number in range(2 * FIRST_SWEEP)), tokens_end=NOW + 1800))
    assert not sessions.has("one", "0")
    assert sessions.has("one", "more")
    assert len(sessions._forget_after) == 2 * FIRST_SWEEP + 1


async def test_the_watch_survives_whatever_goes_wrong(
    user_service: UserService, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RETRY_SECONDS", 0.01)
    now = Now(failures=3)
    user_service.news.put_nowait(WatchCredentialsResponse(changed=[known("kept")], complete=True))
    async with watching(channel, now) as copy:
        await changed(copy, 0)
        assert now.failures == 0
        assert await copy.get("one") == known("kept")
