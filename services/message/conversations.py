"""Rooms as conversations: what `RoomServicer` does for those who open, list, archive and discard them."""

from roomline.v1 import room_service_pb2 as pb
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.room_pb2 import UserRoom

from services.common import limits
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.users import Users
from services.message.attachments import Attachments
from services.message.conversation_store import ConversationStore
from services.message.maintenance import Maintenance
from services.message.releases import Releases
from services.message.store import RequestStore


class Conversations:
    """Every method is the RPC of its name, and raises what the contract says there."""

    def __init__(
        self,
        store: ConversationStore,
        requests: RequestStore,
        users: Users,
        attachments: Attachments,
        releases: Releases,
        maintenance: Maintenance,
        clock: Clock,
    ) -> None:
        self._store = store
        self._requests = requests
        self._users = users
        self._attachments = attachments
        self._releases = releases
        self._maintenance = maintenance
        self._clock = clock

    async def open(self, caller: Caller, request: pb.OpenRoomRequest) -> pb.OpenRoomResponse:
        """See `RoomService.OpenRoom`."""
        actor = caller.actor()
        members = list(dict.fromkeys((actor, *request.user_ids)))
        limits.check_members(caller, len(members))
        asked_at = self._clock()
        first = await self._requests.recall(caller, request, pb.OpenRoomResponse)
        if first is None and await self._store.match(caller.instance_id, actor, members) is None:
            await self._users.require_all(caller.instance_id, members)  # the members of a room exist
        response = await self._store.open(caller, actor, request, members, asked_at)
        await self._fill(caller, response.room)
        return response

    async def match(self, caller: Caller, request: pb.MatchRoomRequest) -> pb.MatchRoomResponse:
        """See `RoomService.MatchRoom`."""
        actor = caller.actor()
        members = list(dict.fromkeys(request.user_ids))
        if actor not in members:
            raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
        room = await self._store.match(caller.instance_id, actor, members)
        if room is not None:
            await self._fill(caller, room)
        return pb.MatchRoomResponse(room=room)

    async def get(self, caller: Caller, request: pb.GetUserRoomRequest) -> pb.GetUserRoomResponse:
        """See `RoomService.GetUserRoom`."""
        answer = await self._store.user_room(caller.instance_id, request.user_id, request.room_id)
        await self._fill(caller, answer.room)
        return answer

    async def archive(self, caller: Caller, request: pb.ArchiveRoomRequest) -> pb.ArchiveRoomResponse:
        """See `RoomService.ArchiveRoom`."""
        return await self._store.archive(caller, caller.actor(), request)

    async def discard(self, caller: Caller, request: pb.DiscardRoomRequest) -> pb.DiscardRoomResponse:
        """See `RoomService.DiscardRoom`."""
        deleted = await self._store.discard(caller, caller.actor(), request)
        if deleted is not None:
            self._maintenance.room_deleted()
            await self._releases.finish_soon(deleted)
        return pb.DiscardRoomResponse()

    async def _fill(self, caller: Caller, room: UserRoom) -> None:
        if room.HasField("last_message"):
            await self._attachments.fill(caller.instance_id, [room.last_message])
