"""Fault 11: requests that are well-formed and make no sense. They are refused or carried out; nothing fails inside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from google.protobuf import symbol_database
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from roomline.v1 import options_pb2
from roomline.v1.event_service_pb2 import WatchRequest

from services.common.contract import METHODS
from tests.faults.actors import Actor, outcome
from tests.faults.chance import CHANCE
from tests.support.cluster import Cluster, Metadata

ROUNDS = 40
SERVED = (
    *("UserService", "InstanceService", "PresenceService"),
    *("RoomService", "MessageService", "CursorService", "AccessService", "EventService"),
    "WebhookService",
)
LEFT_OUT = {
    *("ResetInstance", "DeleteInstance", "PurgeInstance", "RevokeKey", "RotateKey", "UpdateInstance"),
    *("CreateWebhook", "UpdateWebhook"),
}
"""They would end the test rather than the server, or look up names of the open internet."""

SENSIBLE: dict[str, Any] = {
    "room_id": "lobby",
    "user_id": "bob",
    "user_ids": "ann",
    "id": "lobby",
    "ids": "bob",
    "instance_id": "one",
    "type": "text/plain",
    "content": "hello",
    "url": "https://example.com/x",
    "name": "a name",
    "paths": "name",
    "role_name": "admin",
    "permission": "room:get",
    "page_size": 10,
    "position": 7,
    "seconds": 1_600_000_000,
    "before_id": 2_000_000,
    "after_id": 1,
    "after_room_id": "a",
    "created_by_id": "bob",
}
"""What fields usually hold, by name."""
TEXTS = (
    *("", "lobby", "bob", "nobody", "\0", "a\0b", "%", "'; --", "../../x", " ", "x" * 161, "x" * 70_000),
    *("\u202e", "\U0001f600" * 160, "\ufeff", "W10", "WzFd", "WyJhIl0", "custom_data", "flags"),
)
NUMBERS = (0, 1, -1, 7, 1_000_000, 2**31 - 1, -(2**31), 2**32 - 1, 2**53 + 1, 2**63 - 1, -(2**63))
DOUBLES = (0.0, -1.5, 1e308, float("nan"), float("-inf"))

METHODS_TO_TRY = [
    method
    for method in METHODS.values()
    if method.containing_service.name in SERVED and method.name not in LEFT_OUT and not method.server_streaming
]


def request_of(request_class: type[Message]) -> Any:
    """A request that makes sense for the most part."""
    request = request_class()
    _fill(request)
    return request


def _fill(message: Any) -> None:
    if isinstance(message, Struct):
        message.update({CHANCE.choice(TEXTS): CHANCE.choice((None, *DOUBLES, [[]], {"a": {}}, "x"))})
        return
    if isinstance(message, Value):
        message.string_value = CHANCE.choice(TEXTS)  # attachments are not served yet
        return
    fields = list(message.DESCRIPTOR.fields)
    CHANCE.shuffle(fields)  # of a oneof, the last one stays
    for field in fields:
        if field.name not in SENSIBLE and CHANCE.random() < 0.3:
            continue
        if field.is_repeated:
            for _ in range(CHANCE.choice((1, 1, 1, 0, 2, 20))):
                if field.message_type is not None:
                    _fill(getattr(message, field.name).add())
                else:
                    getattr(message, field.name).append(_value(field))
        elif field.message_type is not None:
            part = getattr(message, field.name)
            part.SetInParent()
            _fill(part)
        else:
            setattr(message, field.name, _value(field))


def _value(field: FieldDescriptor) -> Any:
    usual = SENSIBLE.get(field.name)
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            odd: Any = CHANCE.choice(TEXTS)
        case FieldDescriptor.TYPE_BYTES:
            odd = CHANCE.randbytes(CHANCE.choice((0, 1, 100)))
        case FieldDescriptor.TYPE_BOOL:
            odd = CHANCE.random() < 0.5
        case FieldDescriptor.TYPE_ENUM:
            odd = CHANCE.choice((0, 1, 2, 99))
        case FieldDescriptor.TYPE_DOUBLE:
            odd = CHANCE.choice(DOUBLES)
        case FieldDescriptor.TYPE_UINT32:
            odd = CHANCE.choice([number for number in NUMBERS if 0 <= number < 2**32])
        case FieldDescriptor.TYPE_UINT64:
            odd = CHANCE.choice([number for number in NUMBERS if number >= 0])
        case FieldDescriptor.TYPE_INT32:
            odd = CHANCE.choice([number for number in NUMBERS if -(2**31) <= number < 2**31])
        case _:
            odd = CHANCE.choice(NUMBERS)
    fits = usual is not None and isinstance(usual, str) == (field.type == FieldDescriptor.TYPE_STRING)
    return usual if fits and CHANCE.random() < 0.85 else odd


def callers(cluster: Cluster, method: MethodDescriptor) -> list[Metadata]:
    """Who may call the method."""
    level = method.GetOptions().Extensions[options_pb2.access].level
    if level == options_pb2.CALLER_LEVEL_OPERATOR:
        return [cluster.operator.metadata()]
    if level == options_pb2.CALLER_LEVEL_SERVICE:
        return [cluster.service.metadata("one")]
    return [cluster.as_server(), cluster.as_server("bob"), cluster.as_user("bob")]


async def test_nonsense(cluster: Cluster, server: Actor) -> None:
    for method in METHODS_TO_TRY:
        await outcome(server.create_user("bob"))  # again, if the method before has deleted something
        await outcome(server.create_room("lobby", "ann"))
        await outcome(server.send("lobby", "hello"))
        in_user_service = method.containing_service.name in {"UserService", "InstanceService", "PresenceService"}
        channel: Any = cluster.user_channel if in_user_service else cluster.message_channel
        request_class: type[Message] = symbol_database.Default().GetSymbol(method.input_type.full_name)
        call = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}", request_serializer=request_class.SerializeToString
        )
        for _ in range(ROUNDS):
            request = request_of(request_class)
            for metadata in callers(cluster, method):
                result = await outcome(call(request, metadata=metadata))
                assert result not in {"INTERNAL", "UNSPECIFIED", "DEADLINE_EXCEEDED"}, (result, method.name, request)


async def test_nonsense_on_streams(cluster: Cluster, server: Actor) -> None:
    await outcome(server.create_user("bob"))
    await outcome(server.create_room("lobby", "bob"))
    stub: Any = cluster.events
    for metadata in (cluster.as_server(), cluster.as_user("bob")):
        for _ in range(ROUNDS):
            call = stub.Watch(metadata=metadata)
            result = await outcome(_ask(call, [request_of(WatchRequest) for _ in range(CHANCE.randrange(1, 4))]))
            assert result in {"OK", "FIELD_INVALID", "FIELD_REQUIRED"}
            call.cancel()


async def _ask(call: Any, requests: Sequence[Message]) -> None:
    """Sends requests on a stream, which answers each."""
    for request in requests:
        with suppress(asyncio.InvalidStateError):  # it has ended already, which reading tells
            await call.write(request)
        await call.read()
