"""Messages: posted, edited, unsent for everybody, removed for oneself (spec §4, §5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import GetAttachmentRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import (
    EditMessageRequest,
    GetMessageRequest,
    HideMessageRequest,
    SendMessageRequest,
    UnsendMessageRequest,
)
from roomline.v1.message_service_pb2_grpc import MessageServiceStub

from gateway.chat_api import parse, render
from gateway.chat_api.credentials import subject
from gateway.chat_api.endpoint import Kind
from gateway.chat_api.errors import BODY, EMPTY_MESSAGE, InputError
from gateway.problem import problem_of
from gateway.response import Response, json_response
from services.common.errors import RoomlineError
from services.common.file_headers import UNKNOWN_TYPE
from services.common.text_parts import TEXT_TYPE

if TYPE_CHECKING:
    import grpc
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub
    from roomline.v1.message_pb2 import Message
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from gateway.chat_api.people import Accounts
    from gateway.chat_api.routes import Routes
    from gateway.request import Request


class Chat:
    """`chat.*`."""

    def __init__(self, message: grpc.aio.Channel, media: grpc.aio.Channel, accounts: Accounts) -> None:
        self._messages: MessageServiceAsyncStub = MessageServiceStub(message)
        self._media: MediaServiceAsyncStub = MediaServiceStub(media)
        self._accounts = accounts

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("POST", "/chat.postMessage", self.post, Kind.PLAIN),
            ("POST", "/chat.update", self.update, Kind.PLAIN),
            ("POST", "/chat.remove", self.remove, Kind.PLAIN),
            ("POST", "/chat.unsend", self.unsend, Kind.PLAIN),
        ]

    async def post(self, request: Request) -> Response:
        """Answers with the message; a repeated post with the first one."""
        new = parse.new_message(await parse.body(request), request.header(b"idempotency-key"))
        me = subject(request)
        # Looked up first: nothing is posted that could not be answered.
        people, parts = await asyncio.gather(
            self._accounts.people(request, me, [me]), self._parts(request, new.text, new.attachments)
        )
        message = SendMessageRequest(
            room_uid=new.conversation,
            parts=parts,
            request_id=parse.request_id("post", new.conversation, new.key) if new.key else request.new_id(),
            reply_to=new.reply_to,
            expires_at=new.expires_at,
            expires_in=new.expires_in,
        )
        try:
            answer = await request.call(self._messages.SendMessage, message)
        except Exception as error:
            problem = problem_of(error)
            if problem.reason == ErrorReason.ERROR_REASON_FIELD_INVALID and problem.metadata.get("field") == "reply_to":
                raise RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND) from error
            raise
        return json_response(render.message(answer.message, people))

    async def update(self, request: Request) -> Response:
        """Replaces text, files or both; what the body leaves out stays."""
        mid = parse.query_uuid(request, "mid")
        change = parse.edit(await parse.body(request))
        me = subject(request)
        people, got = await asyncio.gather(
            self._accounts.people(request, me, [me]),
            request.call(self._messages.GetMessage, GetMessageRequest(uid=mid)),
        )
        parts = await self._changed(request, change, got.message)
        message = EditMessageRequest(uid=mid, parts=parts, request_id=request.new_id())
        edited = (await request.call(self._messages.EditMessage, message)).message
        if got.message.HasField("reply_to"):  # an edit does not touch it, and its answer leaves it out
            edited.reply_to = got.message.reply_to
        await self._accounts.learn(request, people, [edited.user_id])
        return json_response(render.message(edited, people))

    async def remove(self, request: Request) -> Response:
        """Out of the caller's own feed."""
        mid = parse.query_uuid(request, "mid")
        await request.call(self._messages.HideMessage, HideMessageRequest(uid=mid, request_id=request.new_id()))
        return json_response(render.ok(id=mid))

    async def unsend(self, request: Request) -> Response:
        """For everybody: what it said and its files are gone."""
        mid = parse.query_uuid(request, "mid")
        await request.call(self._messages.UnsendMessage, UnsendMessageRequest(uid=mid, request_id=request.new_id()))
        return json_response(render.ok(id=mid))

    async def _changed(self, request: Request, change: parse.Edit, old: Message) -> list[Part]:
        """The parts of an edited message."""
        kept = [part for part in old.parts if part.WhichOneof("body") == "attachment"]
        said = [part for part in old.parts if part.WhichOneof("body") != "attachment"]
        if change.text is not None:
            said = [Part(type=TEXT_TYPE, content=change.text)]
        if change.attachments is not None:
            kept = await self._parts(request, None, change.attachments)
        if not said and not kept:
            raise InputError(BODY, EMPTY_MESSAGE)
        return [*said, *kept]

    async def _parts(self, request: Request, text: str | None, attachments: list[str]) -> list[Part]:
        """The parts of a message of this API: its text, then its files."""
        said = [] if text is None else [Part(type=TEXT_TYPE, content=text)]
        return [*said, *await asyncio.gather(*(self._file(request, one) for one in attachments))]

    async def _file(self, request: Request, media_id: str) -> Part:
        """A part with its media type, which Chatkit's readers need: the one that was found in the bytes."""
        try:
            answer = await request.call(self._media.GetAttachment, GetAttachmentRequest(id=media_id))
        except Exception as error:
            if problem_of(error).reason == ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND:
                raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE) from error
            raise
        if not answer.attachment.HasField("uploaded_at"):
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE)
        media_type = render.media_type(answer.attachment) or UNKNOWN_TYPE
        return Part(type=media_type, attachment=Attachment(id=media_id))
