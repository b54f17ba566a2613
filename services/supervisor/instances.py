"""Instances and keys, through InstanceService."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from roomline.v1 import instance_service_pb2 as pb
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub

from services.common.ids import MICROSECONDS
from services.common.timestamps import from_proto
from services.common.tokens import OPERATOR_ISSUER, SERVICE_ISSUER, ServiceTokens
from services.supervisor.command_error import CommandError
from services.supervisor.identity import Identity
from services.supervisor.refusals import CallRefusedError, refusals

if TYPE_CHECKING:
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub

CALL_SECONDS = 10.0
PAGE_SIZE = 100


class Instances:
    """The operator's view of a user service. What it refuses is a CommandError with its own words."""

    def __init__(self, stub: InstanceServiceAsyncStub, tokens: ServiceTokens) -> None:
        self._stub = stub
        self._tokens = tokens

    async def create(self, instance: Instance, key: InstanceKey | None) -> Identity:
        """A new instance with a key; what is left empty is made by the service."""
        with _refusals():
            made = await self._stub.CreateInstance(
                pb.CreateInstanceRequest(instance=instance, key=key), metadata=self._metadata(), timeout=CALL_SECONDS
            )
        return Identity(made.instance.locator, f"{made.key.id}:{made.key.secret}")

    async def all(self) -> list[Instance]:
        """Every instance, by id."""
        found: list[Instance] = []
        token = ""
        while True:
            with _refusals():
                page = await self._stub.ListInstances(
                    pb.ListInstancesRequest(page_size=PAGE_SIZE, page_token=token),
                    metadata=self._metadata(),
                    timeout=CALL_SECONDS,
                )
            found.extend(page.instances)
            token = page.next_page_token
            if not token:
                return found

    async def rotate_key(self, instance_id: str, grace_seconds: int) -> str:
        """A new key, as `id:secret`; the others end after the grace time."""
        with _refusals():
            rotated = await self._stub.RotateKey(
                pb.RotateKeyRequest(instance_id=instance_id, grace_seconds=grace_seconds),
                metadata=self._metadata(),
                timeout=CALL_SECONDS,
            )
        return f"{rotated.key.id}:{rotated.key.secret}"

    async def get(self, instance_id: str) -> Instance:
        """One instance. Raises InstanceNotFoundError."""
        with _refusals():
            answer = await self._stub.GetInstance(
                pb.GetInstanceRequest(instance_id=instance_id), metadata=self._metadata(), timeout=CALL_SECONDS
            )
        return answer.instance

    async def update(self, instance: Instance, paths: Iterable[str]) -> Instance:
        """Changes what the paths name, such as `flags.allow_reset`. Raises InstanceNotFoundError."""
        request = pb.UpdateInstanceRequest(instance=instance, update_mask=FieldMask(paths=paths))
        with _refusals():
            answer = await self._stub.UpdateInstance(request, metadata=self._metadata(), timeout=CALL_SECONDS)
        return answer.instance

    async def set_flags(self, instance_id: str, flags: Mapping[str, bool]) -> None:
        """Turns switches on and off, by name. Raises InstanceNotFoundError."""
        instance = Instance(id=instance_id, flags=InstanceFlags(**flags))
        await self.update(instance, [f"flags.{name}" for name in sorted(flags)])

    async def take(self, identity: Identity, service_secret: str, *, replace_key: bool = False) -> Identity:
        """Makes sure that the instance exists with this key.

        A key that was ended is refused, or replaced by a new one if `replace_key`: the answer has the key in force.
        """
        instance = Instance(id=identity.instance_id, cluster=identity.cluster)
        key = InstanceKey(id=identity.key_id, secret=identity.secret)
        if all(other.id != instance.id for other in await self.all()):  # asked so, the first start logs no refusal
            await self.create(instance, key)
            return identity
        known = await self._keys(identity.instance_id, service_secret)
        if known.get(key.id) == key.secret:
            return identity
        if replace_key:
            return Identity(identity.locator, await self._add_key(identity.instance_id, None))
        if key.id in known:
            raise CommandError(f"the key {key.id} of {identity.locator} has another secret")
        await self._add_key(identity.instance_id, key)
        return identity

    async def _keys(self, instance_id: str, service_secret: str) -> dict[str, str]:
        tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "supervisor")
        with _refusals():
            answer = await self._stub.GetCredentials(
                pb.GetCredentialsRequest(instance_id=instance_id),
                metadata=tokens.metadata(instance_id),
                timeout=CALL_SECONDS,
            )
        now = time.time() * MICROSECONDS
        return {
            key.id: key.secret
            for key in answer.credentials.keys
            if not key.HasField("revoked_at") or from_proto(key.revoked_at) > now
        }

    async def _add_key(self, instance_id: str, key: InstanceKey | None) -> str:
        with _refusals():
            made = await self._stub.CreateKey(
                pb.CreateKeyRequest(instance_id=instance_id, key=key), metadata=self._metadata(), timeout=CALL_SECONDS
            )
        return f"{made.key.id}:{made.key.secret}"

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return self._tokens.metadata()


@contextlib.asynccontextmanager
async def connected(address: str, operator_secret: str) -> AsyncIterator[Instances]:
    """The instances of the user service at `host:port`."""
    async with grpc.aio.insecure_channel(address) as channel:
        yield Instances(InstanceServiceStub(channel), ServiceTokens(OPERATOR_ISSUER, operator_secret, "operator"))


class InstanceNotFoundError(CommandError):
    """There is no such instance."""


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        with refusals("the user service"):
            yield
    except CallRefusedError as error:
        if error.reason == ErrorReason.ERROR_REASON_INSTANCE_NOT_FOUND:
            raise InstanceNotFoundError(str(error)) from error
        raise
