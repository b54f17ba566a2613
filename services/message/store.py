"""What the message service's stores promise. One test suite holds every backend to it.

Every method works inside `caller.instance_id` (or the instance given) and never sees another instance. Every writing
method is one transaction: the change, its event with the next position (roles have none), and the answer remembered
under the request id. What it returns is on disk. A repeated request gets its first answer, whatever has happened since.
"""

from typing import Protocol, TypeVar

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    AssignRoleResponse,
    UnassignRoleRequest,
    UnassignRoleResponse,
)
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    DeleteMessageResponse,
    EditMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
)
from roomline.v1.role_pb2 import RoleAssignment
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    AddMembersResponse,
    CreateRoomRequest,
    CreateRoomResponse,
    DeleteRoomRequest,
    DeleteRoomResponse,
    JoinRoomRequest,
    JoinRoomResponse,
    LeaveRoomRequest,
    LeaveRoomResponse,
    RemoveMembersRequest,
    RemoveMembersResponse,
    UpdateRoomRequest,
    UpdateRoomResponse,
)

from services.common.call import Caller

M = TypeVar("M", bound=ProtoMessage)


class RoomStore(Protocol):
    """Rooms."""

    async def create(
        self, caller: Caller, creator: str, request: CreateRoomRequest, members: list[str], asked_at: int
    ) -> CreateRoomResponse:
        """Creates a room with the members, creator first; makes an id if the request has none.

        `asked_at`: when the user service was asked about the members, in the store's clock. Raises ROOM_ALREADY_EXISTS,
        and USERS_NOT_FOUND if one of them was purged since then.
        """

    async def get(self, caller: Caller, room_id: str) -> Room:
        """The room with its members. Raises ROOM_NOT_FOUND, for users also for private rooms that they are not in."""

    async def page(self, caller: Caller, after_room_id: str, size: int, *, include_private: bool) -> list[Room]:
        """Rooms with a greater id, by the bytes of the id, without members."""

    async def update(self, caller: Caller, request: UpdateRoomRequest, paths: frozenset[str]) -> UpdateRoomResponse:
        """Changes the named fields; no fields, no event. Raises ROOM_NOT_FOUND."""

    async def delete(self, caller: Caller, request: DeleteRoomRequest) -> DeleteRoomResponse:
        """Deletes the room with all that is in it; its id is free at once. Raises ROOM_NOT_FOUND."""


class MemberStore(Protocol):
    """Members of rooms. Changes that change nothing write no event."""

    async def join(self, caller: Caller, request: JoinRoomRequest, asked_at: int) -> JoinRoomResponse:
        """Adds the user. Raises ROOM_NOT_FOUND, ROOM_PRIVATE (users only), QUOTA_EXCEEDED, USERS_NOT_FOUND (purged)."""

    async def leave(self, caller: Caller, request: LeaveRoomRequest) -> LeaveRoomResponse:
        """Removes the user. Raises ROOM_NOT_FOUND."""

    async def add(self, caller: Caller, request: AddMembersRequest, asked_at: int) -> AddMembersResponse:
        """Adds users, all or none. Raises ROOM_NOT_FOUND as `RoomStore.get`, QUOTA_EXCEEDED, USERS_NOT_FOUND."""

    async def remove(self, caller: Caller, request: RemoveMembersRequest) -> RemoveMembersResponse:
        """Removes users. Raises ROOM_NOT_FOUND as `RoomStore.get`."""

    async def is_member(self, instance_id: str, room_id: str, user_id: str) -> bool:
        """Whether the user is a member. Raises ROOM_NOT_FOUND."""

    async def user_rooms(self, instance_id: str, user_id: str, *, with_last_messages: bool) -> list[UserRoom]:
        """The user's rooms with members and unread counts, by creation time, then id."""

    async def joinable(self, instance_id: str, user_id: str) -> list[Room]:
        """Public rooms that the user is not in, with members, by creation time, then id."""


class MessageStore(Protocol):
    """Messages. Ids rise over the whole instance and are never used twice."""

    async def append(self, caller: Caller, sender: str, request: SendMessageRequest) -> Message:
        """Stores a message, exactly once per request id.

        Permission, membership, request id, position, message and event are one transaction. Raises
        PERMISSION_MISSING, ROOM_NOT_FOUND, NOT_A_MEMBER, REQUEST_ID_REUSED, FIELD_INVALID (`reply_to`).
        """

    async def get(self, caller: Caller, room_id: str, message_id: int) -> Message:
        """A live message. Raises MESSAGE_NOT_FOUND, also for an unknown room, and NOT_A_MEMBER."""

    async def page(self, caller: Caller, request: ListMessagesRequest, size: int) -> list[Message]:
        """Live messages within the bounds and in the order of the request. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def edit(self, caller: Caller, request: EditMessageRequest) -> Message:
        """Replaces the parts; returns the message without `custom_data` and `reply_to`, which an edit does not touch.

        Raises ROOM_NOT_FOUND, MESSAGE_NOT_FOUND; for users NOT_A_MEMBER, PERMISSION_MISSING.
        """

    async def delete(self, caller: Caller, request: DeleteMessageRequest) -> DeleteMessageResponse:
        """Wipes the content and leaves a tombstone. Raises as `edit`. An empty room id means any room."""


class CursorStore(Protocol):
    """Read cursors. Private rooms show theirs to members only: NOT_A_MEMBER."""

    async def set(self, caller: Caller, user_id: str, room_id: str, position: int, asked_at: int) -> Cursor:
        """Sets the cursor; the last write wins. Raises ROOM_NOT_FOUND, NOT_A_MEMBER, USERS_NOT_FOUND (purged)."""

    async def get(self, caller: Caller, user_id: str, room_id: str) -> Cursor | None:
        """The cursor, if set. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def of_room(self, caller: Caller, room_id: str) -> list[Cursor]:
        """All cursors of a room, by user. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def of_user(self, instance_id: str, user_id: str) -> list[Cursor]:
        """All cursors of a user, by room."""


class RequestStore(Protocol):
    """What is remembered of earlier requests."""

    async def recall(self, caller: Caller, request: ProtoMessage, response_class: type[M]) -> M | None:
        """The first answer to this request, if it was carried out before. Raises REQUEST_ID_REUSED."""


class AccessStore(Protocol):
    """Roles and what they permit. A change counts from the next call on."""

    async def permits(self, instance_id: str, user_id: str, permission: str, room_id: str) -> bool:
        """Whether the user's global role, or its role in the room (empty: none), has the permission."""

    async def assign(self, caller: Caller, request: AssignRoleRequest, asked_at: int) -> AssignRoleResponse:
        """Gives the role, in place of the earlier one.

        Raises ROLE_NOT_FOUND, ROOM_NOT_FOUND, USERS_NOT_FOUND (purged).
        """

    async def unassign(self, caller: Caller, request: UnassignRoleRequest) -> UnassignRoleResponse:
        """Takes the role; fine if there is none."""

    async def assignments(self, instance_id: str, user_id: str) -> list[RoleAssignment]:
        """The roles that were assigned."""


class PurgeStore(Protocol):
    """What goes when something else goes. Every method may be repeated."""

    async def user(self, instance_id: str, user_id: str) -> None:
        """Removes memberships, cursors and roles of a deleted user; messages and rooms stay."""

    async def instance(self, instance_id: str) -> None:
        """Removes everything of the instance. Positions and message ids go on rising."""

    async def remains(self) -> None:
        """Removes the messages of deleted rooms, a piece at a time, until none is left."""

    async def trim(self, days: int, events: int) -> None:
        """Removes events older than the days, but never the newest `events` of an instance."""
