"""Tells the interceptors which room a request means that names one by a `uid`."""

from services.common.call import Caller
from services.message.conversation_store import NameStore


class LocalNames:
    """The `Names` of the message service: it asks its own store."""

    def __init__(self, store: NameStore) -> None:
        self._store = store

    async def room_id(self, caller: Caller, field: str, uid: str) -> str | None:
        """See `Names`."""
        if field == "room_uid":
            return await self._store.room_id(caller, uid)
        return await self._store.room_id_of_message(caller, uid)
