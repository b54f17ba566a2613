"""Browsers that are told of new messages while no page is open (web push)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.push_service_pb2 import (
    CreatePushSubscriptionRequest,
    DeletePushSubscriptionRequest,
    GetPushKeyRequest,
    ListPushSubscriptionsRequest,
)
from roomline.v1.push_service_pb2_grpc import PushServiceStub

from gateway.chat_api import parse, parse_push, render
from gateway.chat_api.credentials import subject
from gateway.chat_api.endpoint import Kind
from gateway.response import Response, json_response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.push_service_pb2_grpc import PushServiceAsyncStub

    from gateway.chat_api.routes import Routes
    from gateway.request import Request

MOST = 100
"""Far more than a user can have."""


class Push:
    """`push.*`."""

    def __init__(self, message: grpc.aio.Channel) -> None:
        self._stub: PushServiceAsyncStub = PushServiceStub(message)

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("GET", "/push.key", self.key, Kind.PLAIN),
            ("GET", "/push.list", self.page, Kind.PLAIN),
            ("POST", "/push.subscribe", self.subscribe, Kind.PLAIN),
            ("POST", "/push.unsubscribe", self.unsubscribe, Kind.PLAIN),
        ]

    async def key(self, request: Request) -> Response:
        """What `PushManager.subscribe` wants as `applicationServerKey`."""
        answer = await request.call(self._stub.GetPushKey, GetPushKeyRequest())
        return json_response(render.ok(key=answer.public_key))

    async def page(self, request: Request) -> Response:
        """The caller's browsers."""
        message = ListPushSubscriptionsRequest(user_id=subject(request), page_size=MOST)
        answer = await request.call(self._stub.ListPushSubscriptions, message)
        return json_response([render.push_subscription(one) for one in answer.subscriptions])

    async def subscribe(self, request: Request) -> Response:
        """Registers the browser, or renews it."""
        browser = parse_push.browser(await parse.body(request))
        message = CreatePushSubscriptionRequest(
            user_id=subject(request),
            endpoint=browser.endpoint,
            p256dh=browser.p256dh,
            auth=browser.auth,
            expires_at=browser.expires_at,
        )
        answer = await request.call(self._stub.CreatePushSubscription, message)
        return json_response(render.ok(subscription=render.push_subscription(answer.subscription)))

    async def unsubscribe(self, request: Request) -> Response:
        """Ends one of the caller's browsers, by its endpoint or by its id; the same if there is no such one."""
        ended = parse_push.end(await parse.body(request))
        message = DeletePushSubscriptionRequest(user_id=subject(request), id=ended.id, endpoint=ended.endpoint)
        await request.call(self._stub.DeletePushSubscription, message)
        return json_response(render.ok())
