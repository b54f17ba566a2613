"""Calls that send a stream, from the caller's side."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

Request = TypeVar("Request")
T = TypeVar("T")


async def answer_of(call: grpc.aio.StreamUnaryCall[Request, T]) -> T:
    """The answer. A refusal is raised as the service gave it.

    If it comes while a message is on its way, grpc.aio can write INTERNAL over it before anybody who awaits the call is
    told; a callback sees what was there first.
    """
    told: list[grpc.aio.AioRpcError] = []
    call.add_done_callback(lambda ended: told.append(_status(ended)))
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        first = (status for status in told if status.code() not in {grpc.StatusCode.OK, grpc.StatusCode.INTERNAL})
        raise next(first, error) from None


def _status(ended: Any) -> grpc.aio.AioRpcError:
    trailing = _ready(ended.trailing_metadata())
    return grpc.aio.AioRpcError(_ready(ended.code()), grpc.aio.Metadata(), trailing, _ready(ended.details()))


def _ready(waiting: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        waiting.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    raise RuntimeError("it waits")
