"""A cluster with a receiver of webhooks, which checks what comes as a real one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from roomline.v1.event_pb2 import Event
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest
from roomline.v1.webhook_pb2 import Webhook, WebhookDelivery
from roomline.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    CreateWebhookResponse,
    GetWebhookRequest,
    UpdateWebhookRequest,
)
from roomline.v1.webhook_service_pb2_grpc import WebhookServiceStub
from standardwebhooks import Webhook as Verifier

from services.common.backoff import Backoff
from services.message.server import build_server
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster
from tests.support.receiver import Posted, Receiver, receiver

if TYPE_CHECKING:
    from roomline.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub

QUICK = Backoff(0.02, 0.1)
SECONDS = 60


def verified(posted: Posted, secret: str) -> WebhookDelivery:
    """A delivery, as a receiver reads it. Raises WebhookVerificationError if it is not signed with the secret."""
    Verifier(secret).verify(posted.body, posted.headers, json_parse=False)
    delivery = json_format.Parse(posted.body, WebhookDelivery())
    assert posted.headers["webhook-id"] == delivery.id
    assert posted.headers["content-type"] == "application/json"
    return delivery


def texts_of(events: Sequence[Event]) -> list[str]:
    """What messages say that were sent."""
    sent = [event.message_sent.message for event in events if event.HasField("message_sent")]
    return [part.content for message in sent for part in message.parts]


def failing(webhook: Webhook) -> bool:
    """Whether its last delivery failed."""
    return webhook.status.HasField("failing_since")


def idle(webhook: Webhook) -> bool:
    """Whether it has everything."""
    return not webhook.status.behind and not failing(webhook)


@dataclass
class Hooked:
    """Bob is in the room `den`."""

    cluster: Cluster
    clock: ShiftedClock
    target: Receiver
    secrets: dict[str, str] = field(default_factory=dict)
    """By the webhook's id."""

    @property
    def stub(self) -> WebhookServiceAsyncStub:
        """Calls the service."""
        return WebhookServiceStub(self.cluster.message_channel)

    async def create(self, url: str = "", *, instance_id: str = "one", **fields: Any) -> Webhook:
        """A webhook that leads to the receiver, unless it has another URL."""
        webhook = Webhook(url=url or self.target.url, **fields)
        answer: CreateWebhookResponse = await self.stub.CreateWebhook(
            CreateWebhookRequest(webhook=webhook), metadata=self.cluster.as_server(instance_id=instance_id)
        )
        self.secrets[answer.webhook.id] = answer.secret
        return answer.webhook

    async def get(self, webhook: Webhook) -> Webhook:
        """As it is now."""
        request = GetWebhookRequest(id=webhook.id)
        return (await self.stub.GetWebhook(request, metadata=self.cluster.as_server())).webhook

    async def update(self, webhook: Webhook, *paths: str, **fields: Any) -> Webhook:
        """Changes it."""
        request = UpdateWebhookRequest(webhook=Webhook(id=webhook.id, **fields), update_mask=FieldMask(paths=paths))
        return (await self.stub.UpdateWebhook(request, metadata=self.cluster.as_server())).webhook

    async def until(self, webhook: Webhook, done: Callable[[Webhook], bool]) -> Webhook:
        """The webhook, once it is as wanted: nobody tells when its status changes."""
        async with asyncio.timeout(SECONDS):
            while True:
                found = await self.get(webhook)
                if done(found):
                    return found
                await asyncio.sleep(0.02)

    async def send(self, *texts: str, instance_id: str = "one", **fields: Any) -> list[Message]:
        """Messages in the den."""
        sent = []
        for text in texts:
            request = SendMessageRequest(room_id="den", parts=[Part(type="text/plain", content=text)], **fields)
            metadata = self.cluster.as_server("bob", instance_id)
            sent.append((await self.cluster.messages.SendMessage(request, metadata=metadata)).message)
        return sent

    async def open(self, instance_id: str = "one") -> None:
        """Makes bob and the room."""
        await self.cluster.add_users("bob", instance_id=instance_id)
        request = CreateRoomRequest(id="den", name="den", private=True)
        await self.cluster.rooms.CreateRoom(request, metadata=self.cluster.as_server("bob", instance_id))

    def deliveries(self, target: Receiver | None = None) -> list[WebhookDelivery]:
        """What has come, verified."""
        return [
            verified(posted, self.secrets[json_format.Parse(posted.body, WebhookDelivery()).webhook_id])
            for posted in (target or self.target).posted
        ]

    def events(self, target: Receiver | None = None) -> list[Event]:
        """The events that have come."""
        return [event for delivery in self.deliveries(target) for event in delivery.events]

    async def until_told(self, *texts: str, target: Receiver | None = None) -> None:
        """Waits until messages with these texts have come, in this order and once."""
        await (target or self.target).until(lambda _: texts_of(self.events(target)) == [*texts], SECONDS)

    async def restart(self, **settings: Any) -> None:
        """The message service ends and begins anew, perhaps with other settings."""
        await self.cluster.message_server.stop()
        changed = self.cluster.settings.model_copy(update=settings)
        self.cluster.message_server = build_server(changed, self.clock, backoff=QUICK)
        await self.cluster.message_server.start(changed.message_address)


@asynccontextmanager
async def hooked(folder: Path, *, backoff: Backoff = QUICK, **settings: Any) -> AsyncIterator[Hooked]:
    """A cluster and a receiver that run for the time of the block."""
    clock = ShiftedClock()
    settings = {"outbound_allow_private": True, **settings}
    async with receiver() as target, running_cluster(folder, clock=clock, backoff=backoff, **settings) as cluster:
        made = Hooked(cluster, clock, target)
        await made.open()
        yield made
