"""What subscriptions need in a process, wired once."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import grpc
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub
from roomline.v1.presence_service_pb2_grpc import PresenceServiceStub

from gateway.live.guard import Guard
from gateway.live.held_tokens import HeldTokens
from gateway.live.hub import Hub
from gateway.live.own_calls import OwnCalls
from gateway.live.presence import Presence
from gateway.live.user_feeds import UserFeeds
from gateway.live.user_stream import Prepare
from gateway.live.user_streams import UserStreams
from services.common.credentials import CredentialsCopy
from services.common.ids import MICROSECONDS, Clock, wall_clock
from services.common.service import background
from services.common.settings import Settings
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier


class Live:
    """Follows the services, on channels to them, for the time of the block: `async with live:`."""

    def __init__(
        self, settings: Settings, user: grpc.aio.Channel, message: grpc.aio.Channel, clock: Clock = wall_clock
    ) -> None:
        def seconds() -> float:
            return clock() / MICROSECONDS

        secret = settings.service_secret.get_secret_value()
        tokens = ServiceTokens(SERVICE_ISSUER, secret, "gateway", seconds)
        self._credentials = CredentialsCopy(InstanceServiceStub(user), tokens, seconds)
        self._hub = Hub(EventServiceStub(message), tokens)
        # Nobody outside has a token of a process.
        self.tokens = HeldTokens(TokenVerifier(self._credentials, "", "", seconds))
        self.guard = Guard(self.tokens, self._hub)
        self.own = OwnCalls(user, message, tokens, settings.call_timeout_seconds)
        self.feeds = UserFeeds(message, self.own)
        self.presence = Presence(
            PresenceServiceStub(user),
            tokens,
            grace_seconds=settings.presence_grace_seconds,
            open_seconds=settings.call_timeout_seconds,
        )
        self._events, self._service_tokens = EventServiceStub(message), tokens
        self._user_streams: list[UserStreams] = []
        self._started = AsyncExitStack()

    def user_streams(self, instance_id: str, prepare: Prepare) -> UserStreams:
        """Streams of what happens to users of the instance."""
        streams = UserStreams(instance_id, self._events, self._service_tokens, prepare)
        self._user_streams.append(streams)
        return streams

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            started.push_async_callback(self._hub.close)
            started.push_async_callback(self.presence.close)
            await started.enter_async_context(background(self._credentials.watch))
            await started.enter_async_context(background(self.tokens.run))
            for streams in self._user_streams:
                started.push_async_callback(streams.close)
            self._started = started.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._started.aclose()
