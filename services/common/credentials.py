"""What verifies the tokens of an instance: its keys and ended sessions, with flags and limits.

The user service owns them. Every other service keeps a copy: it watches for changes, so that a revoked key or
an ended session is refused at once, and asks for an instance that it does not know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import (
    GetCredentialsRequest,
    InstanceCredentials,
    WatchCredentialsRequest,
)

from services.common.ended_sessions import EndedSessions
from services.common.errors import failure_of, reraise

if TYPE_CHECKING:
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub

    from services.common.tokens import ServiceTokens

log = structlog.get_logger()

UNKNOWN_SECONDS = 1.0
"""How long an instance that is not there is taken as such, so that a flood of made-up ids asks once (fault 10)."""

RETRY_SECONDS = 0.5


class Credentials(Protocol):
    """Where a token verifier finds the keys of an instance."""

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        """The credentials now in force; None if there is no such instance."""

    def version(self, instance_id: str) -> int:
        """Changes whenever the instance's credentials do. What was verified under another version counts no longer."""

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        """Whether this session of an account has ended, so that its tokens count no longer."""


class CredentialsCopy:
    """A copy of the user service's credentials, kept current by `watch`. `now` is in seconds since the Unix epoch."""

    def __init__(
        self, stub: InstanceServiceAsyncStub, tokens: ServiceTokens, now: Callable[[], float] = time.time
    ) -> None:
        self._stub = stub
        self._tokens = tokens
        self._ended = EndedSessions(now)
        self._known: dict[str, InstanceCredentials] = {}
        self._versions: dict[str, int] = {}
        self._next_version = 1
        self._unknown: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[InstanceCredentials | None]] = {}

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        """See `Credentials`. Raises SERVICE_UNAVAILABLE if the user service must be asked and does not answer."""
        known = self._known.get(instance_id)
        if known is not None:
            return known
        now = asyncio.get_running_loop().time()
        if self._unknown.get(instance_id, 0.0) > now:
            return None
        asking = self._asking.get(instance_id)
        if asking is None:
            asking = asyncio.create_task(self._ask(instance_id))
            self._asking[instance_id] = asking
            asking.add_done_callback(lambda _: self._asking.pop(instance_id, None))
        return await asyncio.shield(asking)

    def version(self, instance_id: str) -> int:
        """See `Credentials`."""
        return self._versions.get(instance_id, 0)

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        """See `Credentials`."""
        return self._ended.has(instance_id, session_id)

    async def watch(self) -> None:
        """Keeps the copy current until cancelled; begins anew whenever the stream is lost."""
        while True:
            try:
                await self._watch_once()
            except grpc.aio.AioRpcError as error:
                log.warning("credentials_stream_lost", code=error.code().name, details=error.details())
            except Exception as error:  # a copy that nobody keeps current would take revoked keys for ever
                log.error("credentials_watch_failed", exc_info=error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _watch_once(self) -> None:
        seen: set[str] = set()
        snapshot = True
        stream = self._stub.WatchCredentials(
            WatchCredentialsRequest(), metadata=self._tokens.metadata(), wait_for_ready=True
        )
        async for change in stream:
            self._ended.add(change.ended_sessions)
            for credentials in change.changed:
                self._put(credentials)
                seen.add(credentials.instance.id)
            for instance_id in change.deleted_instance_ids:
                self._drop(instance_id)
            if change.complete and snapshot:
                snapshot = False
                for gone in self._known.keys() - seen:
                    self._drop(gone)

    async def _ask(self, instance_id: str) -> InstanceCredentials | None:
        before = self.version(instance_id)
        try:
            answer = await self._stub.GetCredentials(
                GetCredentialsRequest(instance_id=instance_id), metadata=self._tokens.metadata(), timeout=5
            )
        except grpc.aio.AioRpcError as error:
            reason = failure_of(error).reason
            if reason in (
                ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND,
                ErrorReason.ERROR_REASON_FIELD_INVALID,
            ):
                if self.version(instance_id) != before:
                    return self._known.get(instance_id)
                self._remember_unknown(instance_id)
                return None
            raise reraise(error) from error
        self._ended.add(answer.ended_sessions)
        if self.version(instance_id) != before:
            return self._known.get(instance_id)  # what the watch has brought meanwhile is newer than the answer
        self._put(answer.credentials)
        return answer.credentials

    def _remember_unknown(self, instance_id: str) -> None:
        if len(self._unknown) >= 10_000:
            self._unknown.clear()
        self._unknown[instance_id] = asyncio.get_running_loop().time() + UNKNOWN_SECONDS

    def _put(self, credentials: InstanceCredentials) -> None:
        instance_id = credentials.instance.id
        self._unknown.pop(instance_id, None)
        if self._known.get(instance_id) != credentials:  # a new stream says again what is known
            self._known[instance_id] = credentials
            self._bump(instance_id)

    def _drop(self, instance_id: str) -> None:
        self._known.pop(instance_id, None)
        self._bump(instance_id)

    def _bump(self, instance_id: str) -> None:
        self._versions[instance_id] = self._next_version
        self._next_version += 1
