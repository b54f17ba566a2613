"""MessageService: see proto/roomline/v1/message_service.proto."""

from roomline.v1 import message_service_pb2 as pb
from roomline.v1.message_service_pb2_grpc import MessageServiceServicer

from services.common import limits, pagination
from services.common.call import current_caller
from services.common.interceptors import Context
from services.common.rules import required
from services.message.attachments import Attachments
from services.message.claims import Claims
from services.message.content import check_parts
from services.message.conversation_store import RemovalStore
from services.message.releases import Releases
from services.message.store import PAGE_BYTES, AttachmentStore, MessageStore

PAGE_SIZE = 20
MAX_PAGE_SIZE = 1000


class MessageServicer(MessageServiceServicer):
    """Sends, reads, edits and deletes messages."""

    def __init__(
        self,
        messages: MessageStore,
        removals: RemovalStore,
        store: AttachmentStore,
        attachments: Attachments,
        claims: Claims,
        releases: Releases,
    ) -> None:
        self._messages = messages
        self._removals = removals
        self._store = store
        self._attachments = attachments
        self._claims = claims
        self._releases = releases

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        caller = current_caller()
        sender = caller.actor(request.user_id)
        attached = check_parts(caller.limits, request.parts)
        limits.check_custom_data(caller, request)
        if attached:
            return pb.SendMessageResponse(message=await self._claims.send(caller, sender, request, attached))
        return pb.SendMessageResponse(message=await self._messages.append(caller, sender, request))

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        caller = current_caller()
        message = await self._messages.get(caller, request.room_id, request.id, request.uid)
        await self._attachments.fill(caller.instance_id, [message])
        return pb.GetMessageResponse(message=message)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        caller = current_caller()
        most = min(MAX_PAGE_SIZE, caller.limits.list_items) if request.limited else MAX_PAGE_SIZE
        size = pagination.page_size(request.page_size, default=PAGE_SIZE, maximum=most)
        if request.page_token:
            (last_id,) = pagination.decode_page_token(request.page_token, int)
            if request.order == pb.MessageOrder.MESSAGE_ORDER_OLDEST_FIRST:
                request.after_id = last_id
            else:
                request.before_id = last_id
        page = await self._messages.page(caller, request, size + 1)
        fitting = await self._attachments.fill(caller.instance_id, page.messages[:size], PAGE_BYTES)
        if len(page.messages) > fitting:
            del page.messages[fitting:]
            page.next_page_token = pagination.encode_page_token(page.messages[-1].id)
        return page

    async def EditMessage(self, request: pb.EditMessageRequest, context: Context) -> pb.EditMessageResponse:
        caller = current_caller()
        caller.actor(request.user_id)
        attached = check_parts(caller.limits, request.parts)
        if attached:
            edited = await self._claims.edit(caller, request, attached)
        else:
            edited = await self._messages.edit(caller, request)
        if edited.released is not None:
            await self._releases.finish_soon(edited.released)
        return pb.EditMessageResponse(message=edited.message)

    async def DeleteMessage(self, request: pb.DeleteMessageRequest, context: Context) -> pb.DeleteMessageResponse:
        caller = current_caller()
        if caller.is_user and not request.room_id:
            raise required("room_id")
        released = await self._messages.delete(caller, request)
        if released is not None:
            await self._releases.finish_soon(released)
        return pb.DeleteMessageResponse()

    async def CheckAttachmentUses(
        self, request: pb.CheckAttachmentUsesRequest, context: Context
    ) -> pb.CheckAttachmentUsesResponse:
        instance_id = current_caller().instance_id
        live = await self._store.live_uses(
            instance_id, request.uses, request.user_id, members_only=request.members_only
        )
        held = {(use.message_uid, use.attachment_id) for use in live}
        others = [use for use in request.uses if (use.message_uid, use.attachment_id) not in held]
        # Asked for afterwards: of what goes in between, either is true.
        releasing, room_uids = await self._store.releasing(instance_id, others, request.room_uids)
        return pb.CheckAttachmentUsesResponse(uses=live, releasing=releasing, releasing_room_uids=room_uids)

    async def HideMessage(self, request: pb.HideMessageRequest, context: Context) -> pb.HideMessageResponse:
        caller = current_caller()
        return await self._removals.hide(caller, caller.actor(), request)

    async def UnsendMessage(self, request: pb.UnsendMessageRequest, context: Context) -> pb.UnsendMessageResponse:
        released = await self._removals.unsend(current_caller(), request)
        if released is not None:
            await self._releases.finish_soon(released)
        return pb.UnsendMessageResponse()
