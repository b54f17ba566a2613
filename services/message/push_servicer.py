"""PushService: see proto/roomline/v1/push_service.proto."""

from roomline.v1 import push_service_pb2 as pb
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.push_service_pb2_grpc import PushServiceServicer

from services.common import pagination
from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.outbound import Outbound, OutboundError
from services.common.rules import invalid, required
from services.common.users import Users
from services.message.push_feed import PushFeed
from services.message.push_message import check_keys
from services.message.push_store import PushSubscriptionStore
from services.message.vapid import Vapid

MAX_SUBSCRIPTIONS = 20
"""Browsers of one user."""


class PushServicer(PushServiceServicer):
    """Browsers that are told of new messages. Without a key nobody can subscribe, but leave."""

    def __init__(
        self,
        store: PushSubscriptionStore,
        feed: PushFeed,
        vapid: Vapid | None,
        outbound: Outbound,
        users: Users,
        clock: Clock,
    ) -> None:
        self._store = store
        self._feed = feed
        self._vapid = vapid
        self._outbound = outbound
        self._users = users
        self._clock = clock

    async def GetPushKey(self, request: pb.GetPushKeyRequest, context: Context) -> pb.GetPushKeyResponse:
        return pb.GetPushKeyResponse(public_key=self._configured().public_key)

    async def CreatePushSubscription(
        self, request: pb.CreatePushSubscriptionRequest, context: Context
    ) -> pb.CreatePushSubscriptionResponse:
        self._configured()
        check_keys(request.p256dh, request.auth)
        instance_id = current_caller().instance_id
        asked_at = self._clock()
        await self._users.require(instance_id, request.user_id)
        try:
            await self._outbound.check(request.endpoint)
        except OutboundError as error:
            # One answer, whatever is wrong: else the names inside of our network could be guessed.
            raise invalid("endpoint", "the https URL of a push service on the internet") from error
        subscription = await self._store.create(instance_id, request, asked_at, MAX_SUBSCRIPTIONS)
        await self._feed.begin(instance_id)
        return pb.CreatePushSubscriptionResponse(subscription=subscription)

    async def ListPushSubscriptions(
        self, request: pb.ListPushSubscriptionsRequest, context: Context
    ) -> pb.ListPushSubscriptionsResponse:
        size = pagination.page_size(request.page_size, default=20)
        after = pagination.decode_page_token(request.page_token, str)[0] if request.page_token else ""
        found = await self._store.page(current_caller().instance_id, request.user_id, after, size + 1)
        token = pagination.encode_page_token(found[size - 1].id) if len(found) > size else ""
        return pb.ListPushSubscriptionsResponse(subscriptions=found[:size], next_page_token=token)

    async def DeletePushSubscription(
        self, request: pb.DeletePushSubscriptionRequest, context: Context
    ) -> pb.DeletePushSubscriptionResponse:
        if not request.id and not request.endpoint:
            raise required("id")
        await self._store.delete(current_caller().instance_id, request.user_id, request.id, request.endpoint)
        return pb.DeletePushSubscriptionResponse()

    def _configured(self) -> Vapid:
        """Raises PUSH_NOT_CONFIGURED."""
        if self._vapid is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_PUSH_NOT_CONFIGURED)
        return self._vapid
