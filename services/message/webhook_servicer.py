"""WebhookService: see proto/roomline/v1/webhook_service.proto."""

import os
from collections.abc import Callable

import structlog
from roomline.v1 import webhook_service_pb2 as pb
from roomline.v1.webhook_pb2 import Webhook
from roomline.v1.webhook_service_pb2_grpc import WebhookServiceServicer

from services.common.call import current_caller
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.masks import masked_paths
from services.common.outbound import Outbound, OutboundError
from services.common.rules import invalid, required
from services.message.store import RequestStore
from services.message.webhook_deliveries import EVENT_KINDS
from services.message.webhook_store import WebhookStore

log = structlog.get_logger()

UPDATABLE = frozenset({"url", "description", "event_kinds", "disabled"})
SECRET_BYTES = 32
OVERLAP_SECONDS = 24 * 3600
"""How long a secret that was replaced is still signed with."""


class WebhookServicer(WebhookServiceServicer):
    """Receivers of the instance's events."""

    def __init__(
        self,
        store: WebhookStore,
        requests: RequestStore,
        outbound: Outbound,
        clock: Clock,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._requests = requests
        self._outbound = outbound
        self._clock = clock
        self._entropy = entropy

    async def CreateWebhook(self, request: pb.CreateWebhookRequest, context: Context) -> pb.CreateWebhookResponse:
        caller, asked_at = current_caller(), self._clock()
        first = await self._requests.recall(caller, request, pb.CreateWebhookResponse)
        if first is not None:
            return first
        await self._check(request.webhook, UPDATABLE)
        return await self._store.create(caller, request, self._entropy(SECRET_BYTES), asked_at)

    async def GetWebhook(self, request: pb.GetWebhookRequest, context: Context) -> pb.GetWebhookResponse:
        return pb.GetWebhookResponse(webhook=await self._store.get(current_caller().instance_id, request.id))

    async def ListWebhooks(self, request: pb.ListWebhooksRequest, context: Context) -> pb.ListWebhooksResponse:
        return pb.ListWebhooksResponse(webhooks=await self._store.all(current_caller().instance_id))

    async def UpdateWebhook(self, request: pb.UpdateWebhookRequest, context: Context) -> pb.UpdateWebhookResponse:
        caller = current_caller()
        if not request.webhook.id:
            raise required("webhook.id")
        paths = frozenset(masked_paths(request.update_mask, request.webhook, UPDATABLE))
        first = await self._requests.recall(caller, request, pb.UpdateWebhookResponse)
        if first is not None:
            return first
        await self._check(request.webhook, paths)
        return await self._store.update(caller, request, paths)

    async def DeleteWebhook(self, request: pb.DeleteWebhookRequest, context: Context) -> pb.DeleteWebhookResponse:
        return await self._store.delete(current_caller(), request)

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        return await self._store.rotate(current_caller(), request, self._entropy(SECRET_BYTES), OVERLAP_SECONDS)

    async def _check(self, webhook: Webhook, paths: frozenset[str]) -> None:
        """Raises FIELD_REQUIRED, FIELD_INVALID."""
        if "event_kinds" in paths:
            for index, kind in enumerate(webhook.event_kinds):
                if kind not in EVENT_KINDS:
                    raise invalid(f"webhook.event_kinds[{index}]", f"one of {', '.join(sorted(EVENT_KINDS))}")
        if "url" in paths:
            if not webhook.url:
                raise required("webhook.url")
            try:
                await self._outbound.check(webhook.url)
            except OutboundError as error:
                log.info("webhook_url_refused", instance=current_caller().instance_id, problem=str(error))
                raise invalid("webhook.url", error.problem) from error
