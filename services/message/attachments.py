"""What the message service has of the media service: claims, releases, and the metadata of attachments in parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import grpc
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import (
    BatchGetAttachmentsRequest,
    ClaimAttachmentsRequest,
    ClaimAttachmentsResponse,
    ReleaseAttachmentsRequest,
    UnclaimAttachmentsRequest,
)
from roomline.v1.message_pb2 import Message

from services.common.errors import RoomlineError, failure_of, reraise
from services.common.tokens import ServiceTokens
from services.message.content import attachment_ids, put_attachments

if TYPE_CHECKING:
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub

AT_ONCE = 200
"""Attachments asked for in one call: with the largest names, captions and custom data they still fit an answer."""
SECONDS = 5
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class Attachments:
    """Every method raises SERVICE_UNAVAILABLE if the media service is away or does not answer in time."""

    def __init__(self, stub: MediaServiceAsyncStub, tokens: ServiceTokens) -> None:
        self._stub = stub
        self._tokens = tokens

    async def claim(self, instance_id: str, request: ClaimAttachmentsRequest) -> ClaimAttachmentsResponse:
        """Ties attachments to a message. Raises ATTACHMENT_UNUSABLE."""
        metadata = self._tokens.metadata(instance_id)
        try:
            return await self._stub.ClaimAttachments(request, metadata=metadata, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error

    async def unclaim(self, instance_id: str, request: UnclaimAttachmentsRequest) -> None:
        """Takes back a claim."""
        metadata = self._tokens.metadata(instance_id)
        try:
            await self._stub.UnclaimAttachments(request, metadata=metadata, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error

    async def release(self, instance_id: str, request: ReleaseAttachmentsRequest) -> None:
        """Ends uses."""
        metadata = self._tokens.metadata(instance_id)
        try:
            await self._stub.ReleaseAttachments(request, metadata=metadata, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error

    async def get(self, instance_id: str, ids: Collection[str]) -> dict[str, Attachment]:
        """The attachments, by id; unknown ones are left out. No ids, no call; at most `AT_ONCE`."""
        if not ids:
            return {}
        request, metadata = BatchGetAttachmentsRequest(ids=ids), self._tokens.metadata(instance_id)
        try:
            answer = await self._stub.BatchGetAttachments(request, metadata=metadata, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error
        return {attachment.id: attachment for attachment in answer.attachments}

    async def fill(self, instance_id: str, messages: Sequence[Message], max_bytes: int | None = None) -> int:
        """Puts the metadata into parts that have an attachment; one that is unknown keeps its id only.

        Returns how many of the messages are filled: all, or as many as fit into the bytes, and at least one.
        """
        filled = size = 0
        while filled < len(messages):
            count, ids = _group(messages, filled)
            group = messages[filled : filled + count]
            put_attachments(group, await self.get(instance_id, ids))
            for message in group:
                size += message.ByteSize()
                if max_bytes is not None and size > max_bytes and filled:
                    return filled
                filled += 1
        return filled


def _group(messages: Sequence[Message], start: int) -> tuple[int, set[str]]:
    """How many messages from `start` on have at most `AT_ONCE` attachments together, and which those are."""
    ids: set[str] = set()
    for index in range(start, len(messages)):
        more = ids.union(attachment_ids(messages[index].parts))
        if len(more) > AT_ONCE:
            return index - start, ids
        ids = more
    return len(messages) - start, ids


def _refusal(error: grpc.aio.AioRpcError) -> RoomlineError:
    """Whatever keeps the media service from answering is one thing to our caller: nothing happened, try again."""
    if failure_of(error).code in _AWAY:
        return RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="media")
    return reraise(error)
