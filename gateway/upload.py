"""A file on its way in: from a request's body into a stream to the media service, not faster than that takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import (
    SetAvatarRequest,
    SetAvatarResponse,
    UploadAttachmentRequest,
    UploadAttachmentResponse,
)

from services.common.errors import RoomlineError
from services.common.streams import answer_of

if TYPE_CHECKING:
    from gateway.request import Request

Step = TypeVar("Step", UploadAttachmentRequest, SetAvatarRequest)
Answer = TypeVar("Answer", UploadAttachmentResponse, SetAvatarResponse)

PIECE_BYTES = 256 * 1024
"""The largest message of an upload."""


async def upload(
    request: Request,
    method: grpc.aio.StreamUnaryMultiCallable[Step, Answer],
    first: Step,
    chunks: AsyncIterator[bytes],
) -> Answer:
    """Sends `first` and the chunks; returns when the service has stored them.

    A refusal ends it at once, however much the client still has to send. If the chunks raise, the service is told that
    the upload is off, and stores nothing.
    """
    call = method(metadata=request.metadata)
    answer = asyncio.ensure_future(answer_of(call))
    sending = asyncio.create_task(_send(call, first, chunks, request.limits.idle_seconds))
    try:
        await asyncio.wait((sending, answer), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
        async with asyncio.timeout(request.limits.finish_seconds):
            return await answer
    except TimeoutError:
        raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from None
    finally:
        sending.cancel()
        call.cancel()
        await asyncio.gather(sending, answer, return_exceptions=True)


def check_size(request: Request, besides: int = 0) -> None:
    """Raises FILE_TOO_LARGE if the announced size alone says so. `besides` is what a body may have beside its file."""
    limit = request.limits.file_bytes
    if (request.content_length or 0) > limit + besides:
        raise RoomlineError(ErrorReason.ERROR_REASON_FILE_TOO_LARGE, limit=limit)


async def _send(
    call: grpc.aio.StreamUnaryCall[Step, Answer], first: Step, chunks: AsyncIterator[bytes], idle_seconds: float
) -> None:
    try:
        await call.write(first)
        async for chunk in chunks:
            for start in range(0, len(chunk), PIECE_BYTES):
                piece = type(first)(chunk=chunk[start : start + PIECE_BYTES])
                async with asyncio.timeout(idle_seconds):
                    await call.write(piece)
        await call.done_writing()
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
        pass  # the call has ended: its answer says why
