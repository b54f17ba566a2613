"""Serves `InstanceService`: instances, their keys, flags and limits (spec §12.6)."""

from collections.abc import AsyncIterator, Awaitable, Callable

from roomline.v1 import instance_service_pb2_grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.instance_service_pb2 import (
    CreateInstanceRequest,
    CreateInstanceResponse,
    CreateKeyRequest,
    CreateKeyResponse,
    DeleteInstanceRequest,
    DeleteInstanceResponse,
    GetCredentialsRequest,
    GetCredentialsResponse,
    GetInstanceRequest,
    GetInstanceResponse,
    IssueTestTokenRequest,
    IssueTestTokenResponse,
    ListInstancesRequest,
    ListInstancesResponse,
    ListKeysRequest,
    ListKeysResponse,
    ResetInstanceRequest,
    ResetInstanceResponse,
    RevokeKeyRequest,
    RevokeKeyResponse,
    RotateKeyRequest,
    RotateKeyResponse,
    UpdateInstanceRequest,
    UpdateInstanceResponse,
    WatchCredentialsRequest,
    WatchCredentialsResponse,
)

from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.idempotency import request_key
from services.common.ids import MICROSECONDS, Clock, secret
from services.common.interceptors import Context
from services.common.masks import masked_paths
from services.common.pagination import decode_page_token, encode_page_token, page_size
from services.common.tokens import check_refresh_token, refresh_token, user_token
from services.user.deletions import Deletions
from services.user.directory import Directory
from services.user.store import Deletion, DeletionKind, InstanceStore

PAGE = 100
TEST_TOKEN_SECONDS = 86_400
"""How long tokens of the test provider are valid (spec §2.3)."""

UPDATABLE = frozenset(
    {"flags", *(f"flags.{field.name}" for field in InstanceFlags.DESCRIPTOR.fields)}
    | {"limits", *(f"limits.{field.name}" for field in InstanceLimits.DESCRIPTOR.fields)}
)


