"""What the gateway asks the services for itself, with a token of its own, to tell subscribers what they may know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import grpc
from roomline.v1.access_service_pb2_grpc import AccessServiceStub
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import ListUserCursorsRequest, ListUserCursorsResponse
from roomline.v1.cursor_service_pb2_grpc import CursorServiceStub
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.room_service_pb2 import GetUserRoomRequest, GetUserRoomResponse, ListMembersRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub
from roomline.v1.user_service_pb2 import BatchGetUsersRequest
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from services.common.authorizer import RemoteAuthorizer
from services.common.errors import RoomlineError, failure_of, reraise

if TYPE_CHECKING:
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

    from services.common.call import Caller
    from services.common.tokens import ServiceTokens

Request = TypeVar("Request")
Response = TypeVar("Response")

READ_MESSAGES = "room:messages:get"

_GONE = {
    ErrorReason.ERROR_REASON_ROOM_NOT_FOUND,
    ErrorReason.ERROR_REASON_USER_NOT_FOUND,
    ErrorReason.ERROR_REASON_NOT_A_MEMBER,
}


class OwnCalls:
    """All raise RoomlineError if they fail."""

    def __init__(
        self, user: grpc.aio.Channel, message: grpc.aio.Channel, tokens: ServiceTokens, timeout_seconds: float
    ) -> None:
        self._users: UserServiceAsyncStub = UserServiceStub(user)
        self._rooms: RoomServiceAsyncStub = RoomServiceStub(message)
        self._cursors: CursorServiceAsyncStub = CursorServiceStub(message)
        self._authorizer = RemoteAuthorizer(AccessServiceStub(message), tokens)
        self._tokens = tokens
        self._timeout_seconds = timeout_seconds

    async def require_reader(self, caller: Caller) -> None:
        """Returns if the caller may read messages in whatever room it is in, as `EventService.Watch` decides it.

        Raises PERMISSION_MISSING.
        """
        if caller.is_user and not await self._authorizer.allowed(caller, READ_MESSAGES, ""):
            raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=READ_MESSAGES)

    async def user_room(self, instance_id: str, user_id: str, room_id: str) -> GetUserRoomResponse | None:
        """The room as the user sees it, and the position of that; None if the user is no member of it."""
        request = GetUserRoomRequest(user_id=user_id, room_id=room_id)
        try:
            return await self._call(self._rooms.GetUserRoom, request, instance_id)
        except grpc.aio.AioRpcError as error:
            if failure_of(error).reason in _GONE:
                return None
            raise reraise(error) from error

    async def user_cursors(self, instance_id: str, user_id: str) -> tuple[list[Cursor], int]:
        """All cursors of a user, and the position of that."""
        try:
            answer: ListUserCursorsResponse = await self._call(
                self._cursors.ListUserCursors, ListUserCursorsRequest(user_id=user_id), instance_id
            )
        except grpc.aio.AioRpcError as error:
            raise reraise(error) from error
        return list(answer.cursors), answer.position

    async def members(self, instance_id: str, room_id: str) -> set[str]:
        """The members of a room; nobody if it is gone."""
        try:
            answer = await self._call(self._rooms.ListMembers, ListMembersRequest(room_id=room_id), instance_id)
        except grpc.aio.AioRpcError as error:
            if failure_of(error).reason in _GONE:
                return set()
            raise reraise(error) from error
        return set(answer.user_ids)

    async def user_name(self, instance_id: str, user_id: str) -> str:
        """A user's name; the id if there is no such user any more."""
        try:
            answer = await self._call(self._users.BatchGetUsers, BatchGetUsersRequest(ids=[user_id]), instance_id)
        except grpc.aio.AioRpcError as error:
            raise reraise(error) from error
        return answer.users[0].name if answer.users else user_id

    async def user_uids(self, instance_id: str, user_ids: Sequence[str]) -> dict[str, str]:
        """The `uid`s of those of the users, 1,000 at most, that there are."""
        try:
            answer = await self._call(self._users.BatchGetUsers, BatchGetUsersRequest(ids=user_ids), instance_id)
        except grpc.aio.AioRpcError as error:
            raise reraise(error) from error
        return {user.id: user.uid for user in answer.users}

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request, instance_id: str
    ) -> Response:
        return await method(request, metadata=self._tokens.metadata(instance_id), timeout=self._timeout_seconds)
