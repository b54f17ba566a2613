"""CursorService: see proto/roomline/v1/cursor_service.proto."""

from roomline.v1 import cursor_service_pb2 as pb
from roomline.v1.cursor_service_pb2_grpc import CursorServiceServicer

from services.common.call import current_caller
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.users import Users
from services.message.store import CursorStore, MemberStore


class CursorServicer(CursorServiceServicer):
    """How far users have read."""

    def __init__(self, cursors: CursorStore, members: MemberStore, users: Users, clock: Clock) -> None:
        self._cursors = cursors
        self._members = members
        self._users = users
        self._clock = clock

    async def SetCursor(self, request: pb.SetCursorRequest, context: Context) -> pb.SetCursorResponse:
        caller = current_caller()
        asked_at = self._clock()
        # Membership is not needed to set a cursor (spec §8), but the user must exist; a member does.
        if not await self._members.is_member(caller.instance_id, request.room_id, request.user_id):
            await self._users.require(caller.instance_id, request.user_id)
        cursor = await self._cursors.set(
            caller, request.user_id, request.room_id, request.position, asked_at, request.message_uid
        )
        return pb.SetCursorResponse(cursor=cursor)

    async def GetCursor(self, request: pb.GetCursorRequest, context: Context) -> pb.GetCursorResponse:
        cursor = await self._cursors.get(current_caller(), request.user_id, request.room_id)
        return pb.GetCursorResponse(cursor=cursor)

    async def ListUserCursors(self, request: pb.ListUserCursorsRequest, context: Context) -> pb.ListUserCursorsResponse:
        return await self._cursors.of_user(current_caller().instance_id, request.user_id)

    async def ListRoomCursors(self, request: pb.ListRoomCursorsRequest, context: Context) -> pb.ListRoomCursorsResponse:
        return await self._cursors.of_room(current_caller(), request.room_id)
