"""EventService: see proto/roomline/v1/event_service.proto."""

from collections.abc import AsyncIterator

from roomline.v1 import event_service_pb2 as pb
from roomline.v1.event_service_pb2_grpc import EventServiceServicer

from services.common.call import current_caller
from services.common.interceptors import Context
from services.message.event_store import EventStore
from services.message.feed import Feed


class EventServicer(EventServiceServicer):
    """What happens, as it happens."""

    def __init__(self, store: EventStore, feed: Feed) -> None:
        self._store = store
        self._feed = feed

    def Watch(
        self, request_iterator: AsyncIterator[pb.WatchRequest], context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        return self._feed.watch(current_caller(), request_iterator)

    async def ReportTyping(self, request: pb.ReportTypingRequest, context: Context) -> pb.ReportTypingResponse:
        caller = current_caller()
        typed = await self._store.typed(caller, caller.actor(), request.room_id)
        self._feed.typed(caller.instance_id, typed)
        return pb.ReportTypingResponse()
