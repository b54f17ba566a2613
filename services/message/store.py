"""What the message service's stores promise. One test suite holds every backend to it.

Every method works inside `caller.instance_id` (or the instance given) and never sees another instance. Every writing
method is one transaction: the change, its event with the next position (roles have none), and the answer remembered
under the request id. What it returns is on disk. A repeated request gets its first answer, whatever has happened since.

An answer with a `position` was read at that place in the log: what events up to there changed is in it.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import ListRoomCursorsResponse, ListUserCursorsResponse
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    ListMessagesRequest,
    ListMessagesResponse,
    SendMessageRequest,
)
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    AddMembersResponse,
    CreateRoomRequest,
    CreateRoomResponse,
    DeleteRoomRequest,
    GetRoomResponse,
    JoinRoomRequest,
    JoinRoomResponse,
    LeaveRoomRequest,
    LeaveRoomResponse,
    ListUserRoomsResponse,
    RemoveMembersRequest,
    RemoveMembersResponse,
    StartRoomDeletionRequest,
    StartRoomDeletionResponse,
    UpdateRoomRequest,
    UpdateRoomResponse,
)

from services.common.call import Caller

M = TypeVar("M", bound=ProtoMessage)

PAGE_BYTES = 8 * 1024 * 1024
"""How much a page of messages has at most, unless a single one has more."""


class Owner(NamedTuple):
    """A message or a room that had attachments, by its `uid`."""

    instance_id: str
    uid: str


class Claim(NamedTuple):
    """What the attachments of a message were claimed for, before it is stored (ADR 5)."""

    message_uid: str
    room_uid: str
    claimed_at: int
    """When the media service was asked, in the store's clock."""
    version: int = 0
    """`Editable.version`, of an edit."""


class ClaimOutdatedError(Exception):
    """What the attachments were claimed for has changed since. Nothing was written; look again, and claim again."""


class Editable(NamedTuple):
    """A message that is about to be edited."""

    owner: Owner
    sender: str
    room_uid: str
    version: int
    """Rises with every edit."""
    attachment_ids: frozenset[str]
    releasing: bool
    """The media service does not know yet of attachments that the message has let go."""


class Edited(NamedTuple):
    """An edited message, without `custom_data` and `reply_to`, which an edit does not touch."""

    message: Message
    released: Owner | None
    """Set if attachments were let go."""


class RoomStore(Protocol):
    """Rooms."""

    async def create(
        self, caller: Caller, creator: str, request: CreateRoomRequest, members: list[str], asked_at: int
    ) -> CreateRoomResponse:
        """Creates a room with the members, creator first; makes an id if the request has none.

        `asked_at`: when the user service was asked about the members, in the store's clock. Raises ROOM_ALREADY_EXISTS,
        and USERS_NOT_FOUND if one of them was purged since then.
        """

    async def get(self, caller: Caller, room_id: str) -> GetRoomResponse:
        """The room with its members. Raises ROOM_NOT_FOUND, for users also for private rooms that they are not in."""

    async def page(self, caller: Caller, after_room_id: str, size: int, *, include_private: bool) -> list[Room]:
        """Rooms with a greater id, by the bytes of the id, without members."""

    async def update(self, caller: Caller, request: UpdateRoomRequest, paths: frozenset[str]) -> UpdateRoomResponse:
        """Changes the named fields; no fields, no event. Raises ROOM_NOT_FOUND."""

    async def delete(self, caller: Caller, request: DeleteRoomRequest) -> Owner | None:
        """Deletes the room with all that is in it; its id is free at once. Raises ROOM_NOT_FOUND.

        Releases the attachments of the room, which it returns; repeated, nothing is left to release.
        """

    async def start_deletion(self, caller: Caller, request: StartRoomDeletionRequest) -> StartRoomDeletionResponse:
        """The same, with a job that lasts until nothing is left of the room's messages and attachments."""


class MemberStore(Protocol):
    """Members of rooms. Changes that change nothing write no event; others of a direct room are ROOM_MEMBERS_FIXED."""

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

    async def user_rooms(self, instance_id: str, user_id: str, *, with_last_messages: bool) -> ListUserRoomsResponse:
        """The user's rooms as it sees them, with members, by creation time, then id."""

    async def joinable(self, instance_id: str, user_id: str) -> list[Room]:
        """Public rooms that the user is not in, with members, by creation time, then id."""