class InstanceServicer(instance_service_pb2_grpc.InstanceServiceServicer):
    """Serves `InstanceService`. `cluster` goes into the locators of new instances that name none.

    `prepare` completes the credentials of an instance that was just made, before anybody learns of them.
    """

    def __init__(
        self,
        instances: InstanceStore,
        directory: Directory,
        deletions: Deletions,
        *,
        cluster: str,
        clock: Clock,
        new_id: Callable[[], str],
        prepare: Callable[[str], Awaitable[None]],
        new_secret: Callable[[], str] = secret,
    ) -> None:
        self._instances = instances
        self._directory = directory
        self._deletions = deletions
        self._cluster = cluster
        self._clock = clock
        self._new_id = new_id
        self._prepare = prepare
        self._new_secret = new_secret

    async def CreateInstance(self, request: CreateInstanceRequest, context: Context) -> CreateInstanceResponse:
        instance = Instance(
            id=request.instance.id or self._new_id(),
            cluster=request.instance.cluster or self._cluster,
            flags=request.instance.flags,
            limits=request.instance.limits,
        )
        key = self._complete(request.key)
        repeat = request_key(current_caller(), request)

        async def store() -> CreateInstanceResponse:
            response = await self._instances.create(instance, key, repeat)
            await self._prepare(response.instance.id)
            return response

        async def create() -> CreateInstanceResponse:
            return await self._directory.after(store(), lambda response: response.instance.id)

        try:
            return await create()
        except RoomlineError as error:
            if error.reason != ErrorReason.ERROR_REASON_DELETION_PENDING:
                raise
        await self._deletions.finish_before_reuse(Deletion(instance.id, DeletionKind.INSTANCE))
        return await create()

    async def GetInstance(self, request: GetInstanceRequest, context: Context) -> GetInstanceResponse:
        return GetInstanceResponse(instance=await self._instances.get(request.instance_id))

    async def ListInstances(self, request: ListInstancesRequest, context: Context) -> ListInstancesResponse:
        after = decode_page_token(request.page_token, str)[0] if request.page_token else ""
        limit = page_size(request.page_size, PAGE)
        found = await self._instances.page(after, limit + 1)
        response = ListInstancesResponse(instances=found[:limit])
        if len(found) > limit:
            response.next_page_token = encode_page_token(found[limit - 1].id)
        return response

    async def UpdateInstance(self, request: UpdateInstanceRequest, context: Context) -> UpdateInstanceResponse:
        paths = masked_paths(request.update_mask, request.instance, UPDATABLE)
        repeat = request_key(current_caller(), request)
        return await self._directory.after(
            self._instances.update(request.instance, paths, repeat), lambda response: response.instance.id
        )

    async def DeleteInstance(self, request: DeleteInstanceRequest, context: Context) -> DeleteInstanceResponse:
        repeat = request_key(current_caller(), request)
        response = await self._directory.after(
            self._instances.delete(request.instance_id, repeat), lambda _: request.instance_id
        )
        await self._deletions.finish_soon(Deletion(request.instance_id, DeletionKind.INSTANCE))
        return response

    async def CreateKey(self, request: CreateKeyRequest, context: Context) -> CreateKeyResponse:
        repeat = request_key(current_caller(), request)
        return await self._directory.after(
            self._instances.create_key(request.instance_id, self._complete(request.key), repeat),
            lambda _: request.instance_id,
        )

    async def ListKeys(self, request: ListKeysRequest, context: Context) -> ListKeysResponse:
        credentials = await self._instances.credentials(request.instance_id)
        if credentials is None:
            raise _instance_not_found()
        for key in credentials.keys:
            key.ClearField("secret")
        return ListKeysResponse(keys=credentials.keys)

    async def RevokeKey(self, request: RevokeKeyRequest, context: Context) -> RevokeKeyResponse:
        repeat = request_key(current_caller(), request)
        return await self._directory.after(
            self._instances.revoke_key(request.instance_id, request.key_id, repeat), lambda _: request.instance_id
        )

    async def RotateKey(self, request: RotateKeyRequest, context: Context) -> RotateKeyResponse:
        key = self._complete(InstanceKey())
        repeat = request_key(current_caller(), request)
        return await self._directory.after(
            self._instances.rotate_key(request.instance_id, key, request.grace_seconds, repeat),
            lambda _: request.instance_id,
        )

    async def IssueTestToken(self, request: IssueTestTokenRequest, context: Context) -> IssueTestTokenResponse:
        credentials = await self._directory.get(request.instance_id)
        # Anybody may ask, so that an instance without a provider looks like none (fault 5).
        if credentials is None or not credentials.instance.flags.test_token_provider or not credentials.keys:
            raise RoomlineError(ErrorReason.ERROR_REASON_TEST_TOKENS_DISABLED)
        if request.refresh_token:
            check_refresh_token(request.refresh_token, credentials, request.user_id)
        newest = credentials.keys[-1]
        now = self._clock() / MICROSECONDS
        token = user_token(
            request.instance_id, newest.id, newest.secret, request.user_id, now, lifetime=TEST_TOKEN_SECONDS
        )
        return IssueTestTokenResponse(
            access_token=token,
            expires_in=TEST_TOKEN_SECONDS,
            refresh_token=refresh_token(request.instance_id, newest, request.user_id, now),
        )

    async def ResetInstance(self, request: ResetInstanceRequest, context: Context) -> ResetInstanceResponse:
        caller = current_caller()
        if not caller.flags.allow_reset:
            raise RoomlineError(ErrorReason.ERROR_REASON_RESET_DISABLED)
        await self._deletions.clear(caller.instance_id)
        return ResetInstanceResponse()

    async def GetCredentials(self, request: GetCredentialsRequest, context: Context) -> GetCredentialsResponse:
        credentials = await self._directory.get(request.instance_id)
        if credentials is None:
            raise _instance_not_found()
        ended = self._directory.ended_sessions(request.instance_id)
        return GetCredentialsResponse(credentials=credentials, ended_sessions=ended)

    async def WatchCredentials(
        self,
        request: WatchCredentialsRequest,
        context: Context,
    ) -> AsyncIterator[WatchCredentialsResponse]:
        async for news in self._directory.watch():
            yield news

    def _complete(self, key: InstanceKey) -> InstanceKey:
        """The key to store: what is not given is made."""
        return InstanceKey(id=key.id or self._new_id(), secret=key.secret or self._new_secret())


def _instance_not_found() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND)
