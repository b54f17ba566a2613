"""Asks the message service, where roles and members live, who may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from roomline.v1.access_service_pb2 import CheckRequest

from services.common.call import Caller
from services.common.errors import reraise
from services.common.tokens import ServiceTokens

if TYPE_CHECKING:
    from roomline.v1.access_service_pb2_grpc import AccessServiceAsyncStub


class RemoteAuthorizer:
    """An `Authorizer` that asks `AccessService.Check`, uncached: a role change counts on the very next call."""

    def __init__(self, stub: AccessServiceAsyncStub, tokens: ServiceTokens) -> None:
        self._stub = stub
        self._tokens = tokens

    async def allowed(self, caller: Caller, permission: str, room_id: str) -> bool:
        """See `Authorizer`. Raises SERVICE_UNAVAILABLE if the message service cannot be reached."""
        request = CheckRequest(user_id=caller.user_id, permission=permission, room_id=room_id)
        try:
            answer = await self._stub.Check(request, metadata=self._tokens.metadata(caller.instance_id), timeout=5)
        except grpc.aio.AioRpcError as error:
            raise reraise(error) from error
        return answer.allowed
