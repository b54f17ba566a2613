"""The authorization matrix: every served RPC against every kind of caller, driven by the contract's access rules."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import symbol_database
from google.protobuf.descriptor import MethodDescriptor
from roomline.v1 import options_pb2
from roomline.v1.access_service_pb2 import AssignRoleRequest
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.contract import METHODS
from services.common.errors import failure_of
from services.message.roles import BUILT_IN
from tests.support.cluster import Cluster, Metadata, running_cluster

SERVED = [
    method
    for method in METHODS.values()
    if method.containing_service.name
    in (
        *("UserService", "InstanceService", "RoomService", "MessageService", "CursorService", "AccessService"),
        *("AccountService", "MediaService", "PresenceService", "EventService", "ArchiveService"),
        *("ArchiveFileService", "WebhookService", "PushService"),
    )
]
AUTHENTICATION = {
    ErrorReason.ERROR_REASON_TOKEN_MISSING,
    ErrorReason.ERROR_REASON_TOKEN_INVALID,
    ErrorReason.ERROR_REASON_TOKEN_EXPIRED,
    ErrorReason.ERROR_REASON_SESSION_ENDED,
}
AUTHORIZATION = {
    ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED,
    ErrorReason.ERROR_REASON_PERMISSION_MISSING,
    ErrorReason.ERROR_REASON_SUBJECT_MISMATCH,
}

NEEDS_SESSION = {"roomline.v1.AccountService.Logout"}
"""Take nothing but access tokens of accounts."""

LEVELS = {
    "public": options_pb2.CALLER_LEVEL_PUBLIC,
    "user": options_pb2.CALLER_LEVEL_USER,
    "server": options_pb2.CALLER_LEVEL_SERVER,
    "service": options_pb2.CALLER_LEVEL_SERVICE,
    "operator": options_pb2.CALLER_LEVEL_OPERATOR,
}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, pipe=False) as running:
        await running.add_users("bob")
        yield running


def metadata_of(cluster: Cluster, caller: str) -> Metadata:
    return {
        "public": (),
        "user": cluster.as_user("bob"),
        "server": cluster.as_server("bob"),
        "service": cluster.service.metadata("one"),
        "operator": cluster.operator.metadata(),
    }[caller]


async def outcome(cluster: Cluster, method: MethodDescriptor, metadata: Metadata) -> ErrorReason.ValueType | None:
    """The reason that an empty request of this method is refused with; None if it is not refused."""
    name = method.containing_service.name
    channel = {
        "UserService": cluster.user_channel,
        "AccountService": cluster.user_channel,
        "InstanceService": cluster.user_channel,
        "PresenceService": cluster.user_channel,
        "MediaService": cluster.media_channel,
        "ArchiveFileService": cluster.media_channel,
    }.get(name, cluster.message_channel)
    request = symbol_database.Default().GetSymbol(method.input_type.full_name)()
    access = method.GetOptions().Extensions[options_pb2.access]
    if access.self_field:
        *parents, field = access.self_field.split(".")
        target: Any = request
        for parent in parents:
            target = getattr(target, parent)
        setattr(target, field, "bob")
    path = f"/{method.containing_service.full_name}/{method.name}"
    serialize: Any = type(request).SerializeToString
    try:
        if method.server_streaming:
            stream: Any = channel.unary_stream(path, request_serializer=serialize)(request, metadata=metadata)
            await stream.read()
            stream.cancel()
        elif method.client_streaming:
            upload: Any = channel.stream_unary(path, request_serializer=serialize)
            await upload(iter([request]), metadata=metadata)
        else:
            call: Any = channel.unary_unary(path, request_serializer=serialize)
            await call(request, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return failure_of(error).reason
    return None


def allowed(access: options_pb2.Access, caller: str) -> bool:
    level = LEVELS[caller]
    if options_pb2.CALLER_LEVEL_OPERATOR in {access.level, level}:
        return access.level in {level, options_pb2.CALLER_LEVEL_PUBLIC}
    if level == options_pb2.CALLER_LEVEL_USER and access.permission:
        return access.permission in BUILT_IN["default"]
    return level >= access.level


async def test_every_rpc_against_every_kind_of_caller(cluster: Cluster) -> None:
    for method in SERVED:
        access = method.GetOptions().Extensions[options_pb2.access]
        for caller in LEVELS:
            reason = await outcome(cluster, method, metadata_of(cluster, caller))
            where = f"{method.full_name} by {caller}: {reason and ErrorReason.Name(reason)}"
            assert reason != ErrorReason.ERROR_REASON_UNSPECIFIED, where
            if reason == ErrorReason.ERROR_REASON_METHOD_NOT_SERVED:
                continue
            if caller == "public" and access.level != options_pb2.CALLER_LEVEL_PUBLIC:
                assert reason == ErrorReason.ERROR_REASON_TOKEN_MISSING, where
            elif method.full_name in NEEDS_SESSION and allowed(access, caller):
                assert reason == ErrorReason.ERROR_REASON_TOKEN_INVALID, where
            elif allowed(access, caller):
                assert reason not in AUTHENTICATION | AUTHORIZATION, where
            else:
                # What the store decides inside its transaction comes after the field rules.
                late = access.in_transaction and reason == ErrorReason.ERROR_REASON_FIELD_REQUIRED
                assert reason in AUTHORIZATION or late, where


async def test_a_user_acts_as_itself_only(cluster: Cluster) -> None:
    for method in SERVED:
        access = method.GetOptions().Extensions[options_pb2.access]
        if access.self_field:
            reason = await outcome(cluster, method, cluster.as_user("eve"))
            if reason != ErrorReason.ERROR_REASON_METHOD_NOT_SERVED:
                assert reason == ErrorReason.ERROR_REASON_SUBJECT_MISMATCH, method.full_name


async def test_admins_have_every_permission_of_the_contract(cluster: Cluster) -> None:
    request = AssignRoleRequest(user_id="bob", role_name="admin")
    await cluster.access.AssignRole(request, metadata=cluster.as_server())
    for method in SERVED:
        access = method.GetOptions().Extensions[options_pb2.access]
        if access.permission:
            assert await outcome(cluster, method, cluster.as_user("bob")) not in AUTHORIZATION, method.full_name
