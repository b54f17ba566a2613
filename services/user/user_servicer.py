"""Serves `UserService`: the users of the caller's instance (spec §3)."""

from roomline.v1 import user_service_pb2_grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import (
    BatchCreateUsersRequest,
    BatchCreateUsersResponse,
    BatchGetUsersRequest,
    BatchGetUsersResponse,
    CreateUserRequest,
    CreateUserResponse,
    DeleteUserRequest,
    DeleteUserResponse,
    GetUserDeletionRequest,
    GetUserDeletionResponse,
    GetUserRequest,
    GetUserResponse,
    ListUsersRequest,
    ListUsersResponse,
    StartUserDeletionRequest,
    StartUserDeletionResponse,
    UpdateUserRequest,
    UpdateUserResponse,
)

from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.idempotency import request_key
from services.common.interceptors import Context
from services.common.jobs import JobStore
from services.common.limits import check_batch, check_custom_data, check_new_user
from services.common.masks import masked_paths
from services.common.pagination import decode_page_token, encode_page_token, page_size
from services.common.rules import required
from services.common.timestamps import from_proto
from services.user.deletions import Deletions
from services.user.directory import Directory
from services.user.store import Age, Deletion, DeletionKind, UserStore

DEFAULT_PAGE = 20
UPDATABLE = frozenset({"name", "avatar_url", "custom_data"})


class UserServicer(user_service_pb2_grpc.UserServiceServicer):
    """Serves `UserService`."""

    def __init__(self, users: UserStore, jobs: JobStore, deletions: Deletions, directory: Directory) -> None:
        self._users = users
        self._jobs = jobs
        self._deletions = deletions
        self._directory = directory

    async def CreateUser(self, request: CreateUserRequest, context: Context) -> CreateUserResponse:
        caller = current_caller()
        check_new_user(caller, request.user)
        key = request_key(caller, request)
        return await self._deletions.freeing(
            caller.instance_id,
            [request.user.id],
            lambda: self._users.create(caller.instance_id, request.user, key),
        )

    async def BatchCreateUsers(
        self,
        request: BatchCreateUsersRequest,
        context: Context,
    ) -> BatchCreateUsersResponse:
        caller = current_caller()
        check_batch(caller, len(request.users), "users")
        for index, user in enumerate(request.users):
            check_new_user(caller, user, f"users[{index}].")
        key = request_key(caller, request)
        return await self._deletions.freeing(
            caller.instance_id,
            [user.id for user in request.users],
            lambda: self._users.create_all(caller.instance_id, request.users, key),
        )

    async def GetUser(self, request: GetUserRequest, context: Context) -> GetUserResponse:
        users = await self._users.get(current_caller().instance_id, [request.id])
        if not users:
            raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
        return GetUserResponse(user=users[0])

    async def BatchGetUsers(self, request: BatchGetUsersRequest, context: Context) -> BatchGetUsersResponse:
        users = await self._users.get(current_caller().instance_id, request.ids)
        return BatchGetUsersResponse(users=[User(id=user.id) for user in users] if request.ids_only else users)

    async def ListUsers(self, request: ListUsersRequest, context: Context) -> ListUsersResponse:
        after = Age(from_proto(request.created_from), 0)
        if request.page_token:
            after = max(after, Age(*decode_page_token(request.page_token, int, int)))
        caller = current_caller()
        limit = page_size(request.page_size, DEFAULT_PAGE, caller.limits.list_items)
        users, following = await self._users.page(caller.instance_id, after, limit)
        return ListUsersResponse(users=users, next_page_token=encode_page_token(*following) if following else "")

    async def UpdateUser(self, request: UpdateUserRequest, context: Context) -> UpdateUserResponse:
        caller = current_caller()
        paths = masked_paths(request.update_mask, request.user, UPDATABLE)
        if "name" in paths and not request.user.name:
            raise required("name")
        if "custom_data" in paths:
            check_custom_data(caller, request.user)
        return await self._users.update(caller.instance_id, request.user, paths, request_key(caller, request))

    async def DeleteUser(self, request: DeleteUserRequest, context: Context) -> DeleteUserResponse:
        caller = current_caller()
        deletion = self._users.delete(caller.instance_id, request.id, request_key(caller, request))
        response = await self._directory.ending(deletion)
        await self._deletions.finish_soon(Deletion(caller.instance_id, DeletionKind.USER, request.id))
        return response

    async def StartUserDeletion(self, request: StartUserDeletionRequest, context: Context) -> StartUserDeletionResponse:
        caller = current_caller()
        deletion = self._users.start_deletion(caller.instance_id, request.id, request_key(caller, request))
        response = await self._directory.ending(deletion)
        self._deletions.more()
        return response

    async def GetUserDeletion(self, request: GetUserDeletionRequest, context: Context) -> GetUserDeletionResponse:
        return GetUserDeletionResponse(job=await self._jobs.get(current_caller().instance_id, request.job_id))
