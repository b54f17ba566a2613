"""Somebody with a token who talks in conversations, and names everything by its `uid`, as the chat API does."""

from __future__ import annotations

from dataclasses import dataclass

from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import SetCursorRequest
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    EditMessageRequest,
    GetMessageRequest,
    HideMessageRequest,
    ListMessagesRequest,
    ListMessagesResponse,
    MessageOrder,
    SendMessageRequest,
    UnsendMessageRequest,
)
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    ArchiveRoomRequest,
    DeleteRoomRequest,
    DiscardRoomRequest,
    GetRoomRequest,
    GetUserRoomRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    ListMembersRequest,
    ListUserRoomsRequest,
    MatchRoomRequest,
    OpenRoomRequest,
    OpenRoomResponse,
)

from tests.support.cluster import Cluster, Metadata


@dataclass
class Talker:
    """A caller of a cluster. `user_id` is who it is where a request has to say so."""

    cluster: Cluster
    metadata: Metadata
    user_id: str

    @classmethod
    def user(cls, cluster: Cluster, user_id: str) -> Talker:
        """With a user token."""
        return cls(cluster, cluster.as_user(user_id), user_id)

    @classmethod
    def server(cls, cluster: Cluster, user_id: str = "") -> Talker:
        """With a server token."""
        return cls(cluster, cluster.as_server(user_id), user_id)

    # Rooms

    async def open(self, *user_ids: str, request_id: str = "") -> OpenRoomResponse:
        request = OpenRoomRequest(user_ids=user_ids, request_id=request_id)
        return await self.cluster.rooms.OpenRoom(request, metadata=self.metadata)

    async def opened(self, *user_ids: str) -> str:
        """The uid of the room."""
        return (await self.open(*user_ids)).room.room.uid

    async def match(self, *user_ids: str) -> str:
        """The uid of the room, empty for none."""
        answer = await self.cluster.rooms.MatchRoom(MatchRoomRequest(user_ids=user_ids), metadata=self.metadata)
        assert answer.HasField("room") == bool(answer.room.room.uid)
        return answer.room.room.uid

    async def get_room(self, room: str) -> Room:
        return (await self.cluster.rooms.GetRoom(GetRoomRequest(room_uid=room), metadata=self.metadata)).room

    async def view(self, room: str) -> UserRoom:
        request = GetUserRoomRequest(user_id=self.user_id, room_uid=room)
        return (await self.cluster.rooms.GetUserRoom(request, metadata=self.metadata)).room

    async def views(self) -> dict[str, UserRoom]:
        """Its rooms by their uids."""
        request = ListUserRoomsRequest(user_id=self.user_id, with_last_messages=True)
        answer = await self.cluster.rooms.ListUserRooms(request, metadata=self.metadata)
        return {room.room.uid: room for room in answer.rooms}

    async def members(self, room: str, *, members_only: bool = True) -> list[str]:
        request = ListMembersRequest(room_uid=room, members_only=members_only)
        return list((await self.cluster.rooms.ListMembers(request, metadata=self.metadata)).user_ids)

    async def archive(self, room: str, *, archived: bool = True, request_id: str = "") -> None:
        request = ArchiveRoomRequest(room_uid=room, archived=archived, request_id=request_id)
        await self.cluster.rooms.ArchiveRoom(request, metadata=self.metadata)

    async def discard(self, room: str, *, request_id: str = "") -> None:
        request = DiscardRoomRequest(room_uid=room, request_id=request_id)
        await self.cluster.rooms.DiscardRoom(request, metadata=self.metadata)

    async def delete_room(self, room: str, *, request_id: str = "") -> None:
        request = DeleteRoomRequest(room_uid=room, request_id=request_id)
        await self.cluster.rooms.DeleteRoom(request, metadata=self.metadata)

    async def join(self, room: str, *, request_id: str = "") -> Room:
        request = JoinRoomRequest(room_uid=room, user_id=self.user_id, request_id=request_id)
        return (await self.cluster.rooms.JoinRoom(request, metadata=self.metadata)).room

    async def leave(self, room: str, *, request_id: str = "") -> None:
        request = LeaveRoomRequest(room_uid=room, user_id=self.user_id, request_id=request_id)
        await self.cluster.rooms.LeaveRoom(request, metadata=self.metadata)

    async def invite(self, room: str, *user_ids: str, request_id: str = "") -> None:
        request = AddMembersRequest(room_uid=room, user_ids=user_ids, request_id=request_id)
        await self.cluster.rooms.AddMembers(request, metadata=self.metadata)

    # Messages

    async def send(
        self, room: str, content: str = "hello", *, seconds: float | None = None, request_id: str = ""
    ) -> Message:
        """`seconds`: how long it lasts, by the cluster's clock."""
        parts = [Part(type="text/plain", content=content)]
        request = SendMessageRequest(room_uid=room, parts=parts, request_id=request_id)
        if seconds is not None:
            request.expires_at.FromMicroseconds(self.cluster.clock() + int(seconds * 1e6))
        return (await self.cluster.messages.SendMessage(request, metadata=self.metadata)).message

    async def get(self, message: str) -> Message:
        answer = await self.cluster.messages.GetMessage(GetMessageRequest(uid=message), metadata=self.metadata)
        return answer.message

    async def edit(self, message: str, content: str, *, request_id: str = "") -> Message:
        parts = [Part(type="text/plain", content=content)]
        request = EditMessageRequest(uid=message, parts=parts, request_id=request_id)
        return (await self.cluster.messages.EditMessage(request, metadata=self.metadata)).message

    async def hide(self, message: str, *, request_id: str = "") -> None:
        request = HideMessageRequest(uid=message, request_id=request_id)
        await self.cluster.messages.HideMessage(request, metadata=self.metadata)

    async def unsend(self, message: str, *, request_id: str = "") -> None:
        request = UnsendMessageRequest(uid=message, request_id=request_id)
        await self.cluster.messages.UnsendMessage(request, metadata=self.metadata)

    async def page(self, room: str, size: int = 0, token: str = "") -> ListMessagesResponse:
        request = ListMessagesRequest(
            room_uid=room, page_size=size, page_token=token, with_unsent=True, members_only=True
        )
        request.order = MessageOrder.MESSAGE_ORDER_OLDEST_FIRST
        return await self.cluster.messages.ListMessages(request, metadata=self.metadata)

    async def replies(self, room: str) -> list[Message]:
        """What the chat API shows of a room."""
        return list((await self.page(room, 1000)).messages)

    async def mark(self, room: str, message: str) -> Cursor:
        request = SetCursorRequest(user_id=self.user_id, room_uid=room, message_uid=message)
        return (await self.cluster.cursors.SetCursor(request, metadata=self.metadata)).cursor
