"""What the message service's stores promise about webhooks, as `store.py` does about the rest."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from roomline.v1.webhook_pb2 import Webhook
from roomline.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    CreateWebhookResponse,
    DeleteWebhookRequest,
    DeleteWebhookResponse,
    RotateWebhookSecretRequest,
    RotateWebhookSecretResponse,
    UpdateWebhookRequest,
    UpdateWebhookResponse,
)

from services.common.call import Caller

MAX_WEBHOOKS = 20
"""Of one instance."""

WEBHOOKS = "webhooks of "
"""Announced before the id of an instance whose webhooks have changed; no instance has such an id."""


def consumer_of(webhook_id: str) -> str:
    """The name under which the log is told to a webhook."""
    return f"webhook {webhook_id}"


class Active(NamedTuple):
    """A webhook that wants deliveries."""

    instance_id: str
    id: str
    updated_at: int
    """Microseconds since the Unix epoch."""


class Target(NamedTuple):
    """Where deliveries go."""

    url: str
    event_kinds: frozenset[str]
    """Empty for all."""
    secrets: tuple[bytes, ...]
    """What they are signed with, each of them: the newest first."""


class WebhookStore(Protocol):
    """Webhooks, each of which begins with what is logged after it was made."""

    async def create(
        self, caller: Caller, request: CreateWebhookRequest, secret: bytes, asked_at: int
    ) -> CreateWebhookResponse:
        """Adds a webhook. Raises QUOTA_EXCEEDED, and INSTANCE_RESET if the instance was wiped since `asked_at`.

        That is when the call began, in microseconds since the Unix epoch: then the instance may be another one by now.
        """

    async def get(self, instance_id: str, webhook_id: str) -> Webhook:
        """The webhook. Raises WEBHOOK_NOT_FOUND."""

    async def all(self, instance_id: str) -> list[Webhook]:
        """The webhooks, oldest first."""

    async def update(
        self, caller: Caller, request: UpdateWebhookRequest, paths: Collection[str]
    ) -> UpdateWebhookResponse:
        """Changes what the paths name. Raises WEBHOOK_NOT_FOUND."""

    async def delete(self, caller: Caller, request: DeleteWebhookRequest) -> DeleteWebhookResponse:
        """Removes the webhook, and how far it had come; fine if there is none."""

    async def rotate(
        self, caller: Caller, request: RotateWebhookSecretRequest, secret: bytes, overlap_seconds: int
    ) -> RotateWebhookSecretResponse:
        """Replaces the secret, which counts beside the new one for so long. Raises WEBHOOK_NOT_FOUND."""

    async def active(self) -> list[Active]:
        """The webhooks that want deliveries, of all instances."""

    async def target(self, instance_id: str, webhook_id: str) -> Target | None:
        """Where deliveries go now; None if nowhere: the webhook is gone, or disabled."""

    async def disable(self, instance_id: str, webhook_id: str, url: str) -> None:
        """Has it want no more deliveries, if it still has that URL."""