class MessageStore(Protocol):
    """Messages. Ids rise over the whole instance and are never used twice.

    A message that has expired is there for nobody. One that a user has hidden is not there when the user reads.
    """

    async def append(
        self, caller: Caller, sender: str, request: SendMessageRequest, claim: Claim | None = None
    ) -> Message:
        """Stores a message, exactly once per request id.

        Permission, membership, request id, position, message and event are one transaction. Raises
        PERMISSION_MISSING, ROOM_NOT_FOUND, NOT_A_MEMBER, REQUEST_ID_REUSED, FIELD_INVALID (`reply_to`, `expires_at`,
        `expires_in`).

        A message with attachments needs their claim, and gets its uid. Raises SERVICE_UNAVAILABLE if the claim may end
        before the message is stored, and ClaimOutdatedError if the room is another one or the uid is taken.
        """

    async def get(self, caller: Caller, room_id: str, message_id: int, uid: str = "") -> Message:
        """A live message of the room, by its uid if one is given.

        Raises MESSAGE_NOT_FOUND, also for an unknown room, and NOT_A_MEMBER.
        """

    async def page(
        self, caller: Caller, request: ListMessagesRequest, size: int, max_bytes: int = PAGE_BYTES
    ) -> ListMessagesResponse:
        """Live messages within the bounds and in the order of the request, and tombstones if it asks for them.

        As many as the size says, or until there is more content than the bytes. Raises ROOM_NOT_FOUND, NOT_A_MEMBER.
        """

    async def edit(self, caller: Caller, request: EditMessageRequest, claim: Claim | None = None) -> Edited:
        """Replaces the parts, and releases the attachments that are no longer among them.

        Raises ROOM_NOT_FOUND, MESSAGE_NOT_FOUND; for users NOT_A_MEMBER, PERMISSION_MISSING. Named by its uid, an own
        message needs no permission, and every other one is MESSAGE_NOT_FOUND. Parts with attachments need their claim:
        raises SERVICE_UNAVAILABLE as `append`, ClaimOutdatedError if the message was edited since.
        """

    async def delete(self, caller: Caller, request: DeleteMessageRequest) -> Owner | None:
        """Wipes the content and leaves a tombstone. Raises as `edit`. An empty room id means any room.

        Releases the message's attachments; returns it if there were any.
        """


class AttachmentStore(Protocol):
    """What has to be known of messages with attachments, before they are written and after."""

    async def room_to_send_to(self, caller: Caller, sender: str, request: SendMessageRequest) -> str:
        """The room's uid. Raises what `MessageStore.append` would raise."""

    async def editable(self, caller: Caller, request: EditMessageRequest) -> Editable:
        """The message as it is. Raises what `MessageStore.edit` would raise."""

    async def live_uses(
        self, instance_id: str, uses: Sequence[AttachmentUse], user_id: str, *, members_only: bool = False
    ) -> list[AttachmentUse]:
        """Those whose attachment is part of a live message, which the user, if one is named, can read.

        With `members_only` messages of public rooms count for their members alone.
        """

    async def releasing(
        self, instance_id: str, uses: Sequence[AttachmentUse], room_uids: Sequence[str]
    ) -> tuple[list[AttachmentUse], list[str]]:
        """Those uses and rooms, of such as are not live, whose release the media service has not yet answered.

        Those of messages that have expired, too, and are to be wiped.
        """


class ReleaseStore(Protocol):
    """Attachments that messages have let go, until the media service has been told. Of a room the id is empty."""

    async def owners(self, after: Owner, size: int) -> list[Owner]:
        """Messages and rooms with something to tell, in their order."""

    async def of(self, owner: Owner) -> list[str]:
        """The attachments to tell of."""

    async def finished(self, owner: Owner, attachment_ids: list[str]) -> None:
        """Forgets what has been told."""


class CursorStore(Protocol):
    """Read cursors. Private rooms show theirs to members only: NOT_A_MEMBER."""

    async def set(
        self, caller: Caller, user_id: str, room_id: str, position: int, asked_at: int, message_uid: str = ""
    ) -> Cursor:
        """Sets the cursor, to that message or tombstone if one is given; the last write wins.

        Raises ROOM_NOT_FOUND, NOT_A_MEMBER, USERS_NOT_FOUND (purged), MESSAGE_NOT_FOUND.
        """

    async def get(self, caller: Caller, user_id: str, room_id: str) -> Cursor | None:
        """The cursor, if set. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def of_room(self, caller: Caller, room_id: str) -> ListRoomCursorsResponse:
        """All cursors of a room, by user. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""

    async def of_user(self, instance_id: str, user_id: str) -> ListUserCursorsResponse:
        """All cursors of a user, by room."""


class RequestStore(Protocol):
    """What is remembered of earlier requests."""

    async def recall(self, caller: Caller, request: ProtoMessage, response_class: type[M]) -> M | None:
        """The first answer to this request, if it was carried out before. Raises REQUEST_ID_REUSED."""


class PurgeStore(Protocol):
    """What goes when something else goes. Every method may be repeated."""

    async def user(self, instance_id: str, user_id: str) -> None:
        """Removes memberships, cursors and roles of a deleted user; messages and rooms stay."""

    async def instance(self, instance_id: str, *, for_good: bool = False) -> None:
        """Removes everything of the instance. Positions and message ids go on rising.

        Webhooks, which were set up for it, go only with an instance that is gone for good.
        """

    async def remains(self) -> None:
        """Removes the messages of deleted rooms, a piece at a time, until none is left."""

    async def trim(self, days: int, events: int) -> None:
        """Removes events older than the days, but never the newest `events` of an instance.

        `EventStore` knows from then on how far the log reaches back.
        """
