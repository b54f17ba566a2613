"""All paths of the Chatkit dialect that can be subscribed to (spec §10)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

import grpc

from gateway.chatkit.beams import Beams
from gateway.chatkit.live_cursors import LiveCursors
from gateway.chatkit.live_members import LiveMembers
from gateway.chatkit.live_notifications import LiveNotifications
from gateway.chatkit.live_presence import LivePresence
from gateway.chatkit.live_rooms import LiveRooms
from gateway.chatkit.live_users import LiveUsers
from gateway.chatkit.live_users_v7 import LiveUsersV7
from gateway.chatkit.messages import PARTS, TEXT
from gateway.chatkit.routes import (
    ALL_VERSIONS,
    CHATKIT,
    CURSORS,
    PARTS_VERSIONS,
    SPLIT_VERSIONS,
    TEXT_VERSIONS,
    WHOLE_VERSIONS,
    add_service,
    add_subscriptions,
)
from gateway.inquiry import Inquiry
from gateway.live.live import Live
from gateway.live.visit import Open
from gateway.router import Router
from services.common.settings import Settings

PRESENCE = "chatkit_presence"
NOTIFICATIONS = "chatkit_push_notifications"
BEAMS = "chatkit_beams_token_provider"


def add_live_routes(
    router: Router, settings: Settings, user: grpc.aio.Channel, message: grpc.aio.Channel, live: Live
) -> None:
    """Adds them, on channels to the services."""
    inquiry = Inquiry(user)
    own, feeds = live.own, live.feeds

    def add(service: str, versions: Iterable[str], subscriptions: Sequence[tuple[str, Open]]) -> None:
        admitted = [(path, live.guard.admit(open_)) for path, open_ in subscriptions]
        add_subscriptions(router, inquiry, service, versions, admitted)

    add(CHATKIT, WHOLE_VERSIONS, LiveUsers(user, feeds).subscriptions())
    add(CHATKIT, SPLIT_VERSIONS, LiveUsersV7(user, feeds).subscriptions())
    add(CHATKIT, TEXT_VERSIONS, LiveRooms(message, own, TEXT).subscriptions())
    add(CHATKIT, PARTS_VERSIONS, LiveRooms(message, own, PARTS).subscriptions())
    add(CHATKIT, ALL_VERSIONS, LiveMembers(message, own).subscriptions())
    add(CURSORS, ("v1", "v2"), LiveCursors(message, own).subscriptions())
    add(PRESENCE, ("v1", "v2"), LivePresence(user, live.presence).subscriptions())
    add(NOTIFICATIONS, ("v1",), LiveNotifications(feeds, own).subscriptions())
    beams = Beams(live.guard, _beams_secret(settings.service_secret.get_secret_value()))
    add_service(router, inquiry, BEAMS, ("v1",), beams.routes())


def _beams_secret(secret: str) -> str:
    """A secret of its own, the same in every gateway."""
    return hmac.digest(secret.encode(), b"beams tokens", hashlib.sha256).hex()
