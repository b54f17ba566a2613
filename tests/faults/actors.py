"""Somebody with a token, and the calls that the tests make with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from roomline.v1.access_service_pb2 import AssignRoleRequest
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import (
    GetCursorRequest,
    ListRoomCursorsRequest,
    ListUserCursorsRequest,
    SetCursorRequest,
)
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    GetMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
)
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    CreateRoomRequest,
    DeleteRoomRequest,
    GetRoomRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    ListJoinableRoomsRequest,
    ListMembersRequest,
    ListRoomsRequest,
    ListUserRoomsRequest,
    RemoveMembersRequest,
    UpdateRoomRequest,
)
from roomline.v1.user_service_pb2 import CreateUserRequest, DeleteUserRequest, NewUser

from services.common.errors import failure_of, reason_name
from tests.faults.chance import CHANCE
from tests.support.cluster import Cluster, Metadata


def text(content: str) -> Part:
    """A part that says this."""
    return Part(type="text/plain", content=content)


class Actor:
    """A caller of a cluster."""

    def __init__(self, cluster: Cluster, metadata: Metadata) -> None:
        self.cluster = cluster
        self.metadata = metadata

    # Users

    async def create_user(self, user_id: str, *, request_id: str = "") -> None:
        request = CreateUserRequest(user=NewUser(id=user_id, name=user_id), request_id=request_id)
        await self.cluster.users.CreateUser(request, metadata=self.metadata)

    async def delete_user(self, user_id: str, *, request_id: str = "") -> None:
        request = DeleteUserRequest(id=user_id, request_id=request_id)
        await self.cluster.users.DeleteUser(request, metadata=self.metadata)

    async def assign_role(self, user_id: str, role: str, room: str = "") -> None:
        request = AssignRoleRequest(user_id=user_id, role_name=role, room_id=room or None)
        await self.cluster.access.AssignRole(request, metadata=self.metadata)

    # Rooms

    async def create_room(
        self, room: str, *members: str, private: bool = False, name: str = "a room", request_id: str = ""
    ) -> Room:
        request = CreateRoomRequest(id=room, name=name, private=private, user_ids=members, request_id=request_id)
        return (await self.cluster.rooms.CreateRoom(request, metadata=self.metadata)).room

    async def get_room(self, room: str) -> Room:
        return (await self.cluster.rooms.GetRoom(GetRoomRequest(room_id=room), metadata=self.metadata)).room

    async def list_rooms(self, *, include_private: bool = False) -> list[str]:
        request = ListRoomsRequest(include_private=include_private)
        return [room.id for room in (await self.cluster.rooms.ListRooms(request, metadata=self.metadata)).rooms]

    async def rename_room(self, room: str, name: str, *, request_id: str = "") -> Room:
        request = UpdateRoomRequest(
            room=Room(id=room, name=name), update_mask=FieldMask(paths=["name"]), request_id=request_id
        )
        return (await self.cluster.rooms.UpdateRoom(request, metadata=self.metadata)).room

    async def make_private(self, room: str) -> None:
        request = UpdateRoomRequest(room=Room(id=room, private=True), update_mask=FieldMask(paths=["private"]))
        await self.cluster.rooms.UpdateRoom(request, metadata=self.metadata)

    async def delete_room(self, room: str, *, request_id: str = "") -> None:
        request = DeleteRoomRequest(room_id=room, request_id=request_id)
        await self.cluster.rooms.DeleteRoom(request, metadata=self.metadata)

    # Members

    async def join(self, room: str, user_id: str, *, request_id: str = "") -> Room:
        request = JoinRoomRequest(room_id=room, user_id=user_id, request_id=request_id)
        return (await self.cluster.rooms.JoinRoom(request, metadata=self.metadata)).room

    async def leave(self, room: str, user_id: str, *, request_id: str = "") -> None:
        request = LeaveRoomRequest(room_id=room, user_id=user_id, request_id=request_id)
        await self.cluster.rooms.LeaveRoom(request, metadata=self.metadata)

    async def add(self, room: str, *user_ids: str, request_id: str = "") -> None:
        request = AddMembersRequest(room_id=room, user_ids=user_ids, request_id=request_id)
        await self.cluster.rooms.AddMembers(request, metadata=self.metadata)

    async def remove(self, room: str, *user_ids: str, request_id: str = "") -> None:
        request = RemoveMembersRequest(room_id=room, user_ids=user_ids, request_id=request_id)
        await self.cluster.rooms.RemoveMembers(request, metadata=self.metadata)

    async def list_members(self, room: str) -> Sequence[str]:
        request = ListMembersRequest(room_id=room)
        return (await self.cluster.rooms.ListMembers(request, metadata=self.metadata)).user_ids

    async def rooms_of(self, user_id: str) -> Sequence[UserRoom]:
        request = ListUserRoomsRequest(user_id=user_id, with_last_messages=True)
        return (await self.cluster.rooms.ListUserRooms(request, metadata=self.metadata)).rooms

    async def joinable(self, user_id: str) -> list[str]:
        request = ListJoinableRoomsRequest(user_id=user_id)
        answer = await self.cluster.rooms.ListJoinableRooms(request, metadata=self.metadata)
        return [room.id for room in answer.rooms]

    # Messages

    async def send(self, room: str, content: str, *, sender: str = "", request_id: str = "") -> Message:
        request = SendMessageRequest(room_id=room, parts=[text(content)], user_id=sender, request_id=request_id)
        return (await self.cluster.messages.SendMessage(request, metadata=self.metadata)).message

    async def get(self, room: str, message_id: int) -> Message:
        request = GetMessageRequest(room_id=room, id=message_id)
        return (await self.cluster.messages.GetMessage(request, metadata=self.metadata)).message

    async def page(self, room: str) -> list[str]:
        request = ListMessagesRequest(room_id=room)
        answer = await self.cluster.messages.ListMessages(request, metadata=self.metadata)
        return [message.parts[0].content for message in answer.messages]

    async def edit(
        self, room: str, message_id: int, content: str, *, editor: str = "", request_id: str = ""
    ) -> Message:
        request = EditMessageRequest(
            room_id=room, id=message_id, parts=[text(content)], user_id=editor, request_id=request_id
        )
        return (await self.cluster.messages.EditMessage(request, metadata=self.metadata)).message

    async def delete(self, room: str, message_id: int, *, request_id: str = "") -> None:
        request = DeleteMessageRequest(room_id=room, id=message_id, request_id=request_id)
        await self.cluster.messages.DeleteMessage(request, metadata=self.metadata)

    # Cursors

    async def set_cursor(self, room: str, user_id: str, position: int = 7) -> None:
        request = SetCursorRequest(room_id=room, user_id=user_id, position=position)
        await self.cluster.cursors.SetCursor(request, metadata=self.metadata)

    async def get_cursor(self, room: str, user_id: str) -> Cursor:
        request = GetCursorRequest(room_id=room, user_id=user_id)
        return (await self.cluster.cursors.GetCursor(request, metadata=self.metadata)).cursor

    async def cursors_in(self, room: str) -> Sequence[Cursor]:
        request = ListRoomCursorsRequest(room_id=room)
        return (await self.cluster.cursors.ListRoomCursors(request, metadata=self.metadata)).cursors

    async def cursors_of(self, user_id: str) -> Sequence[Cursor]:
        request = ListUserCursorsRequest(user_id=user_id)
        return (await self.cluster.cursors.ListUserCursors(request, metadata=self.metadata)).cursors


async def outcome(call: Awaitable[object]) -> str:
    """OK, or the reason that the call was refused with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_name(failure_of(error).reason)
    return "OK"


async def race(*calls: Awaitable[object]) -> list[str]:
    """Lets calls run at once, started in any order; their outcomes in the order of the arguments."""
    numbered = list(enumerate(calls))
    CHANCE.shuffle(numbered)
    outcomes = await asyncio.gather(*(outcome(call) for _, call in numbered))
    return [result for _, result in sorted(zip((number for number, _ in numbered), outcomes, strict=True))]
