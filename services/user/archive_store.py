"""What the user service's store promises of archives; see `store`, whose preface counts here too."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from roomline.v1.archive_pb2 import UserRecord
from roomline.v1.archive_service_pb2 import ExportRecordsResponse, ImportResult


class ArchiveStore(Protocol):
    """The users of an instance with their accounts, out and in."""

    def export(self, instance_id: str, user_id: str) -> AsyncGenerator[ExportRecordsResponse]:
        """All users by `Age`, as they were at one moment; close it.

        With a user id that user only, without the hash of its password. Raises USER_NOT_FOUND.
        """

    async def take(self, instance_id: str, records: Sequence[UserRecord]) -> list[ImportResult]:
        """Takes users up that keep the field rules, in this order; returns what became of each.

        Raises DELETION_PENDING while an earlier user of an id is still being deleted, and INSTANCE_NOT_FOUND.
        """
