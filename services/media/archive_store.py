"""What the media service's store promises of archives; see `store`, whose preface counts here too."""

from collections.abc import AsyncGenerator, Sequence, Set
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ImportResult

from services.media.store import Use


class Exported(NamedTuple):
    """A record on its way out."""

    record: ArchiveRecord
    blob: str | None = None
    """The key of bytes whose digest nobody knows: it is missing in the record."""
    size: int = 0
    """How many they are."""


class Export(NamedTuple):
    """An export, open."""

    total: int
    """How many records there are."""
    pages: AsyncGenerator[list[Exported]]
    """The records, in order; close it."""


class ArchiveStore(Protocol):
    """Attachments and avatars, without their bytes, out and in."""

    def export(self, instance_id: str, user_id: str) -> AbstractAsyncContextManager[Export]:
        """Attachments by id and avatars by user id, as they are at one moment, which lasts as long as the block.

        Reservations are left out that have neither bytes nor a use. With a user id only the user's avatar, and what the
        user has uploaded or sent, with the user's own uses.
        """

    async def take(
        self, instance_id: str, records: Sequence[ArchiveRecord], users: Set[str], live: Set[Use]
    ) -> list[ImportResult]:
        """Takes records up that keep the field rules, in this order; returns what became of each.

        Attachments come without bytes; those that come later have to have the record's digest, if it has one. Of users
        only those given exist, of uses only those given count: as claims, which are looked at again later like all
        claims. The quotas count them, and do not stop them. Avatars are only looked at: they come with their bytes.
        """
