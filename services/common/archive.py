"""What the archive services have in common: frames of records, and the outcome of each record."""

import re
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ExportRecordsResponse, ImportOutcome, ImportResult

from services.common import rules
from services.common.errors import RoomlineError

FRAME_BYTES = 256 * 1024
"""How much an answer of an export has, with the last of its records a little more."""
ITEMS_AT_ONCE = 2000
"""Members, cursors, users or uses in one record: with the longest ids it fits a request. More have further records."""
SHOWN = 10
"""How many names a detail has at most."""

T = TypeVar("T")

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def imported(left_out: Sequence[str] = ()) -> ImportResult:
    """It was taken up, without what is said here."""
    if left_out:
        return ImportResult(outcome=ImportOutcome.IMPORT_OUTCOME_REDUCED, detail="; ".join(left_out))
    return ImportResult(outcome=ImportOutcome.IMPORT_OUTCOME_IMPORTED)


def unchanged() -> ImportResult:
    """It is there already."""
    return ImportResult(outcome=ImportOutcome.IMPORT_OUTCOME_UNCHANGED)


def conflict(detail: str) -> ImportResult:
    """There is another one of its id."""
    return ImportResult(outcome=ImportOutcome.IMPORT_OUTCOME_CONFLICT, detail=detail)


def refused(detail: str) -> ImportResult:
    """It cannot be taken up."""
    return ImportResult(outcome=ImportOutcome.IMPORT_OUTCOME_REFUSED, detail=detail)


def listed(names: Collection[str]) -> str:
    """The names, as text; of many only the first."""
    first = ", ".join(sorted(names)[:SHOWN])
    return f"{first} and {len(names) - SHOWN} more" if len(names) > SHOWN else first


def size_of(record: ArchiveRecord) -> int:
    """What a record takes of a frame."""
    return record.ByteSize()


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """The items of a record, and of its further ones; the first list is there also if it is empty."""
    following = iter(items)
    yield list(islice(following, ITEMS_AT_ONCE))
    while portion := list(islice(following, ITEMS_AT_ONCE)):
        yield portion


def uid_fault(uid: str) -> str:
    """What is wrong with a `uid`; empty if nothing is."""
    return "" if _UID.fullmatch(uid) else f"uid {uid!r} is no UUID in lower case"


def time_fault(message: Message, *names: str) -> str:
    """Which of these fields, times of the message, is unset; empty if none is."""
    missing = [name for name in names if not message.HasField(name)]
    return f"{' and '.join(missing)} must be set" if missing else ""


async def frames(total: int, pages: AsyncGenerator[list[ArchiveRecord]]) -> AsyncGenerator[ExportRecordsResponse]:
    """The answers of an export, one for each page, with the number of records in the first one. Closes the pages."""
    frame = ExportRecordsResponse(total=total)
    async with aclosing(pages):
        async for records in pages:
            frame.records.extend(records)
            yield frame
            frame = ExportRecordsResponse()
    if frame.HasField("total"):
        yield frame


class Checked(NamedTuple):
    """The records of a call, some of which are answered for already."""

    results: list[ImportResult | None]
    """For each record its result, if it was refused."""
    records: list[ArchiveRecord]
    """The others, in order."""

    def with_taken(self, taken: Sequence[ImportResult]) -> list[ImportResult]:
        """The results of all records, with those of the others."""
        following = iter(taken)
        return [next(following) if result is None else result for result in self.results]


def check(records: Sequence[ArchiveRecord], kinds: Collection[str]) -> Checked:
    """Refuses the records that are of none of these kinds, and those that break field rules.

    The interceptor leaves records alone (`FieldRule.unchecked`), so that one bad record does not fail its call.
    """
    results = [_refusal(record, kinds) for record in records]
    return Checked(results, [record for record, result in zip(records, results, strict=True) if result is None])


def _refusal(record: ArchiveRecord, kinds: Collection[str]) -> ImportResult | None:
    kind = record.WhichOneof("kind")
    if kind not in kinds:
        return refused(f"a record of the kind {kind or '(none)'} is not for this service")
    try:
        rules.check(record)
    except RoomlineError as error:
        return refused(error.message)
    return None
