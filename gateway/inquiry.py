"""What the edge itself asks the services, beside what the handlers ask for their clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_service_pb2 import BatchGetUsersRequest
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from gateway.problem import problem_of

if TYPE_CHECKING:
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

    from gateway.request import Request

BAD_TOKEN = {
    ErrorReason.ERROR_REASON_TOKEN_INVALID,
    ErrorReason.ERROR_REASON_TOKEN_EXPIRED,
    ErrorReason.ERROR_REASON_SESSION_ENDED,
}


class Inquiry:
    """Asks with the client's own token."""

    def __init__(self, user: grpc.aio.Channel) -> None:
        self._users: UserServiceAsyncStub = UserServiceStub(user)

    async def check_token(self, request: Request) -> None:
        """Raises if the token is a bad one; all else, such as a service that is away, is left to others.

        For requests of which no service would see the token, or none before they have cost something.
        """
        try:
            await self._existing(request, [])
        except grpc.aio.AioRpcError as error:
            if problem_of(error).reason in BAD_TOKEN:
                raise

    async def only_second_exists(self, request: Request, first: str, second: str) -> bool:
        """Whether there is a user of the second id and none of the first; False if the client may not know."""
        try:
            return await self._existing(request, [first, second]) == {second}
        except grpc.aio.AioRpcError:
            return False

    async def _existing(self, request: Request, ids: list[str]) -> set[str]:
        answer = await request.call(self._users.BatchGetUsers, BatchGetUsersRequest(ids=ids, ids_only=True))
        return {user.id for user in answer.users}
