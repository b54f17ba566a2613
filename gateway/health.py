"""Whether the gateway can serve: it can if the services behind it do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2

from gateway.response import Response, json_response

if TYPE_CHECKING:
    from gateway.request import Request

CACHE_SECONDS = 1.0
CHECK_SECONDS = 1.0

_Check = Callable[..., Awaitable[health_pb2.HealthCheckResponse]]

_SERVING = health_pb2.HealthCheckResponse.SERVING


class Health:
    """GET `/healthz`: 200 if every service answers its health check, otherwise 503 with the names of those that do not.

    Takes plain channels: health checks are no part of the pipe. The answer is kept for a second, so that nobody can
    load the services with it.
    """

    def __init__(self, channels: Mapping[str, grpc.aio.Channel], now: Callable[[], float] = time.monotonic) -> None:
        self._checks = {name: _check_method(channel) for name, channel in channels.items()}
        self._now = now
        self._response = Response(503)
        self._expires = float("-inf")
        self._lock = asyncio.Lock()

    async def __call__(self, _request: Request) -> Response:
        """The answer; one check at a time."""
        async with self._lock:
            if self._now() >= self._expires:
                self._response = await self._check()
                self._expires = self._now() + CACHE_SECONDS
            return self._response

    async def _check(self) -> Response:
        states = await asyncio.gather(*(_serving(check) for check in self._checks.values()))
        missing = [name for name, serving in zip(self._checks, states, strict=True) if not serving]
        if missing:
            return json_response({"status": "unavailable", "services": missing}, 503)
        return json_response({"status": "ok"})


def _check_method(channel: grpc.aio.Channel) -> _Check:
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )


async def _serving(check: _Check) -> bool:
    try:
        answer = await check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == _SERVING)
