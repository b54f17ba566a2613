"""What the message service's stores promise of conversations; see `store`, whose preface counts here too."""

from typing import Protocol

from roomline.v1.message_service_pb2 import HideMessageRequest, HideMessageResponse, UnsendMessageRequest
from roomline.v1.room_pb2 import UserRoom
from roomline.v1.room_service_pb2 import (
    ArchiveRoomRequest,
    ArchiveRoomResponse,
    DiscardRoomRequest,
    GetUserRoomResponse,
    OpenRoomRequest,
    OpenRoomResponse,
)

from services.common.call import Caller
from services.message.store import Owner


class NameStore(Protocol):
    """Rooms by other names than their ids.

    For users, a private room is like none unless they are members or have a role in it.
    """

    async def room_id(self, caller: Caller, room_uid: str) -> str | None:
        """The id of the room with this uid."""

    async def room_id_of_message(self, caller: Caller, message_uid: str) -> str | None:
        """The id of the room that the message with this uid is in."""


class ConversationStore(Protocol):
    """Rooms that are found by who is in them, and what they are to one member."""

    async def open(
        self, caller: Caller, actor: str, request: OpenRoomRequest, members: list[str], asked_at: int
    ) -> OpenRoomResponse:
        """The room of the kind that so many members make, with exactly these members; creates it if there is none.

        `members` are all different, the actor is the first. However many callers at once get one room. Raises
        USERS_NOT_FOUND if one of the members was purged since `asked_at`.
        """

    async def match(self, instance_id: str, actor: str, members: list[str]) -> UserRoom | None:
        """The room that `open` would find; of several the oldest. The actor is one of the members."""

    async def user_room(self, instance_id: str, user_id: str, room_id: str) -> GetUserRoomResponse:
        """The room as this member sees it, with its last message. Raises ROOM_NOT_FOUND, also if it is no member."""

    async def archive(self, caller: Caller, actor: str, request: ArchiveRoomRequest) -> ArchiveRoomResponse:
        """Sets or clears the member's mark; a new message ends it. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def discard(self, caller: Caller, actor: str, request: DiscardRoomRequest) -> Owner | None:
        """Hides for the actor what was said in a direct room so far, and archives that; leaves somebody else's room.

        Deletes an own one as `RoomStore.delete` does, and returns what that returns. Raises ROOM_NOT_FOUND,
        NOT_A_MEMBER, except for whoever has done so before: as long as request ids are remembered, nothing happens.
        """


class RemovalStore(Protocol):
    """Messages that go, named by their `uid`. What the caller may not know of is MESSAGE_NOT_FOUND."""

    async def hide(self, caller: Caller, user_id: str, request: HideMessageRequest) -> HideMessageResponse:
        """Takes a message or tombstone out of the sight of the user, who must be a member; again: nothing happens."""

    async def unsend(self, caller: Caller, request: UnsendMessageRequest) -> Owner | None:
        """As `MessageStore.delete`, for the author while it is a member, and servers; again: nothing happens."""

    async def expire(self, size: int) -> int:
        """Wipes some messages whose time is over, of all instances, as `MessageStore.delete` does; returns how many."""
