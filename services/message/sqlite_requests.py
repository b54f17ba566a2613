"""Remembered requests on SQLite."""

from typing import TypeVar

from google.protobuf.message import Message

from services.common.call import Caller
from services.common.idempotency import recall, request_key
from services.common.sqlite import Database

M = TypeVar("M", bound=Message)


class SqliteRequests:
    """Keeps the promises of `RequestStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recall(self, caller: Caller, request: Message, response_class: type[M]) -> M | None:
        """See `RequestStore`."""
        return await recall(self._database, request_key(caller, request), response_class)
