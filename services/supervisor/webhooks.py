"""Webhooks of an instance, through the running server's WebhookService."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict
from roomline.v1 import webhook_service_pb2 as pb
from roomline.v1.webhook_pb2 import Webhook
from roomline.v1.webhook_service_pb2_grpc import WebhookServiceStub

from services.common.channels import connect_plain
from services.common.settings import Settings
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from services.supervisor.chosen_instance import chosen_instance, require_server
from services.supervisor.refusals import refusals
from services.supervisor.running import service_secret
from services.supervisor.terminal import printable

if TYPE_CHECKING:
    from roomline.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub

CALL_SECONDS = 30.0
"""Longer than the server looks up the name in a URL."""

T = TypeVar("T")


class Webhooks:
    """The webhooks of one instance. Calls raise `grpc.aio.AioRpcError`."""

    def __init__(self, stub: WebhookServiceAsyncStub, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    async def create(self, webhook: Webhook) -> tuple[Webhook, str]:
        """The webhook as stored, and its secret."""
        request = pb.CreateWebhookRequest(webhook=webhook, request_id=str(uuid.uuid4()))
        made = await self._stub.CreateWebhook(request, metadata=self._metadata, timeout=CALL_SECONDS)
        return made.webhook, made.secret

    async def all(self) -> Sequence[Webhook]:
        """The webhooks, oldest first."""
        answer = await self._stub.ListWebhooks(pb.ListWebhooksRequest(), metadata=self._metadata, timeout=CALL_SECONDS)
        return answer.webhooks

    async def update(self, webhook: Webhook, paths: Iterable[str]) -> Webhook:
        """Changes what the paths name."""
        request = pb.UpdateWebhookRequest(webhook=webhook, update_mask=FieldMask(paths=paths))
        answer = await self._stub.UpdateWebhook(request, metadata=self._metadata, timeout=CALL_SECONDS)
        return answer.webhook

    async def delete(self, webhook_id: str) -> None:
        """Removes it. Refuses what is not there, so that a mistyped id is noticed."""
        await self._stub.GetWebhook(pb.GetWebhookRequest(id=webhook_id), metadata=self._metadata, timeout=CALL_SECONDS)
        request = pb.DeleteWebhookRequest(id=webhook_id)
        await self._stub.DeleteWebhook(request, metadata=self._metadata, timeout=CALL_SECONDS)

    async def rotate_secret(self, webhook_id: str) -> str:
        """The new secret."""
        request = pb.RotateWebhookSecretRequest(id=webhook_id, request_id=str(uuid.uuid4()))
        answer = await self._stub.RotateWebhookSecret(request, metadata=self._metadata, timeout=CALL_SECONDS)
        return answer.secret


def ask(settings: Settings, instance: str | None, work: Callable[[Webhooks], Awaitable[T]]) -> T:
    """Runs the work. Raises CommandError if there is no server or instance, or if it refuses."""

    async def run() -> T:
        with refusals("the message service"):
            async with _webhooks(settings, instance) as webhooks:
                return await work(webhooks)

    return asyncio.run(run())


@contextlib.asynccontextmanager
async def _webhooks(settings: Settings, instance: str | None) -> AsyncIterator[Webhooks]:
    folder, run = require_server(settings)
    instance_id = await chosen_instance(settings, instance)
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret(folder), "roomline")
    async with connect_plain(run.grpc["message"]) as channel:
        yield Webhooks(WebhookServiceStub(channel), tokens.metadata(instance_id))


def as_json(webhooks: Sequence[Webhook]) -> str:
    """For scripts."""
    return json.dumps([MessageToDict(one, preserving_proto_field_name=True) for one in webhooks], indent=2)


def describe(webhook: Webhook) -> str:
    """For people: some lines about it."""
    status = webhook.status
    lines = [
        ("Webhook", webhook.id),
        ("URL", printable(webhook.url)),
        ("Description", printable(webhook.description)),
        ("Events", ", ".join(webhook.event_kinds) or "all"),
        ("State", _state(webhook)),
        ("Behind", str(status.behind)),
        ("Lost", str(status.lost_events) if status.lost_events else ""),
    ]
    return "\n".join(f"{name:<13}{text}" for name, text in lines if text)


def _state(webhook: Webhook) -> str:
    if webhook.disabled:
        return f"disabled: {webhook.status.last_error}" if webhook.status.last_error else "disabled"
    if webhook.status.HasField("failing_since"):
        since = webhook.status.failing_since.ToDatetime().isoformat(" ", "seconds")
        return f"failing since {since}: {webhook.status.last_error}"
    return "enabled"
