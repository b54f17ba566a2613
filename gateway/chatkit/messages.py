"""Messages, in the text dialect (v1, v2) and in the parts dialect (v3 to v7) (spec §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from roomline.v1.event_service_pb2 import ReportTypingRequest
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    MESSAGE_ORDER_NEWEST_FIRST,
    MESSAGE_ORDER_OLDEST_FIRST,
    DeleteMessageRequest,
    EditMessageRequest,
    GetMessageRequest,
    ListMessagesRequest,
    SendMessageRequest,
)
from roomline.v1.message_service_pb2_grpc import MessageServiceStub

from gateway.chatkit import dialect, parse, render
from gateway.links import Links
from gateway.response import NO_CONTENT, Response, json_response
from services.common.rules import invalid

if TYPE_CHECKING:
    import grpc
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request


class Dialect(NamedTuple):
    """How messages look in a version."""

    parts: Callable[[parse.Json, Links], list[Part]]
    """Reads what a message says out of a body."""
    sender: Callable[[parse.Json], str]
    """Reads the sender that a body names, empty for none."""
    render: Callable[[Message, Links], render.Json]
    field_names: Mapping[str, str]


TEXT = Dialect(parse.text_parts, parse.sender_id, render.text_message, dialect.TEXT_FIELDS)
PARTS = Dialect(lambda body, _links: parse.parts(body), lambda _body: "", render.parts_message, {})


class Messages:
    """M1 to M7."""

    def __init__(self, channel: grpc.aio.Channel, dialect: Dialect) -> None:
        self._stub: MessageServiceAsyncStub = MessageServiceStub(channel)
        self._events: EventServiceAsyncStub = EventServiceStub(channel)
        self._dialect = dialect

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("POST", "/rooms/{room_id}/messages", self.send),
            ("GET", "/rooms/{room_id}/messages", self.page),
            ("GET", "/rooms/{room_id}/messages/{message_id}", self.get),
            ("PUT", "/rooms/{room_id}/messages/{message_id}", self.edit),
            ("DELETE", "/rooms/{room_id}/messages/{message_id}", self.delete),
            ("DELETE", "/messages/{message_id}", self.delete),
            ("POST", "/rooms/{room_id}/typing_indicators", self.typing),
        ]

    async def send(self, request: Request) -> Response:
        """M1: answers with the id only."""
        body = parse.json_object(await request.json())
        request.field_names = self._dialect.field_names
        message = SendMessageRequest(
            room_id=request.parameters["room_id"],
            parts=self._dialect.parts(body, request.links),
            user_id=self._dialect.sender(body),
            request_id=request.new_id(),
        )
        answer = await request.call(self._stub.SendMessage, message)
        return json_response({"message_id": answer.message.id}, 201)

    async def edit(self, request: Request) -> Response:
        """M4: replaces the whole content."""
        body = parse.json_object(await request.json())
        request.field_names = self._dialect.field_names
        message = EditMessageRequest(
            room_id=request.parameters["room_id"],
            id=parse.message_id(request.parameters["message_id"]),
            parts=self._dialect.parts(body, request.links),
            user_id=self._dialect.sender(body),
            request_id=request.new_id(),
        )
        await request.call(self._stub.EditMessage, message)
        return NO_CONTENT

    async def page(self, request: Request) -> Response:
        """M2 (spec §5.4)."""
        message = ListMessagesRequest(
            room_id=request.parameters["room_id"],
            page_size=parse.limit(request.query_value("limit")),
            limited=True,
        )
        initial_id = request.query_value("initial_id")
        bound = None if initial_id is None else parse.query_id(initial_id, "initial_id")
        match request.query_value("direction"):
            case None | "older":
                message.order = MESSAGE_ORDER_NEWEST_FIRST
                if bound is not None:
                    message.before_id = bound
            case "newer":
                message.order = MESSAGE_ORDER_OLDEST_FIRST
                if bound is not None:
                    message.after_id = bound
            case _:
                raise invalid("direction", "older or newer")
        answer = await request.call(self._stub.ListMessages, message)
        links = request.links
        return json_response([self._dialect.render(one, links) for one in answer.messages])

    async def get(self, request: Request) -> Response:
        """M3."""
        message = GetMessageRequest(
            room_id=request.parameters["room_id"], id=parse.message_id(request.parameters["message_id"])
        )
        answer = await request.call(self._stub.GetMessage, message)
        return json_response(self._dialect.render(answer.message, request.links))

    async def delete(self, request: Request) -> Response:
        """M5, and M6, which names no room."""
        message = DeleteMessageRequest(
            room_id=request.parameters.get("room_id", ""),
            id=parse.message_id(request.parameters["message_id"]),
            request_id=request.new_id(),
        )
        await request.call(self._stub.DeleteMessage, message)
        return NO_CONTENT

    async def typing(self, request: Request) -> Response:
        """M7: says that the caller is typing; clients repeat it while he is (spec §9.2). The body does not matter."""
        await request.call(self._events.ReportTyping, ReportTypingRequest(room_id=request.parameters["room_id"]))
        return NO_CONTENT
