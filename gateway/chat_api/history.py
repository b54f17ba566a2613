"""What was said in a conversation: `conversations.replies` (spec §3)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from roomline.v1.message_service_pb2 import (
    MESSAGE_ORDER_NEWEST_FIRST,
    MESSAGE_ORDER_OLDEST_FIRST,
    ListMessagesRequest,
)
from roomline.v1.message_service_pb2_grpc import MessageServiceStub

from gateway.chat_api import parse, render
from gateway.chat_api.credentials import subject
from gateway.chat_api.endpoint import Kind
from gateway.chat_api.errors import QUERY, InputError
from gateway.response import Header, Response, json_response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.message_pb2 import Message
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from gateway.chat_api.people import Accounts
    from gateway.chat_api.routes import Routes
    from gateway.request import Request

_EXPOSE: Header = (b"access-control-expose-headers", b"X-Cursor-Before, X-Cursor-After")


class History:
    """Messages by time."""

    def __init__(self, message: grpc.aio.Channel, accounts: Accounts) -> None:
        self._stub: MessageServiceAsyncStub = MessageServiceStub(message)
        self._accounts = accounts

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [("GET", "/conversations.replies", self.replies, Kind.PLAIN)]

    async def replies(self, request: Request) -> Response:
        """The newest messages of a window, or with `after` its oldest; always ascending.

        `X-Cursor-Before` and `X-Cursor-After` name the first and the last of them, for `before` and `after`.
        """
        message = ListMessagesRequest(
            room_uid=parse.query_uuid(request, "cid"),
            with_unsent=True,
            members_only=True,
            order=MESSAGE_ORDER_NEWEST_FIRST,
        )
        ts_from, ts_to = parse.query_time(request, "ts_from"), parse.query_time(request, "ts_to")
        if ts_from is not None:
            message.created_from.CopyFrom(ts_from)
        if ts_to is not None:
            message.created_before.CopyFrom(ts_to)
        before, after = request.query_value("before"), request.query_value("after")
        if before is not None:
            message.before_id = _message_id(before, "before")
        if after is not None:
            message.after_id = _message_id(after, "after")
            message.order = MESSAGE_ORDER_OLDEST_FIRST
        found = await self._page(request, message, parse.limit(request))
        people = await self._accounts.people(request, subject(request), (one.user_id for one in found))
        headers: list[Header] = [_EXPOSE]
        if found:
            headers.append((b"x-cursor-before", _cursor(found[0])))
            headers.append((b"x-cursor-after", _cursor(found[-1])))
        return json_response([render.message(one, people) for one in found], headers=headers)

    async def _page(self, request: Request, message: ListMessagesRequest, limit: int) -> list[Message]:
        """As many as there are up to the limit, ascending; a service may give fewer at a time."""
        found: list[Message] = []
        while True:
            message.page_size = limit - len(found)
            answer = await request.call(self._stub.ListMessages, message)
            found.extend(answer.messages)
            message.page_token = answer.next_page_token
            if len(found) >= limit or not message.page_token:
                break
        if message.order == MESSAGE_ORDER_NEWEST_FIRST:
            found.reverse()
        return found


def _cursor(message: Message) -> bytes:
    return base64.urlsafe_b64encode(b"%d" % message.id).rstrip(b"=")


def _message_id(cursor: str, name: str) -> int:
    try:
        digits = base64.urlsafe_b64decode(cursor.encode("ascii") + b"==")
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InputError(QUERY, f"{name}: invalid cursor") from error
    if not digits.isdigit() or len(digits) > 18:
        raise InputError(QUERY, f"{name}: invalid cursor")
    return int(digits)
