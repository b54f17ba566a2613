"""Fault 5: the instance of a call is that of its token. Another one is out of reach, and gives no sign of itself."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import symbol_database
from google.protobuf.message import Message
from roomline.v1 import options_pb2
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import CreateInstanceRequest, IssueTestTokenRequest
from roomline.v1.room_service_pb2 import GetRoomRequest

from services.common.contract import METHODS
from services.common.errors import failure_of, reason_name
from services.common.interceptors import INSTANCE_KEY
from services.common.telemetry import REQUEST_ID_KEY
from services.common.tokens import user_token
from tests.faults.actors import Actor, outcome
from tests.support.cluster import SECRET, Cluster, Metadata

OTHER_SECRET = "a-secret-of-another-instance's-key"
SERVED = (
    *("UserService", "PresenceService", "RoomService", "MessageService", "CursorService", "AccessService"),
    *("EventService", "WebhookService", "PushService"),
)
OF_TENANTS = [
    method
    for method in METHODS.values()
    if method.containing_service.name in SERVED
    and method.GetOptions().Extensions[options_pb2.access].level
    in {options_pb2.CALLER_LEVEL_USER, options_pb2.CALLER_LEVEL_SERVER}
]


def bearer(instance_id: str, key_id: str, secret: str) -> Metadata:
    """A server token, made up as the test likes."""
    return (("authorization", f"Bearer {user_token(instance_id, key_id, secret, 'bob', time.time(), 600, su=True)}"),)


@pytest.fixture
async def other(cluster: Cluster) -> Actor:
    """A server of another instance, with a key of its own."""
    request = CreateInstanceRequest(instance=Instance(id="two"), key=InstanceKey(id="other", secret=OTHER_SECRET))
    await cluster.instances.CreateInstance(request, metadata=cluster.operator.metadata())
    return Actor(cluster, bearer("two", "other", OTHER_SECRET))


async def answer(cluster: Cluster, metadata: Metadata) -> tuple[object, ...]:
    """All that a refused caller sees, but for the id by which it may ask about this call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await cluster.rooms.GetRoom(GetRoomRequest(room_id="lobby"), metadata=metadata)
    error = caught.value
    told = [(key, value) for key, value in error.trailing_metadata() or () if key != REQUEST_ID_KEY]
    return error.code(), error.details(), tuple(told)


async def test_tokens_that_do_not_fit_are_all_the_same(cluster: Cluster, server: Actor, other: Actor) -> None:
    await server.create_room("lobby")
    made_up = {
        "key of another instance": bearer("one", "other", OTHER_SECRET),
        "its id, our secret": bearer("one", "other", SECRET),
        "our id, its secret": bearer("one", "key", OTHER_SECRET),
        "our key for another instance": bearer("two", "key", SECRET),
        "no such key": bearer("one", "nothing", "x" * 32),
        "no such instance": bearer("three", "key", SECRET),
        "another instance in the path": (*cluster.as_server("bob"), (INSTANCE_KEY, "two")),
        "no instance in the path": (*cluster.as_server("bob"), (INSTANCE_KEY, "three")),
    }
    answers = {name: await answer(cluster, metadata) for name, metadata in made_up.items()}
    assert len(set(answers.values())) == 1, answers
    assert answers["no such instance"][0] is grpc.StatusCode.UNAUTHENTICATED
    assert await outcome(Actor(cluster, (*cluster.as_server(), (INSTANCE_KEY, "one"))).get_room("lobby")) == "OK"


async def _first_answer(channel: Any, name: str, request: Message, metadata: Metadata) -> None:
    """Ends a stream as soon as it has begun."""
    call = channel.unary_stream(name, request_serializer=type(request).SerializeToString)(request, metadata=metadata)
    await call.read()
    call.cancel()


async def test_every_method_minds_the_instance_of_the_path(cluster: Cluster, other: Actor) -> None:
    for method in OF_TENANTS:
        in_user_service = method.containing_service.name in {"UserService", "PresenceService"}
        channel: Any = cluster.user_channel if in_user_service else cluster.message_channel
        request = symbol_database.Default().GetSymbol(method.input_type.full_name)()
        name = f"/{method.containing_service.full_name}/{method.name}"
        unary = channel.unary_unary(name, request_serializer=type(request).SerializeToString)
        call = partial(_first_answer, channel, name) if method.server_streaming else unary
        if await outcome(call(request, metadata=cluster.as_server("bob"))) != "METHOD_NOT_SERVED":
            refused = await outcome(call(request, metadata=(*other.metadata, (INSTANCE_KEY, "one"))))
            assert refused == "TOKEN_INVALID", name


async def test_nothing_of_another_instance_is_found(cluster: Cluster, server: Actor, other: Actor) -> None:
    """Not even by ids that both have."""
    await server.create_room("lobby", "ann")
    sent = await server.send("lobby", "ours")
    await server.set_cursor("lobby", "ann")
    calls = {
        "ROOM_NOT_FOUND": (
            *(other.get_room("lobby"), other.list_members("lobby"), other.page("lobby"), other.delete_room("lobby")),
            *(other.rename_room("lobby", "theirs"), other.join("lobby", "ann"), other.add("lobby", "ann")),
            *(other.remove("lobby", "ann"), other.leave("lobby", "ann"), other.send("lobby", "x")),
            *(other.edit("lobby", sent.id, "x"), other.delete("lobby", sent.id), other.set_cursor("lobby", "ann")),
            *(other.get_cursor("lobby", "ann"), other.cursors_in("lobby")),
        ),
        "MESSAGE_NOT_FOUND": (other.get("lobby", sent.id), other.delete("", sent.id)),
        "USER_NOT_FOUND": (other.rooms_of("ann"), other.joinable("ann"), other.delete_user("ann")),
        "USERS_NOT_FOUND": (other.create_room("lobby", "ann"),),
    }
    for reason, refused in calls.items():
        assert {await outcome(call) for call in refused} == {reason}
    assert await other.cursors_of("ann") == []
    assert await other.list_rooms(include_private=True) == []

    await other.create_user("bob")
    await other.create_room("lobby")
    theirs = await other.send("lobby", "theirs")
    assert theirs.id == sent.id
    await other.delete("", theirs.id)
    await other.delete_room("lobby")
    await other.delete_user("bob")
    assert await server.page("lobby") == ["ours"]
    assert await server.list_members("lobby") == ["bob", "ann"]


async def test_the_test_token_provider_does_not_tell_instances_apart(cluster: Cluster, other: Actor) -> None:
    reasons = set()
    for instance_id in ("two", "three"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await cluster.instances.IssueTestToken(IssueTestTokenRequest(instance_id=instance_id, user_id="bob"))
        reasons.add((caught.value.code(), reason_name(failure_of(caught.value).reason), caught.value.details()))
    assert len(reasons) == 1, reasons
