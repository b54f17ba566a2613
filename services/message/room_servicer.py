"""RoomService: see proto/roomline/v1/room_service.proto."""

from roomline.v1 import room_service_pb2 as pb
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.room_service_pb2_grpc import RoomServiceServicer

from services.common import limits, pagination
from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.jobs import JobStore
from services.common.masks import masked_paths
from services.common.rules import required
from services.common.users import Users
from services.message.attachments import Attachments
from services.message.conversations import Conversations
from services.message.maintenance import Maintenance
from services.message.releases import Releases
from services.message.store import MemberStore, PurgeStore, RequestStore, RoomStore

PAGE_SIZE = 100
UPDATABLE = ("name", "private", "custom_data", "push_notification_title_override")


class RoomServicer(RoomServiceServicer):
    """Rooms and their members."""

    def __init__(
        self,
        rooms: RoomStore,
        members: MemberStore,
        conversations: Conversations,
        jobs: JobStore,
        purges: PurgeStore,
        requests: RequestStore,
        users: Users,
        attachments: Attachments,
        releases: Releases,
        maintenance: Maintenance,
        clock: Clock,
    ) -> None:
        self._rooms = rooms
        self._members = members
        self._conversations = conversations
        self._jobs = jobs
        self._purges = purges
        self._requests = requests
        self._users = users
        self._attachments = attachments
        self._releases = releases
        self._maintenance = maintenance
        self._clock = clock

    async def CreateRoom(self, request: pb.CreateRoomRequest, context: Context) -> pb.CreateRoomResponse:
        caller = current_caller()
        creator = caller.actor()
        limits.check_room_name(caller, request.name, "name")
        limits.check_custom_data(caller, request)
        members = list(dict.fromkeys((creator, *request.user_ids)))
        limits.check_members(caller, len(members))
        first = await self._requests.recall(caller, request, pb.CreateRoomResponse)
        if first is not None:
            return first
        asked_at = self._clock()
        await self._users.require_all(caller.instance_id, members)
        return await self._rooms.create(caller, creator, request, members, asked_at)

    async def GetRoom(self, request: pb.GetRoomRequest, context: Context) -> pb.GetRoomResponse:
        return await self._rooms.get(current_caller(), request.room_id)

    async def ListRooms(self, request: pb.ListRoomsRequest, context: Context) -> pb.ListRoomsResponse:
        caller = current_caller()
        size = pagination.page_size(request.page_size, default=PAGE_SIZE, maximum=PAGE_SIZE)
        after = request.after_room_id
        if request.page_token:
            (after,) = pagination.decode_page_token(request.page_token, str)
        private = request.include_private and not caller.is_user
        rooms = await self._rooms.page(caller, after, size + 1, include_private=private)
        more = len(rooms) > size
        del rooms[size:]
        return pb.ListRoomsResponse(
            rooms=rooms, next_page_token=pagination.encode_page_token(rooms[-1].id) if more else ""
        )

    async def UpdateRoom(self, request: pb.UpdateRoomRequest, context: Context) -> pb.UpdateRoomResponse:
        caller = current_caller()
        limits.check_custom_data(caller, request.room, "room.")
        paths = frozenset(masked_paths(request.update_mask, request.room, UPDATABLE))
        if "name" in paths:
            if not request.room.name:
                raise required("room.name")
            limits.check_room_name(caller, request.room.name, "room.name")
        return await self._rooms.update(caller, request, paths)

    async def DeleteRoom(self, request: pb.DeleteRoomRequest, context: Context) -> pb.DeleteRoomResponse:
        released = await self._rooms.delete(current_caller(), request)
        self._maintenance.room_deleted()
        if released is not None:
            await self._releases.finish_soon(released)
        return pb.DeleteRoomResponse()

    async def StartRoomDeletion(
        self, request: pb.StartRoomDeletionRequest, context: Context
    ) -> pb.StartRoomDeletionResponse:
        response = await self._rooms.start_deletion(current_caller(), request)
        self._maintenance.room_deleted()
        self._releases.more()
        return response

    async def GetRoomDeletion(self, request: pb.GetRoomDeletionRequest, context: Context) -> pb.GetRoomDeletionResponse:
        return pb.GetRoomDeletionResponse(job=await self._jobs.get(current_caller().instance_id, request.job_id))

    async def JoinRoom(self, request: pb.JoinRoomRequest, context: Context) -> pb.JoinRoomResponse:
        caller = current_caller()
        first = await self._requests.recall(caller, request, pb.JoinRoomResponse)
        if first is not None:
            return first
        asked_at = self._clock()
        if not await self._members.is_member(caller.instance_id, request.room_id, request.user_id):
            await self._users.require(caller.instance_id, request.user_id)
        return await self._members.join(caller, request, asked_at)

    async def LeaveRoom(self, request: pb.LeaveRoomRequest, context: Context) -> pb.LeaveRoomResponse:
        return await self._members.leave(current_caller(), request)

    async def AddMembers(self, request: pb.AddMembersRequest, context: Context) -> pb.AddMembersResponse:
        caller = current_caller()
        user_ids = list(dict.fromkeys(request.user_ids))
        limits.check_batch(caller, len(user_ids), "user_ids")
        first = await self._requests.recall(caller, request, pb.AddMembersResponse)
        if first is not None:
            return first
        asked_at = self._clock()
        await self._rooms.get(caller, request.room_id)  # an unknown room is reported before unknown users
        await self._users.require_all(caller.instance_id, user_ids)
        return await self._members.add(caller, request, asked_at)

    async def RemoveMembers(self, request: pb.RemoveMembersRequest, context: Context) -> pb.RemoveMembersResponse:
        caller = current_caller()
        limits.check_batch(caller, len(set(request.user_ids)), "user_ids")
        return await self._members.remove(caller, request)

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        caller = current_caller()
        answer = await self._rooms.get(caller, request.room_id)
        members = answer.room.member_user_ids
        if request.members_only and caller.is_user and caller.user_id not in members:
            raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
        return pb.ListMembersResponse(user_ids=members, position=answer.position)

    async def ListUserRooms(self, request: pb.ListUserRoomsRequest, context: Context) -> pb.ListUserRoomsResponse:
        instance_id = current_caller().instance_id
        answer = await self._members.user_rooms(
            instance_id, request.user_id, with_last_messages=request.with_last_messages
        )
        if not answer.rooms:  # a member of any room exists
            await self._users.require(instance_id, request.user_id)
        last = [room.last_message for room in answer.rooms if room.HasField("last_message")]
        await self._attachments.fill(instance_id, last)
        return answer

    async def ListJoinableRooms(
        self, request: pb.ListJoinableRoomsRequest, context: Context
    ) -> pb.ListJoinableRoomsResponse:
        instance_id = current_caller().instance_id
        await self._users.require(instance_id, request.user_id)
        return pb.ListJoinableRoomsResponse(rooms=await self._members.joinable(instance_id, request.user_id))

    async def PurgeUser(self, request: pb.PurgeUserRequest, context: Context) -> pb.PurgeUserResponse:
        await self._purges.user(current_caller().instance_id, request.user_id)
        return pb.PurgeUserResponse()

    async def PurgeInstance(self, request: pb.PurgeInstanceRequest, context: Context) -> pb.PurgeInstanceResponse:
        await self._purges.instance(current_caller().instance_id, for_good=request.for_good)
        return pb.PurgeInstanceResponse()

    async def OpenRoom(self, request: pb.OpenRoomRequest, context: Context) -> pb.OpenRoomResponse:
        return await self._conversations.open(current_caller(), request)

    async def MatchRoom(self, request: pb.MatchRoomRequest, context: Context) -> pb.MatchRoomResponse:
        return await self._conversations.match(current_caller(), request)

    async def GetUserRoom(self, request: pb.GetUserRoomRequest, context: Context) -> pb.GetUserRoomResponse:
        return await self._conversations.get(current_caller(), request)

    async def ArchiveRoom(self, request: pb.ArchiveRoomRequest, context: Context) -> pb.ArchiveRoomResponse:
        return await self._conversations.archive(current_caller(), request)

    async def DiscardRoom(self, request: pb.DiscardRoomRequest, context: Context) -> pb.DiscardRoomResponse:
        return await self._conversations.discard(current_caller(), request)
