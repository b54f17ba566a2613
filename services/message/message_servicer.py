"""MessageService: see proto/roomline/v1/message_service.proto."""

from collections.abc import Sequence

from roomline.v1 import message_service_pb2 as pb
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2_grpc import MessageServiceServicer

from services.common import limits, pagination
from services.common.call import Caller, current_caller
from services.common.errors import RoomlineError
from services.common.interceptors import Context
from services.common.rules import invalid, required
from services.common.server import not_served
from services.message.store import MessageStore

PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
PAGE_BYTES = 8 * 1024 * 1024


class MessageServicer(MessageServiceServicer):
    """Sends, reads, edits and deletes messages."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        caller = current_caller()
        sender = caller.actor(request.user_id)
        if request.HasField("expires_at"):  # nobody must rely on what does not happen yet
            raise invalid("expires_at", "not served yet")
        _check_parts(caller, request.parts)
        limits.check_custom_data(caller, request)
        return pb.SendMessageResponse(message=await self._store.append(caller, sender, request))

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        message = await self._store.get(current_caller(), request.room_id, request.id)
        return pb.GetMessageResponse(message=message)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        size = pagination.page_size(request.page_size, default=PAGE_SIZE, maximum=MAX_PAGE_SIZE)
        if request.page_token:
            (last_id,) = pagination.decode_page_token(request.page_token, int)
            if request.order == pb.MessageOrder.MESSAGE_ORDER_OLDEST_FIRST:
                request.after_id = last_id
            else:
                request.before_id = last_id
        messages = await self._store.page(current_caller(), request, size + 1)
        fitting = _fitting(messages[:size])
        more = len(messages) > fitting
        del messages[fitting:]
        token = pagination.encode_page_token(messages[-1].id) if more else ""
        return pb.ListMessagesResponse(messages=messages, next_page_token=token)

    async def EditMessage(self, request: pb.EditMessageRequest, context: Context) -> pb.EditMessageResponse:
        caller = current_caller()
        caller.actor(request.user_id)
        _check_parts(caller, request.parts)
        return pb.EditMessageResponse(message=await self._store.edit(caller, request))

    async def DeleteMessage(self, request: pb.DeleteMessageRequest, context: Context) -> pb.DeleteMessageResponse:
        caller = current_caller()
        if caller.is_user and not request.room_id:
            raise required("room_id")
        return await self._store.delete(caller, request)

    @not_served
    async def HideMessage(self, request: pb.HideMessageRequest, context: Context) -> pb.HideMessageResponse:
        raise NotImplementedError

    @not_served
    async def UnsendMessage(self, request: pb.UnsendMessageRequest, context: Context) -> pb.UnsendMessageResponse:
        raise NotImplementedError

    @not_served
    async def CheckAttachmentUses(
        self, request: pb.CheckAttachmentUsesRequest, context: Context
    ) -> pb.CheckAttachmentUsesResponse:
        raise NotImplementedError


def _fitting(messages: Sequence[Message]) -> int:
    """How many of the messages fit into one answer; at least one."""
    size = 0
    for count, message in enumerate(messages):
        size += message.ByteSize()
        if size > PAGE_BYTES and count:
            return count
    return len(messages)


def _check_parts(caller: Caller, parts: Sequence[Part]) -> None:
    """Checks what field rules cannot say: spec §5.3."""
    if len(parts) > caller.limits.message_parts:
        raise invalid("parts", f"at most {caller.limits.message_parts} items")
    size = 0
    for index, part in enumerate(parts):
        kind = part.WhichOneof("body")
        if kind is None:
            raise invalid(f"parts[{index}]", "one of content, url and attachment")
        if kind == "content":
            size += len(part.content.encode())
        elif kind == "attachment":
            # Nothing can be reserved until the media service serves attachments, so no id is a valid one.
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE)
    limits.check_message_size(caller, size)
