"""What the user service keeps, and what it promises about it.

Every write is one transaction and on disk when it returns. Methods that take a `RequestKey` answer a repeated request
as they did the first time, and raise REQUEST_ID_REUSED for another request with the same id (AIP-155).
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import (
    CreateInstanceResponse,
    CreateKeyResponse,
    DeleteInstanceResponse,
    InstanceCredentials,
    RevokeKeyResponse,
    RotateKeyResponse,
    UpdateInstanceResponse,
)
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import (
    BatchCreateUsersResponse,
    CreateUserResponse,
    DeleteUserResponse,
    NewUser,
    StartUserDeletionResponse,
    UpdateUserResponse,
)

from services.common.idempotency import RequestKey


class Age(NamedTuple):
    """A place in the list of users, which has the oldest first."""

    created_at: int
    """Microseconds since the Unix epoch."""
    sequence: int
    """Rises with every user of the instance; from 1 up."""


class DeletionKind(StrEnum):
    """What was deleted; the `kind` of DELETION_PENDING."""

    USER = "user"
    INSTANCE = "instance"


class Deletion(NamedTuple):
    """Something that is gone here and still has to go elsewhere."""

    instance_id: str
    kind: DeletionKind
    id: str = ""
    """Of the user; empty for an instance."""


class UserStore(Protocol):
    """The users of all instances."""

    async def create(self, instance_id: str, user: NewUser, key: RequestKey | None) -> CreateUserResponse:
        """Adds a user. Raises what `create_all` raises."""

    async def create_all(
        self, instance_id: str, users: Sequence[NewUser], key: RequestKey | None
    ) -> BatchCreateUsersResponse:
        """Adds users, all or none; the answer, and later lists, have them in this order.

        Raises USER_ALREADY_EXISTS (also for an id that stands twice), DELETION_PENDING while an earlier user of an id
        is still being deleted, and INSTANCE_NOT_FOUND.
        """

    async def get(self, instance_id: str, user_ids: Collection[str]) -> list[User]:
        """The users with these ids that exist, in this order, each once."""

    async def page(self, instance_id: str, after: Age, limit: int) -> tuple[list[User], Age | None]:
        """The next users by `Age`, strictly after the given one; and the last one's age if there are more."""

    async def update(
        self, instance_id: str, user: User, paths: Collection[str], key: RequestKey | None
    ) -> UpdateUserResponse:
        """Takes over the fields that `paths` name, and moves `updated_at`; no path, no change.

        Raises USER_NOT_FOUND.
        """

    async def delete(self, instance_id: str, user_id: str, key: RequestKey | None) -> DeleteUserResponse:
        """Removes the user and leaves its `Deletion`, in one transaction. An account and its sessions end with it.

        Raises USER_NOT_FOUND.
        """

    async def start_deletion(self, instance_id: str, user_id: str, key: RequestKey | None) -> StartUserDeletionResponse:
        """The same, with a job that lasts as long as the `Deletion`."""


class InstanceStore(Protocol):
    """Instances and their keys."""

    async def create(self, instance: Instance, key: InstanceKey, request: RequestKey | None) -> CreateInstanceResponse:
        """Adds an instance with one key.

        Raises INSTANCE_ALREADY_EXISTS, and DELETION_PENDING while an earlier instance of the id is still being deleted.
        """

    async def get(self, instance_id: str) -> Instance:
        """The instance. Raises INSTANCE_NOT_FOUND."""

    async def page(self, after: str, limit: int) -> list[Instance]:
        """The instances whose ids follow the given one by bytes; it need not exist."""

    async def update(
        self, instance: Instance, paths: Collection[str], request: RequestKey | None
    ) -> UpdateInstanceResponse:
        """Takes over the flags and limits that `paths` name, and moves `updated_at`. Raises INSTANCE_NOT_FOUND."""

    async def delete(self, instance_id: str, request: RequestKey | None) -> DeleteInstanceResponse:
        """Removes instance and keys and leaves a `Deletion` for the rest, in one transaction.

        Raises INSTANCE_NOT_FOUND.
        """

    async def create_key(self, instance_id: str, key: InstanceKey, request: RequestKey | None) -> CreateKeyResponse:
        """Adds a key. Raises INSTANCE_NOT_FOUND or KEY_ALREADY_EXISTS."""

    async def revoke_key(self, instance_id: str, key_id: str, request: RequestKey | None) -> RevokeKeyResponse:
        """Ends a key now, unless it has ended before. Raises INSTANCE_NOT_FOUND or KEY_NOT_FOUND."""

    async def rotate_key(
        self, instance_id: str, key: InstanceKey, grace_seconds: int, request: RequestKey | None
    ) -> RotateKeyResponse:
        """Adds a key and ends the others after the grace time, or earlier if that was said before.

        Raises INSTANCE_NOT_FOUND or KEY_ALREADY_EXISTS.
        """

    async def credentials(self, instance_id: str) -> InstanceCredentials | None:
        """Instance and keys, oldest first, with secrets, also those that have ended; None if there is no instance.

        Account keys come newest first; the rest of `InstanceCredentials` is not the store's.
        """

    async def all_credentials(self) -> list[InstanceCredentials]:
        """`credentials` of every instance."""


class DeletionStore(Protocol):
    """The deletions that are not finished, and what they leave behind."""

    async def pending(self) -> list[Deletion]:
        """All that are not finished, oldest first."""

    async def is_pending(self, deletion: Deletion) -> bool:
        """Whether it still has to be finished."""

    async def finished(self, deletion: Deletion) -> None:
        """Forgets it: from now on its id may be used again."""

    async def wipe(self, instance_id: str) -> None:
        """Removes users, with accounts and sessions, jobs and remembered requests of an instance, piece by piece."""

    async def drop_user_deletions(self, instance_id: str) -> None:
        """Forgets the pending deletions of an instance's users, because all of the instance is gone elsewhere too."""
