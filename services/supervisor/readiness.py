"""Asks processes whether they are ready to serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health, health_pb2

from services.supervisor.child import Child
from services.supervisor.command_error import CommandError

READY_SECONDS = 60.0
POLL_SECONDS = 0.05
ANSWER_SECONDS = 2.0
HOPELESS_FAILURES = 5
"""A child that ends this often before it was ever ready will not get ready."""

Probe = Callable[[], Awaitable[bool]]
"""Whether a process serves right now."""

# A channel waits a second after its first failure by default, which would be most of the start-up time.
_RECONNECT_FAST = tuple((f"grpc.{name}_reconnect_backoff_ms", 50) for name in ("initial", "min", "max"))


def grpc_probe(address: str) -> Probe:
    """Asks a gRPC server's health service."""

    async def probe() -> bool:
        async with grpc.aio.insecure_channel(address, options=_RECONNECT_FAST) as channel:
            check = channel.unary_unary(
                f"/{health.SERVICE_NAME}/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            try:
                answer = await check(health_pb2.HealthCheckRequest(), timeout=ANSWER_SECONDS)
            except grpc.aio.AioRpcError:
                return False
            return answer.status == health_pb2.HealthCheckResponse.SERVING

    return probe


def http_probe(host: str, port: int, path: str) -> Probe:
    """Asks an HTTP server for a page that answers 200 when it is ready."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()

    async def ask() -> bool:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            return (await reader.readline()).split(b" ")[1:2] == [b"200"]
        finally:
            writer.close()

    async def probe() -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await ask()
        except (OSError, TimeoutError, ValueError):
            return False

    return probe


async def wait_until_ready(child: Child, probe: Probe, seconds: float = READY_SECONDS) -> None:
    """Returns once the child serves. Raises CommandError, with the end of its log, if it does not within the time."""
    serving = asyncio.ensure_future(wait_as_long_as_it_takes(child, probe))
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        while not serving.done():
            if child.failures >= HOPELESS_FAILURES:
                raise _not_ready(child, "keeps ending as soon as it is started")
            if asyncio.get_running_loop().time() > deadline:
                raise _not_ready(child, f"did not get ready within {seconds:.0f} seconds")
            await asyncio.wait({serving}, timeout=POLL_SECONDS)
    finally:
        serving.cancel()


async def wait_as_long_as_it_takes(child: Child, probe: Probe) -> None:
    """Returns once the child serves, however often it has to be restarted."""
    while not (child.pid and await probe()):  # noqa: ASYNC110 - another process does not set our events
        await asyncio.sleep(POLL_SECONDS)


def _not_ready(child: Child, what: str) -> CommandError:
    tail = "\n".join(f"  {line}" for line in child.tail) or "  (nothing)"
    return CommandError(
        f"the {child.name} process {what}", details=f"the end of the {child.name} process's log:\n{tail}"
    )
