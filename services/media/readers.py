"""Who may do what with an attachment: the message service knows rooms, members and messages, and is asked each time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import grpc
from roomline.v1.access_service_pb2 import CheckRequest, CheckResponse
from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.message_service_pb2 import CheckAttachmentUsesRequest, CheckAttachmentUsesResponse

from services.common.call import Caller
from services.common.errors import RoomlineError, reraise
from services.common.tokens import ServiceTokens
from services.media.store import AttachmentStore, OpenClaim, Stored, Use

if TYPE_CHECKING:
    from roomline.v1.access_service_pb2_grpc import AccessServiceAsyncStub
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub

AT_ONCE = 1000
"""Uses asked about in one call: what the contract takes."""
FIRST = 20
"""Uses of one attachment asked about first. Nearly always one of the newest will do, however many there are."""
SECONDS = 5


class Readers:
    """Every method raises SERVICE_UNAVAILABLE if the message service must be asked and does not answer."""

    def __init__(
        self,
        access: AccessServiceAsyncStub,
        messages: MessageServiceAsyncStub,
        store: AttachmentStore,
        tokens: ServiceTokens,
    ) -> None:
        self._access = access
        self._messages = messages
        self._store = store
        self._tokens = tokens

    async def require_permission(self, caller: Caller, permission: str, room_id: str) -> None:
        """Raises PERMISSION_MISSING for a user without it in the room, or anywhere for an empty id."""
        if caller.is_user and not (await self._check(caller, permission, room_id)).allowed:
            raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=permission)

    async def member_room(self, caller: Caller, room_id: str) -> str:
        """The uid of a room in which the caller may put files. Raises ROOM_NOT_FOUND, and for users NOT_A_MEMBER."""
        answer = await self._check(caller, "file:create", room_id)
        if not answer.HasField("room_uid"):
            raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
        if caller.is_user and not answer.member:
            raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
        return answer.room_uid

    async def readable_room(self, caller: Caller, room_id: str) -> str:
        """The uid of a room that the caller may read. Raises ROOM_NOT_FOUND, and for users NOT_A_MEMBER."""
        answer = await self._check(caller, "file:get", room_id)
        if not answer.HasField("room_uid"):
            raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
        if caller.is_user and not answer.readable:
            raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
        return answer.room_uid

    async def room_id(self, caller: Caller, field: str, uid: str) -> str | None:  # noqa: ARG002 - it is `room_uid`
        """The id of the room with this uid, as `Names` promises: None for one that the caller may not read."""
        user_id = caller.user_id if caller.is_user else ""
        answer = await self._ask(caller, CheckRequest(user_id=user_id, permission="file:get", room_uid=uid))
        return answer.room_id if answer.readable else None

    async def require_readable(self, caller: Caller, stored: Stored, *, members_only: bool = False) -> None:
        """Raises ATTACHMENT_NOT_FOUND unless the caller uploaded it, is a server, or can read a message that has it.

        With `members_only` a message of a public room counts for its members alone.
        """
        if not caller.is_user or stored.attachment.user_id == caller.user_id:
            return
        instance_id, attachment_id, last, size = stored.instance_id, stored.attachment.id, "", FIRST
        while message_uids := await self._store.uses(instance_id, attachment_id, last, size):
            uses = [Use(instance_id, message_uid, attachment_id) for message_uid in message_uids]
            if await self.live(uses, caller.user_id, members_only=members_only):
                return
            last, size = message_uids[-1], AT_ONCE
        raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)

    async def live_attachments(self, uses: Sequence[Use], user_id: str = "") -> set[str]:
        """The attachments with a use that is live (see there); the newest of each is asked about first."""
        newest = {use.attachment_id: use for use in sorted(uses)}
        found = {use.attachment_id for use in await self.live(list(newest.values()), user_id)}
        others = [use for use in uses if use.attachment_id not in found and use != newest[use.attachment_id]]
        return found.union(use.attachment_id for use in await self.live(others, user_id))

    async def live(self, uses: Sequence[Use], user_id: str = "", *, members_only: bool = False) -> set[Use]:
        """Those, all of one instance, whose messages exist, and which the user, if any, can read."""
        pieces = (uses[start : start + AT_ONCE] for start in range(0, len(uses), AT_ONCE))
        return {use for piece in pieces for use in await self._live(piece, user_id, members_only=members_only)}

    async def outcomes(self, claims: Sequence[OpenClaim]) -> tuple[list[Use], list[Use]]:
        """Of at most `AT_ONCE` claims of one instance those whose messages exist, and those that came to nothing.

        The others are to be released: their messages, or rooms, were there and are deleted.
        """
        room_uids = dict.fromkeys(claim.room_uid for claim in claims)
        answer = await self._check_uses([claim.use for claim in claims], room_uids=room_uids)
        live, releasing = (
            {(use.message_uid, use.attachment_id) for use in uses} for uses in (answer.uses, answer.releasing)
        )
        over = [
            claim.use
            for claim in claims
            if claim.use[1:] not in releasing and claim.room_uid not in answer.releasing_room_uids
        ]
        return [use for use in over if use[1:] in live], [use for use in over if use[1:] not in live]

    async def _live(self, uses: Sequence[Use], user_id: str, *, members_only: bool) -> set[Use]:
        answer = await self._check_uses(uses, user_id, members_only=members_only)
        return {Use(uses[0].instance_id, use.message_uid, use.attachment_id) for use in answer.uses}

    async def _check_uses(
        self, uses: Sequence[Use], user_id: str = "", room_uids: Iterable[str] = (), *, members_only: bool = False
    ) -> CheckAttachmentUsesResponse:
        request = CheckAttachmentUsesRequest(user_id=user_id, room_uids=room_uids, members_only=members_only)
        request.uses.extend(AttachmentUse(message_uid=use.message_uid, attachment_id=use.attachment_id) for use in uses)
        metadata = self._tokens.metadata(uses[0].instance_id)
        try:
            return await self._messages.CheckAttachmentUses(request, metadata=metadata, timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            raise reraise(error) from error

    async def _check(self, caller: Caller, permission: str, room_id: str) -> CheckResponse:
        user_id = caller.user_id if caller.is_user else ""
        return await self._ask(caller, CheckRequest(user_id=user_id, permission=permission, room_id=room_id))

    async def _ask(self, caller: Caller, request: CheckRequest) -> CheckResponse:
        try:
            return await self._access.Check(
                request, metadata=self._tokens.metadata(caller.instance_id), timeout=SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise reraise(error) from error
