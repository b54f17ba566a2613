"""Asks the user service whether users exist, and what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_service_pb2 import BatchGetUsersRequest

from services.common.errors import RoomlineError, reraise
from services.common.tokens import ServiceTokens

if TYPE_CHECKING:
    from roomline.v1.user_pb2 import User
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

AT_ONCE = 1000


class Users:
    """What the other services need to know of users."""

    def __init__(self, stub: UserServiceAsyncStub, tokens: ServiceTokens) -> None:
        self._stub = stub
        self._tokens = tokens

    async def require_all(self, instance_id: str, user_ids: list[str]) -> None:
        """Raises USERS_NOT_FOUND if one of the users (all different) does not exist, and SERVICE_UNAVAILABLE."""
        found = len(await self.existing(instance_id, user_ids))
        if found < len(user_ids):
            raise RoomlineError(
                ErrorReason.ERROR_REASON_USERS_NOT_FOUND, missing=len(user_ids) - found, total=len(user_ids)
            )

    async def require(self, instance_id: str, user_id: str) -> None:
        """Raises USER_NOT_FOUND if the user does not exist, and SERVICE_UNAVAILABLE."""
        if not await self.existing(instance_id, [user_id]):
            raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)

    async def existing(self, instance_id: str, user_ids: list[str]) -> set[str]:
        """Those of the users that exist. Raises SERVICE_UNAVAILABLE."""
        return {user.id for user in await self._get(instance_id, user_ids, ids_only=True)}

    async def names(self, instance_id: str, user_ids: list[str]) -> dict[str, str]:
        """What those of the users are called that exist, by their ids. Raises SERVICE_UNAVAILABLE."""
        return {user.id: user.name for user in await self._get(instance_id, user_ids, ids_only=False)}

    async def _get(self, instance_id: str, user_ids: list[str], *, ids_only: bool) -> list[User]:
        found: list[User] = []
        for start in range(0, len(user_ids), AT_ONCE):
            request = BatchGetUsersRequest(ids=user_ids[start : start + AT_ONCE], ids_only=ids_only)
            try:
                answer = await self._stub.BatchGetUsers(request, metadata=self._tokens.metadata(instance_id), timeout=5)
            except grpc.aio.AioRpcError as error:
                raise reraise(error) from error
            found.extend(answer.users)
        return found
