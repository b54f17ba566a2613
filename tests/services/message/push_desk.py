"""What the tests of web push do: services with a key, and a push service with browsers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import SecretStr
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.push_pb2 import PushSubscription
from roomline.v1.push_service_pb2 import (
    CreatePushSubscriptionRequest,
    CreatePushSubscriptionResponse,
    DeletePushSubscriptionRequest,
    GetPushKeyRequest,
    GetPushKeyResponse,
    ListPushSubscriptionsRequest,
    ListPushSubscriptionsResponse,
)
from roomline.v1.push_service_pb2_grpc import PushServiceStub
from roomline.v1.room_service_pb2 import CreateRoomRequest

from services.common.backoff import Backoff
from services.message.server import build_server
from tests.services.message.desk import until
from tests.support.browser import PRIVATE_KEY, SUBJECT, Browser
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, Metadata, running_cluster
from tests.support.receiver import Posted, Receiver, accept, receiver, refuse

if TYPE_CHECKING:
    from roomline.v1.push_service_pb2_grpc import PushServiceAsyncStub

SETTINGS: dict[str, Any] = {
    "push_vapid_key": SecretStr(PRIVATE_KEY),
    "push_subject": SUBJECT,
    "outbound_allow_private": True,
}
SOON = Backoff(first=0.01, longest=0.05)


class PushDesk:
    """Bob, ann and eve are users; ann and bob are in the private room `den`."""

    def __init__(self, cluster: Cluster, clock: ShiftedClock, service: Receiver) -> None:
        self.cluster = cluster
        self.clock = clock
        self.service = service
        self.push: PushServiceAsyncStub = PushServiceStub(cluster.message_channel)

    def browser(self, name: str = "chrome") -> Browser:
        """One whose push service is that of the test."""
        return Browser(f"{self.service.url}/{name}")

    async def key(self, by: Metadata | None = None) -> str:
        """What browsers subscribe with."""
        answer: GetPushKeyResponse = await self.push.GetPushKey(
            GetPushKeyRequest(), metadata=by or self.cluster.as_user("bob")
        )
        return answer.public_key

    async def subscribe(
        self, browser: Browser, user_id: str, by: Metadata | None = None, expires_at: Timestamp | None = None
    ) -> PushSubscription:
        """Has a user's browser told."""
        request = CreatePushSubscriptionRequest(
            user_id=user_id,
            endpoint=browser.endpoint,
            p256dh=browser.p256dh,
            auth=browser.auth,
            expires_at=expires_at,
        )
        answer: CreatePushSubscriptionResponse = await self.push.CreatePushSubscription(
            request, metadata=by or self.cluster.as_user(user_id)
        )
        return answer.subscription

    async def listed(self, user_id: str, by: Metadata | None = None, **fields: Any) -> ListPushSubscriptionsResponse:
        """A user's browsers."""
        request = ListPushSubscriptionsRequest(user_id=user_id, **fields)
        answer: ListPushSubscriptionsResponse = await self.push.ListPushSubscriptions(
            request, metadata=by or self.cluster.as_user(user_id)
        )
        return answer

    async def endpoints(self, user_id: str) -> list[str]:
        """Those of a user's browsers."""
        return [one.endpoint for one in (await self.listed(user_id)).subscriptions]

    async def unsubscribe(self, user_id: str, by: Metadata | None = None, **fields: str) -> None:
        """Ends one of a user's browsers."""
        request = DeletePushSubscriptionRequest(user_id=user_id, **fields)
        await self.push.DeletePushSubscription(request, metadata=by or self.cluster.as_user(user_id))

    async def room(self, room_id: str, *user_ids: str, private: bool = True, **fields: Any) -> None:
        """A room with these members, the first of whom makes it."""
        fields.setdefault("name", f"The {room_id}")
        request = CreateRoomRequest(id=room_id, private=private, user_ids=user_ids[1:], **fields)
        await self.cluster.rooms.CreateRoom(request, metadata=self.cluster.as_user(user_ids[0]))

    async def say(self, text: str, room_id: str = "den", user_id: str = "bob", **fields: Any) -> Message:
        """A message."""
        fields.setdefault("parts", [Part(type="text/plain", content=text)])
        request = SendMessageRequest(room_id=room_id, **fields)
        return (await self.cluster.messages.SendMessage(request, metadata=self.cluster.as_user(user_id))).message

    async def say_in_vain(self, text: str, room_id: str = "den", **fields: Any) -> Message:
        """A message whose first push the push service does not take, and wants again in 30 seconds."""
        self.service.reply = refuse(503, Retry_After="30")
        message = await self.say(text, room_id, **fields)
        await until(self.failing)
        self.service.reply = accept
        self.service.posted.clear()
        return message

    async def failing(self) -> bool:
        """Whether there is a subscription whose last push failed."""
        return self.rows("push_subscriptions WHERE failures > 0") > 0

    async def idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.rows("pushes") == 0

    async def pushed(self, count: int) -> list[Posted]:
        """Waits until so many pushes have come."""
        return await self.service.until(lambda posted: len(posted) >= count)

    async def stop(self) -> None:
        """The message service is away."""
        await self.cluster.message_server.stop()

    async def start(self, **settings: Any) -> None:
        """It is back, on the same data, and tries again soon what fails."""
        changed = self.cluster.settings.model_copy(update=settings)
        self.cluster.message_server = build_server(changed, self.clock, backoff=SOON)
        await self.cluster.message_server.start(self.cluster.settings.message_address)
        await self.cluster.message_channel.channel_ready()

    async def start_without_key(self) -> None:
        """It is back, and sends no web pushes."""
        await self.start(push_vapid_key=SecretStr(""))

    def rows(self, table: str) -> int:
        """How many the message service's database has."""
        with closing(sqlite3.connect(self.cluster.settings.data_dir / "message.db")) as connection:
            ((count,),) = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of ours
            return int(count)


@asynccontextmanager
async def push_desk(folder: Path, **settings: Any) -> AsyncIterator[PushDesk]:
    """One for the time of the block, whose services send web pushes."""
    clock = ShiftedClock()
    wanted = {**SETTINGS, **settings}
    async with receiver() as service, running_cluster(folder, clock=clock, backoff=SOON, **wanted) as cluster:
        desk = PushDesk(cluster, clock, service)
        await cluster.add_users("bob", "ann", "eve")
        await desk.room("den", "bob", "ann")
        yield desk
