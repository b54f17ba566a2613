"""What the message service's store promises of archives; see `store`, whose preface counts here too."""

from collections.abc import AsyncGenerator, Sequence, Set
from typing import Protocol

from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ExportRecordsResponse, ImportResult


class ArchiveStore(Protocol):
    """Everything that there is of an instance but its log, out and in."""

    def export(self, instance_id: str, user_id: str) -> AsyncGenerator[ExportRecordsResponse]:
        """Roles, rooms by age, assignments, and messages by id, as they were at one moment; close it.

        With a user id only what is of that user: rooms with its membership or messages of its own, and of those only
        its own membership and cursor; its roles; its messages.
        """

    async def take(
        self, instance_id: str, records: Sequence[ArchiveRecord], users: Set[str], asked_at: int
    ) -> list[ImportResult]:
        """Takes records up that keep the field rules, in this order; returns what became of each.

        `users` are those of the users named there that existed at `asked_at`, in the store's clock; others get nothing.
        A room has its cursors with it, without events of their own. Many are taken up piece by piece, each piece in one
        transaction, so that nobody waits long. Raises USERS_NOT_FOUND if the instance was purged since.
        """
