"""Fault 2 for webhooks: kill -9 of the message service in the middle of deliveries. Nothing is missing or out of order.

And fault 29: what was delivered, where to and how it was signed, is in no log.
"""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import grpc
import pytest
from aiohttp import web
from google.protobuf import json_format
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.message_service_pb2_grpc import MessageServiceStub
from roomline.v1.webhook_pb2 import Webhook, WebhookDelivery
from roomline.v1.webhook_service_pb2 import CreateWebhookRequest, CreateWebhookResponse
from roomline.v1.webhook_service_pb2_grpc import WebhookServiceStub
from standardwebhooks import Webhook as Verifier

from tests.faults import lobby
from tests.faults.chance import CHANCE
from tests.faults.deployment import deployed, free_ports
from tests.faults.markers import Markers
from tests.support.receiver import Posted, receiver
from tests.support.server import Running

KILLS = 4
BETWEEN = 30
"""Messages that are acknowledged between two kills."""


class Sender:
    """Sends one message after the other, each until it is acknowledged."""

    def __init__(self, running: Running, mark: Markers) -> None:
        self.acknowledged: list[str] = []
        self._running = running
        self._mark = mark
        self._news = asyncio.Condition()

    async def run(self) -> None:
        metadata = (("authorization", lobby.bearer(self._running, "bob", su=True)),)
        async with grpc.aio.insecure_channel(self._running.grpc["message"]) as channel:
            stub = MessageServiceStub(channel)
            while True:
                text = self._mark("a message")
                parts = [Part(type="text/plain", content=text)]
                request = SendMessageRequest(room_id="lobby", parts=parts, request_id=str(uuid.uuid4()))
                while True:
                    try:
                        await stub.SendMessage(request, metadata=metadata, timeout=5, wait_for_ready=True)
                        break
                    except grpc.aio.AioRpcError:
                        await asyncio.sleep(0.05)  # as clients do: nobody tells them
                async with self._news:
                    self.acknowledged.append(text)
                    self._news.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(90), self._news:
            await self._news.wait_for(lambda: len(self.acknowledged) >= count)


async def moody(_: Posted) -> web.StreamResponse:
    """Takes its time, and refuses now and then."""
    await asyncio.sleep(CHANCE.random() * 0.03)
    return web.Response(status=CHANCE.choice((200, 204, 204, 204, 500)))


async def make_webhook(running: Running, url: str) -> CreateWebhookResponse:
    metadata = (("authorization", lobby.bearer(running, su=True)),)
    async with grpc.aio.insecure_channel(running.grpc["message"]) as channel:
        stub = WebhookServiceStub(channel)
        answer: CreateWebhookResponse = await stub.CreateWebhook(
            CreateWebhookRequest(webhook=Webhook(url=url)), metadata=metadata
        )
        return answer


def read(posted: Posted, secret: str) -> WebhookDelivery:
    Verifier(secret).verify(posted.body, posted.headers, json_parse=False)
    return json_format.Parse(posted.body, WebhookDelivery())


def texts_of(delivery: WebhookDelivery) -> list[str]:
    return [event.message_sent.message.parts[0].content for event in delivery.events if event.HasField("message_sent")]


@pytest.mark.slow  # kills and restarts
async def test_everything_is_delivered_whatever_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINE_OUTBOUND_ALLOW_PRIVATE", "true")
    monkeypatch.setenv("ROOMLINE_LOG_LEVEL", "debug")
    mark = Markers()
    with deployed(tmp_path, *free_ports()) as deployment:
        async with receiver() as target:
            target.reply = moody
            running = deployment.running
            await lobby.create(running, "lobby", ["bob"])
            made = await make_webhook(running, f"{target.url}/{mark('a path')}?token={mark('a query')}")
            secret = mark.keep("the webhook's secret", made.secret)
            sender = Sender(running, mark)
            sending = asyncio.create_task(sender.run())
            for number in range(1, KILLS + 1):
                await sender.until(BETWEEN * number)
                await asyncio.to_thread(deployment.kill_children, "message")
            await sender.until(BETWEEN * (KILLS + 1))
            sending.cancel()
            await asyncio.wait((sending,))

            def complete(posted: list[Posted]) -> bool:
                last = [text for one in posted[-20:] for text in texts_of(read(one, secret))]
                return sender.acknowledged[-1] in last

            await target.until(complete, 90)
            deliveries = [read(posted, secret) for posted in target.posted]
        await asyncio.to_thread(deployment.stop)
        log = deployment.log

    texts = list(dict.fromkeys(text for delivery in deliveries for text in texts_of(delivery)))
    assert [text for text in texts if text in set(sender.acknowledged)] == sender.acknowledged
    bounds: dict[str, tuple[int, ...]] = {}
    end = 0
    for delivery in deliveries:
        positions = tuple(event.position for event in delivery.events)
        assert bounds.setdefault(delivery.id, positions) == positions  # the same id, the same events
        assert positions[0] <= end + 1 or not end
        assert positions == tuple(range(positions[0], positions[-1] + 1))
        end = max(end, positions[-1])
    assert len(bounds) < len(deliveries)  # something was delivered again
    assert not mark.found_in(log)
    assert secret not in log
