"""What is posted to webhooks, and how (Standard Webhooks)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import structlog
from google.protobuf import json_format
from google.protobuf.message import Message
from roomline.v1.event_pb2 import Event
from roomline.v1.webhook_pb2 import WebhookDelivery

from services.common.backoff import Backoff
from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.common.outbound import Answer, Outbound, OutboundError
from services.common.retry_after import retry_after
from services.message.event_store import Entry
from services.message.log_reader import Finished, LogReaders, NotNow, Piece
from services.message.webhook_store import WEBHOOKS, Active, Target, WebhookStore, consumer_of

log = structlog.get_logger()

EVENT_KINDS = frozenset(field.name for field in Event.DESCRIPTOR.oneofs_by_name["change"].fields) - {"user_typed"}
"""What there is in the log."""

GONE = 410
"""The receiver wants nothing any more."""
WAIT_STATUSES = {429, 503}
"""The receiver may say how long."""


class Deliveries:
    """Keeps a reader for each webhook that wants deliveries.

    `public_url` goes before references to our own files; where it is empty, they stay relative.
    """

    def __init__(
        self,
        store: WebhookStore,
        readers: LogReaders,
        outbound: Outbound,
        clock: Clock,
        backoff: Backoff,
        public_url: str,
    ) -> None:
        self._store = store
        self._readers = readers
        self._outbound = outbound
        self._clock = clock
        self._backoff = backoff
        self._public_url = public_url
        self._followed: set[Active] = set()
        self._wake = asyncio.Event()

    def wake(self, news: Iterable[str]) -> None:
        """Says what has changed, such as the webhooks of an instance."""
        if any(one.startswith(WEBHOOKS) for one in news):
            self._wake.set()

    async def run(self) -> None:
        """Has those read that want deliveries, and no others; until cancelled."""
        pause = self._backoff.first
        while True:
            self._wake.clear()
            try:
                await self._settle(set(await self._store.active()))
                pause = self._backoff.first
            except Exception as error:
                log.error("webhooks_failed", exc_info=error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._backoff.longest)
                continue
            await self._wake.wait()

    async def _settle(self, wanted: set[Active]) -> None:
        """Whatever has changed of a webhook, it begins anew: if deliveries failed, the next try is at once."""
        for old in self._followed - wanted:
            await self._readers.leave(old.instance_id, consumer_of(old.id))
        for new in wanted - self._followed:
            consumer = WebhookConsumer(new, self._store, self._outbound, self._clock, self._public_url)
            await self._readers.follow(consumer)
        self._followed = wanted


class WebhookConsumer:
    """Posts the log of an instance to a webhook."""

    def __init__(self, webhook: Active, store: WebhookStore, outbound: Outbound, clock: Clock, public_url: str) -> None:
        self.instance_id = webhook.instance_id
        self.name = consumer_of(webhook.id)
        self._id = webhook.id
        self._store = store
        self._outbound = outbound
        self._clock = clock
        self._public_url = public_url

    async def take(self, piece: Piece) -> int:
        """See `Consumer`."""
        with self._nobodys_fault():
            target = await self._store.target(self.instance_id, self._id)
        if target is None:
            raise Finished
        wanted = [one for one in piece.entries if not target.event_kinds or _kind(one) in target.event_kinds]
        events = [event for entry in wanted if (event := self._event(entry)) is not None]
        left_out = len(wanted) - len(events)
        if not events:
            return left_out
        head = WebhookDelivery(
            id=self._delivery_id(piece, target),
            instance_id=self.instance_id,
            webhook_id=self._id,
            epoch=piece.epoch,
            lost_events=piece.lost,
        )
        body = orjson.dumps({**_as_json(head), "events": events})
        with self._nobodys_fault():
            await self._judge(target, await self._post(target, head.id, body))
        return left_out

    @contextlib.contextmanager
    def _nobodys_fault(self) -> Iterator[None]:
        """Whatever fails in here is no event's fault, so that none is left out for it."""
        try:
            yield
        except OutboundError as error:
            log.info("webhook_unanswered", instance=self.instance_id, webhook=self._id, problem=str(error))
            raise NotNow(error.problem) from error
        except (NotNow, Finished, RoomlineError):
            raise
        except Exception as error:
            log.error("webhook_failed", instance=self.instance_id, webhook=self._id, exc_info=error)
            raise NotNow("the server failed") from error

    def _event(self, entry: Entry) -> dict[str, Any] | None:
        """The event as JSON. One that JSON cannot have, such as a NaN in `custom_data`, is left out (fault 24)."""
        for part in entry.message.parts if entry.message is not None else ():
            if part.HasField("attachment") and part.attachment.download_url.startswith("/"):
                part.attachment.download_url = self._public_url + part.attachment.download_url
        try:
            return _as_json(entry.event)
        except json_format.SerializeToJsonError as error:
            where = {"instance": self.instance_id, "webhook": self._id, "position": entry.position}
            log.warning("event_left_out", **where, reason=str(error))
            return None

    def _delivery_id(self, piece: Piece, target: Target) -> str:
        """The same for each try: the bounds of a piece stay. Positions of another epoch are other ones.

        So are those of events at other times, after a backup was restored by somebody who has not renewed the epoch.
        With other kinds it has other events: whoever has seen the id before has not seen all of these.
        """
        moment = piece.entries[0].event.created_at.ToMicroseconds()
        kinds = ",".join(sorted(target.event_kinds))
        place = f"{self._id} {piece.epoch} {piece.after} {piece.end} {moment} {kinds}"
        return "msg_" + hashlib.blake2b(place.encode(), digest_size=16).hexdigest()

    async def _post(self, target: Target, delivery_id: str, body: bytes) -> Answer:
        moment = str(self._clock() // MICROSECONDS)
        signed = f"{delivery_id}.{moment}.".encode() + body
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": moment,
            "webhook-signature": " ".join(_signature(secret, signed) for secret in target.secrets),
        }
        return await self._outbound.post(target.url, body, headers)

    async def _judge(self, target: Target, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            return
        problem = f"it answered with the status {answer.status}"
        if answer.status == GONE:
            await self._store.disable(self.instance_id, self._id, target.url)
            log.warning("webhook_gone", instance=self.instance_id, webhook=self._id)
            raise Finished(problem)
        wait = answer.headers.get("Retry-After", "") if answer.status in WAIT_STATUSES else ""
        raise NotNow(problem, retry_after(wait, self._clock() / MICROSECONDS))


def _as_json(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _kind(entry: Entry) -> str:
    return entry.event.WhichOneof("change") or ""


def _signature(secret: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
