"""All paths of the chat API (spec §0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.chat_api.accounts import KEYS_PATH, Sessions
from gateway.chat_api.avatars import Avatars
from gateway.chat_api.chat import Chat
from gateway.chat_api.conversations import Conversations
from gateway.chat_api.endpoint import Edge, Endpoint, Kind
from gateway.chat_api.events import PATH as EVENTS_PATH
from gateway.chat_api.events import Events, prepare
from gateway.chat_api.history import History
from gateway.chat_api.media import Media
from gateway.chat_api.membership import Membership
from gateway.chat_api.people import Accounts
from gateway.chat_api.push import Push
from gateway.chat_api.tickets import Tickets
from gateway.chat_api.uids import Uids
from gateway.chat_api.users import Users
from gateway.inquiry import Inquiry
from gateway.router import Handler, Router
from services.common.tokens import SERVICE_ISSUER, ServiceTokens

if TYPE_CHECKING:
    import grpc

    from gateway.live.live import Live
    from services.common.settings import Settings

Routes = list[tuple[str, str, Handler, Kind]]
"""Method, path below the prefix, handler, what is special about it."""

PREFIX = "/api/v1"


def add_routes(
    router: Router,
    settings: Settings,
    user: grpc.aio.Channel,
    message: grpc.aio.Channel,
    media: grpc.aio.Channel,
    live: Live,
) -> None:
    """Adds the dialect's paths, served by the services behind the channels; none if no instance is named for it."""
    if not settings.chat_api_instance:
        return
    secret = settings.service_secret.get_secret_value()
    edge = Edge(
        instance_id=settings.chat_api_instance,
        inquiry=Inquiry(user),
        own_tokens=ServiceTokens(SERVICE_ISSUER, secret, "gateway") if secret else None,
        always_200=settings.chat_api_always_200,
    )
    accounts, membership, sessions = Accounts(user), Membership(message), Sessions(user, edge)
    uids = Uids(live.own, edge.instance_id)
    streams = live.user_streams(edge.instance_id, prepare(uids))
    events = Events(edge, live.tokens, live.own, streams, uids, Tickets(secret))
    routes = [
        *sessions.routes(),
        *Users(user, accounts).routes(),
        *Conversations(message, accounts, membership).routes(),
        *History(message, accounts).routes(),
        *Chat(message, media, accounts).routes(),
        *Media(media, membership).routes(),
        *Avatars(media, accounts).routes(),
        *Push(message).routes(),
        *events.routes(),
    ]
    for method, path, handler, kind in routes:
        router.add(method, PREFIX + path, Endpoint(handler, edge, kind), head=kind is not Kind.CHANGE)
    router.add_event_stream(PREFIX + EVENTS_PATH, events)
    router.add("GET", KEYS_PATH, Endpoint(sessions.keys, edge, Kind.PUBLIC))


def is_below(raw_path: bytes) -> bool:
    """Whether a path belongs to this dialect, served or not: its refusals have the dialect's form."""
    segments = [segment for segment in raw_path.split(b"/", 4) if segment]
    return segments[:2] == [b"api", b"v1"] or raw_path == KEYS_PATH.encode()
