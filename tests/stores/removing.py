"""Hiding, unsending and expiring messages in the tests of the stores, and what is seen of them."""

from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    HideMessageRequest,
    ListMessagesRequest,
    MessageOrder,
    SendMessageRequest,
    UnsendMessageRequest,
)

from services.common.call import Caller
from services.common.ids import MICROSECONDS
from services.message.store import Claim, Owner
from tests.stores.conftest import SERVER, Stores, file, text, user

DAY = 86400


async def hide(stores: Stores, user_id: str, message: Message, request_id: str = "") -> None:
    """As a user does."""
    request = HideMessageRequest(uid=message.uid, request_id=request_id)
    await stores.removals.hide(user(user_id), user_id, request)


async def unsend(stores: Stores, caller: Caller, message: Message, request_id: str = "") -> Owner | None:
    """What has been released."""
    return await stores.removals.unsend(caller, UnsendMessageRequest(uid=message.uid, request_id=request_id))


async def expiring(stores: Stores, seconds: float, *attached: str, room_id: str = "x") -> Message:
    """A message of Bob's that lasts so long."""
    request = SendMessageRequest(room_id=room_id, parts=[text("a-secret-word"), *(file(one) for one in attached)])
    request.expires_at.FromMicroseconds(stores.clock() + int(seconds * MICROSECONDS))
    if not attached:
        return await stores.messages.append(SERVER, "bob", request)
    room = (await stores.rooms.get(SERVER, room_id)).room
    claim = Claim(f"018a0000-0000-7000-8000-{attached[0]:>012}", room.uid, stores.clock())
    return await stores.messages.append(SERVER, "bob", request, claim)


async def listed(stores: Stores, caller: Caller, room_id: str = "x", *, with_unsent: bool = False) -> list[int]:
    """The ids of what the caller reads, from the oldest on; the same from the newest on."""
    request = ListMessagesRequest(room_id=room_id, with_unsent=with_unsent)
    newest = [message.id for message in (await stores.messages.page(caller, request, 100)).messages]
    request.order = MessageOrder.MESSAGE_ORDER_OLDEST_FIRST
    oldest = [message.id for message in (await stores.messages.page(caller, request, 100)).messages]
    assert oldest == newest[::-1]
    return oldest


async def overview(stores: Stores, user_id: str) -> tuple[int, int]:
    """Unread count and id of the last message, 0 for none, in the user's only room."""
    (room,) = (await stores.members.user_rooms("one", user_id, with_last_messages=True)).rooms
    if room.HasField("last_message"):
        assert room.room.last_message_at == room.last_message.created_at
    else:
        assert not room.room.HasField("last_message_at")
    return room.unread_count, room.last_message.id
