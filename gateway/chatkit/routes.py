"""All paths of the Chatkit dialect: `/services/{service}/{version}/{instance_id}/…` (spec §1.1, §1.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc

from gateway.chatkit.attachments import Attachments, Files
from gateway.chatkit.cursors import Cursors
from gateway.chatkit.endpoint import Endpoint, SubscriptionEndpoint
from gateway.chatkit.members import Members
from gateway.chatkit.messages import PARTS, TEXT, Messages
from gateway.chatkit.resources import Resources
from gateway.chatkit.roles import Roles
from gateway.chatkit.room_dialect import SPLIT, WHOLE
from gateway.chatkit.rooms import Rooms
from gateway.chatkit.scheduler import Scheduler
from gateway.chatkit.token_provider import TokenProvider
from gateway.chatkit.users import Users
from gateway.inquiry import Inquiry
from gateway.live.outlet import Subscribe
from gateway.router import Handler, Router

Routes = list[tuple[str, str, Handler]]
"""Method, path below the instance, handler."""

Subscriptions = Sequence[tuple[str, Subscribe]]
"""Path below the instance, what opens a subscription to it."""

TEXT_VERSIONS = ("v1", "v2")
PARTS_VERSIONS = ("v3", "v4", "v5", "v6", "v7")
WHOLE_VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
SPLIT_VERSIONS = ("v7",)
"""How they show rooms; see `room_dialect.py`."""
ALL_VERSIONS = TEXT_VERSIONS + PARTS_VERSIONS

CHATKIT = "chatkit"
AUTHORIZER = "chatkit_authorizer"
CURSORS = "chatkit_cursors"
FILES = "chatkit_files"
SCHEDULER = "chatkit_scheduler"
TOKEN_PROVIDER = "chatkit_token_provider"  # noqa: S105 - a service's name


def add_routes(router: Router, user: grpc.aio.Channel, message: grpc.aio.Channel, media: grpc.aio.Channel) -> None:
    """Adds the dialect's paths, served by the services behind the channels."""
    tokens = TokenProvider(user).routes()
    inquiry = Inquiry(user)
    add_service(router, inquiry, CHATKIT, ALL_VERSIONS, Users(user).routes())
    add_service(router, inquiry, CHATKIT, WHOLE_VERSIONS, Rooms(message, WHOLE).routes())
    add_service(router, inquiry, CHATKIT, WHOLE_VERSIONS, Members(message, WHOLE).routes())
    add_service(router, inquiry, CHATKIT, SPLIT_VERSIONS, Rooms(message, SPLIT).routes())
    add_service(router, inquiry, CHATKIT, SPLIT_VERSIONS, Members(message, SPLIT).routes())
    add_service(router, inquiry, CHATKIT, TEXT_VERSIONS, Messages(message, TEXT).routes())
    add_service(router, inquiry, CHATKIT, PARTS_VERSIONS, Messages(message, PARTS).routes())
    add_service(router, inquiry, CHATKIT, PARTS_VERSIONS, Attachments(media).routes())
    add_service(router, inquiry, CHATKIT, ALL_VERSIONS, Resources(user).routes())
    add_service(router, inquiry, AUTHORIZER, ("v1", "v2"), Roles(message).routes())
    add_service(router, inquiry, CURSORS, ("v1", "v2"), Cursors(message).routes())
    add_service(router, inquiry, FILES, ("v1",), Files(media).routes(), streams=True)
    add_service(router, inquiry, SCHEDULER, ("v1",), Scheduler(user, message).routes())
    add_service(router, inquiry, TOKEN_PROVIDER, ("v1",), tokens, public=True)


def add_service(
    router: Router,
    inquiry: Inquiry,
    service: str,
    versions: Iterable[str],
    routes: Routes,
    *,
    public: bool = False,
    streams: bool = False,
) -> None:
    """Adds the paths of one Chatkit service, below each version."""
    for method, path, handler in routes:
        endpoint = Endpoint(service, handler, inquiry, public=public, streams=streams)
        for version in versions:
            pattern = f"/services/{service}/{version}/{{instance_id}}{path}"
            router.add(method, pattern, endpoint, credentials=public)


def add_subscriptions(
    router: Router, inquiry: Inquiry, service: str, versions: Iterable[str], subscriptions: Subscriptions
) -> None:
    """Adds paths that can be subscribed to, by both transports. A path may have other methods as well."""
    for path, subscribe in subscriptions:
        endpoint = SubscriptionEndpoint(service, subscribe, inquiry)
        for version in versions:
            router.add_subscription(f"/services/{service}/{version}/{{instance_id}}{path}", endpoint)
