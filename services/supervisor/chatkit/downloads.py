"""The bytes of attachments, from where Chatkit has them."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import aclosing
from typing import BinaryIO

from services.common.outbound import Outbound, OutboundError, OutboundUnanswered
from services.supervisor.archive.importing import Importer, Item
from services.supervisor.archive.kinds import ATTACHMENT
from services.supervisor.command_error import CommandError

HOPELESS = 20
"""After so many requests in a row without any answer a host gets no more: it is gone, and each would take its time."""


class Downloads:
    """Fetches bytes and hands them on. What cannot be had is in the report, and can be tried again by another import.

    `most` is how many bytes this server takes. Without a way out nothing is fetched.
    """

    def __init__(self, importer: Importer, outbound: Outbound | None, most: int) -> None:
        self._importer = importer
        self._outbound = outbound
        self._most = most
        self._unanswered: Counter[str] = Counter()
        """Requests in a row, by scheme and host."""

    async def bring(self, item: Item) -> None:
        """Brings the bytes of an attachment whose `source` is a signed URL. Raises CommandError."""
        if self._outbound is None:
            self._importer.lost(ATTACHMENT, item, "files were not asked for")
            return
        size = item.record.attachment.size
        if size > self._most:
            self._importer.lost(ATTACHMENT, item, f"it has {size} bytes; this server takes {self._most}")
            return
        host = "/".join(item.source.split("/", 3)[:3])
        if self._unanswered[host] >= HOPELESS:
            detail = f"its download_url: it was not asked for, since {HOPELESS} others of its host had no answer"
            self._importer.lost(ATTACHMENT, item, detail)
            return
        with tempfile.TemporaryFile() as file:
            try:
                await _fetch(self._outbound, item.source, size, file)
            except OutboundError as error:
                self._answered(host, not isinstance(error, OutboundUnanswered))
                self._importer.lost(ATTACHMENT, item, f"its download_url: {error}")
                return
            self._answered(host, True)
            await self._importer.bytes_of(ATTACHMENT, item, file)

    def _answered(self, host: str, answered: bool) -> None:
        if answered:
            self._unanswered.pop(host, None)
        else:
            self._unanswered[host] += 1


async def _fetch(outbound: Outbound, url: str, most: int, target: BinaryIO) -> None:
    """Raises OutboundError, and CommandError if there is no space for it."""
    async with aclosing(outbound.get(url, most)) as pieces:
        async for piece in pieces:
            try:
                target.write(piece)
            except OSError as error:
                raise CommandError(f"cannot write to {tempfile.gettempdir()}: {error.strerror}") from error
