"""All paths of the Chatkit dialect: `/services/{service}/{version}/{instance_id}/…` (spec §1.1, §1.2)."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from gateway.chatkit.attachments import Attachments, Files
from gateway.chatkit.cursors import Cursors
from gateway.chatkit.endpoint import Endpoint
from gateway.chatkit.members import Members
from gateway.chatkit.messages import PARTS, TEXT, Messages
from gateway.chatkit.resources import Resources
from gateway.chatkit.rooms import Rooms
from gateway.chatkit.token_provider import TokenProvider
from gateway.chatkit.users import Users
from gateway.inquiry import Inquiry
from gateway.router import Handler, Router

Routes = list[tuple[str, str, Handler]]
"""Method, path below the instance, handler."""

TEXT_VERSIONS = ("v1", "v2")
PARTS_VERSIONS = ("v3", "v4", "v5", "v6", "v7")
ROOM_VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
"""v7 has room shapes of its own."""
ALL_VERSIONS = TEXT_VERSIONS + PARTS_VERSIONS

CHATKIT = "chatkit"
CURSORS = "chatkit_cursors"
FILES = "chatkit_files"
TOKEN_PROVIDER = "chatkit_token_provider"  # noqa: S105 - a service's name


def add_routes(router: Router, user: grpc.aio.Channel, message: grpc.aio.Channel, media: grpc.aio.Channel) -> None:
    """Adds the dialect's paths, served by the services behind the channels."""
    tokens = TokenProvider(user).routes()
    inquiry = Inquiry(user)
    _add(router, inquiry, CHATKIT, ALL_VERSIONS, Users(user).routes())
    _add(router, inquiry, CHATKIT, ROOM_VERSIONS, Rooms(message).routes())
    _add(router, inquiry, CHATKIT, ROOM_VERSIONS, Members(message).routes())
    _add(router, inquiry, CHATKIT, TEXT_VERSIONS, Messages(message, TEXT).routes())
    _add(router, inquiry, CHATKIT, PARTS_VERSIONS, Messages(message, PARTS).routes())
    _add(router, inquiry, CHATKIT, PARTS_VERSIONS, Attachments(media).routes())
    _add(router, inquiry, CHATKIT, ALL_VERSIONS, Resources(user).routes())
    _add(router, inquiry, CURSORS, ("v1", "v2"), Cursors(message).routes())
    _add(router, inquiry, FILES, ("v1",), Files(media).routes(), streams=True)
    _add(router, inquiry, TOKEN_PROVIDER, ("v1",), tokens, public=True)


def _add(
    router: Router,
    inquiry: Inquiry,
    service: str,
    versions: Iterable[str],
    routes: Routes,
    *,
    public: bool = False,
    streams: bool = False,
) -> None:
    for method, path, handler in routes:
        endpoint = Endpoint(service, handler, inquiry, public=public, streams=streams)
        for version in versions:
            pattern = f"/services/{service}/{version}/{{instance_id}}{path}"
            router.add(method, pattern, endpoint, credentials=public)
