"""Sending and editing with attachments: claim, then write (ADR 5)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import (
    ClaimAttachmentsRequest,
    ClaimAttachmentsResponse,
    UnclaimAttachmentsRequest,
)
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    EditMessageRequest,
    EditMessageResponse,
    SendMessageRequest,
    SendMessageResponse,
)

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.message.attachments import Attachments
from services.message.content import content_of, put_attachments
from services.message.releases import Releases
from services.message.store import (
    AttachmentStore,
    Claim,
    ClaimOutdatedError,
    Editable,
    Edited,
    MessageStore,
    RequestStore,
)

log = structlog.get_logger()

TRIES = 5
"""How often a claim is made anew, because what it was made for has changed meanwhile."""


class Claims:
    """Stores messages with attachments, whose parts it returns with the attachments' metadata."""

    def __init__(
        self,
        messages: MessageStore,
        store: AttachmentStore,
        requests: RequestStore,
        attachments: Attachments,
        releases: Releases,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._messages = messages
        self._store = store
        self._requests = requests
        self._attachments = attachments
        self._releases = releases
        self._clock = clock
        self._new_id = new_id

    async def send(self, caller: Caller, sender: str, request: SendMessageRequest, ids: list[str]) -> Message:
        """As `MessageStore.append`; `ids` are those of the request's parts. Raises ATTACHMENT_UNUSABLE too."""
        first = await self._requests.recall(caller, request, SendMessageResponse)
        if first is not None:
            first.message.MergeFrom(content_of(request))
            await self._attachments.fill(caller.instance_id, [first.message])
            return first.message
        request_id = request.request_id
        for _ in range(TRIES):
            room_uid = await self._store.room_to_send_to(caller, sender, request)
            claimed_at, uid = self._clock(), self._new_id()
            answer = await self._attachments.claim(
                caller.instance_id,
                ClaimAttachmentsRequest(
                    ids=ids,
                    room_uid=room_uid,
                    user_id=sender,
                    by_server=not caller.is_user,
                    message_uid=uid,
                    request_id=request_id or uid,  # so that the pipe repeats a claim whose reply was lost
                ),
            )
            try:
                async with self._taken_back_if_refused(caller.instance_id, answer):
                    message = await self._messages.append(
                        caller, sender, request, Claim(answer.message_uid, room_uid, claimed_at)
                    )
            except ClaimOutdatedError:
                request_id = ""  # the earlier claim with this id was another message's
                continue
            put_attachments([message], {attachment.id: attachment for attachment in answer.attachments})
            return message
        raise _busy()

    async def edit(self, caller: Caller, request: EditMessageRequest, ids: list[str]) -> Edited:
        """As `MessageStore.edit`; `ids` are those of the request's parts. Raises ATTACHMENT_UNUSABLE too."""
        first = await self._requests.recall(caller, request, EditMessageResponse)
        if first is not None:
            first.message.parts.extend(request.parts)
            await self._attachments.fill(caller.instance_id, [first.message])
            return Edited(first.message, None)
        for _ in range(TRIES):
            seen = await self._store.editable(caller, request)
            if seen.releasing:
                # The release of an attachment that is taken in again would end the new use as well.
                await self._releases.finish(seen.owner)
                continue
            attachments = await self._attachments.get(caller.instance_id, seen.attachment_ids.intersection(ids))
            claimed_at = self._clock()
            answer = await self._claim_more(caller, seen, ids)
            attachments.update((attachment.id, attachment) for attachment in answer.attachments)
            claim = Claim(seen.owner.uid, seen.room_uid, claimed_at, seen.version)
            try:
                async with self._taken_back_if_refused(caller.instance_id, answer):
                    edited = await self._messages.edit(caller, request, claim)
            except ClaimOutdatedError:
                continue
            put_attachments([edited.message], attachments)
            return edited
        raise _busy()

    async def _claim_more(self, caller: Caller, seen: Editable, ids: list[str]) -> ClaimAttachmentsResponse:
        """Claims those that the message has not yet."""
        more = [attachment_id for attachment_id in ids if attachment_id not in seen.attachment_ids]
        if not more:
            return ClaimAttachmentsResponse()
        return await self._attachments.claim(
            caller.instance_id,
            ClaimAttachmentsRequest(
                ids=more,
                room_uid=seen.room_uid,
                user_id=seen.sender,
                by_server=not caller.is_user,
                message_uid=seen.owner.uid,
            ),
        )

    @contextlib.asynccontextmanager
    async def _taken_back_if_refused(self, instance_id: str, claimed: ClaimAttachmentsResponse) -> AsyncIterator[None]:
        """For the writing of what was claimed for: if it certainly did not happen, the claim ends at once.

        Else the attachments could not be sent again until the media service asks after the claim.
        """
        try:
            yield
        except (RoomlineError, ClaimOutdatedError) as error:
            unknown = isinstance(error, RoomlineError) and error.reason == ErrorReason.ERROR_REASON_INTERNAL
            if claimed.claimed_at and not unknown:
                await self._take_back(instance_id, claimed)
            raise

    async def _take_back(self, instance_id: str, claimed: ClaimAttachmentsResponse) -> None:
        request = UnclaimAttachmentsRequest(
            ids=[attachment.id for attachment in claimed.attachments],
            message_uid=claimed.message_uid,
            claimed_at=claimed.claimed_at,
        )
        try:
            await self._attachments.unclaim(instance_id, request)
        except RoomlineError as error:  # then it ends by itself
            log.warning("claim_left", instance=instance_id, uid=claimed.message_uid, reason=error.message)


def _busy() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="message")
