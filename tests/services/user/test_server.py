"""Starting and stopping the user service, with and without others."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr
from roomline.v1.instance_pb2 import Instance, InstanceFlags
from roomline.v1.instance_service_pb2 import (
    CreateInstanceRequest,
    DeleteInstanceRequest,
    IssueTestTokenRequest,
    ListInstancesRequest,
    RotateKeyRequest,
)
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub
from roomline.v1.user_service_pb2 import CreateUserRequest, DeleteUserRequest, ListUsersRequest, NewUser
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from services.common.ids import wall_clock
from services.common.settings import Settings
from services.common.tokens import OPERATOR_ISSUER, ServiceTokens
from services.user.offline import open_instances
from services.user.server import build_server
from tests.services.user.conftest import OPERATOR_SECRET, SERVICE_SECRET, Backend, House, Tenant
from tests.support.clock import ManualClock
from tests.support.refusals import refuses


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_the_data_folder_is_for_its_owner_only(house: House, tenant: Tenant) -> None:
    folder = house.settings.data_dir
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.glob("user.db*")} == {0o600}


async def test_one_process_at_a_time_works_on_a_data_folder(house: House) -> None:
    with pytest.raises(RuntimeError, match="another user service"):
        await build_server(house.settings).start("127.0.0.1:0")
    with pytest.raises(RuntimeError, match="another user service"):
        async with open_instances(house.settings):
            pass


async def test_a_start_that_fails_leaves_nothing_open(settings: Settings, backend: Backend) -> None:
    with pytest.raises(RuntimeError):
        await build_server(settings).start(f"127.0.0.1:{backend.port}")
    server = build_server(settings)
    await server.start("127.0.0.1:0")
    await server.stop()


@pytest.mark.parametrize("name", ["service_secret", "operator_secret"])
def test_an_empty_secret_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match="ROOMLINE_OPERATOR_SECRET"):
        build_server(settings.model_copy(update={name: SecretStr("")}))


async def test_instances_can_be_made_while_no_server_runs(house: House) -> None:
    await house.stop()
    async with open_instances(house.settings) as (stub, tokens):
        made = await stub.CreateInstance(
            CreateInstanceRequest(instance=Instance(id="mine", flags=InstanceFlags(test_token_provider=True))),
            metadata=tokens.metadata(),
        )
        with refuses("INSTANCE_ALREADY_EXISTS", id="mine"):
            await stub.CreateInstance(CreateInstanceRequest(instance=Instance(id="mine")), metadata=tokens.metadata())
    async with open_instances(house.settings) as (stub, tokens):
        rotated = await stub.RotateKey(RotateKeyRequest(instance_id="mine"), metadata=tokens.metadata())
        listed = await stub.ListInstances(ListInstancesRequest(), metadata=tokens.metadata())
        assert list(listed.instances) == [made.instance]
    await house.start()
    house.clock.now = int(made.instance.created_at.seconds + 60) * 1_000_000
    tenant = Tenant("mine", rotated.key, house.clock)
    await house.users.ListUsers(ListUsersRequest(), metadata=tenant.server())
    await house.instances.IssueTestToken(IssueTestTokenRequest(instance_id="mine", user_id="a"))
    with refuses("TOKEN_INVALID"):
        await house.users.ListUsers(ListUsersRequest(), metadata=Tenant("mine", made.key, house.clock).server())


async def test_an_instance_deleted_while_no_server_runs_is_purged_later(house: House, tenant: Tenant) -> None:
    await house.stop()
    await house.backend.down()
    async with open_instances(house.settings) as (stub, tokens):
        await stub.DeleteInstance(DeleteInstanceRequest(instance_id="one"), metadata=tokens.metadata())
    await house.backend.up()
    await house.start()
    async with asyncio.timeout(30):
        assert await house.backend.purged.get() == ("instance", "one")


@asynccontextmanager
async def running(settings: Settings, port: int) -> AsyncIterator[tuple[Process, grpc.aio.Channel]]:
    """The service as a process of its own, which the block ends."""
    address = f"127.0.0.1:{port}"
    environment = {
        **os.environ,
        "ROOMLINE_DATA_DIR": str(settings.data_dir),
        "ROOMLINE_USER_ADDRESS": address,
        "ROOMLINE_MESSAGE_ADDRESS": settings.message_address,
        "ROOMLINE_SERVICE_SECRET": SERVICE_SECRET,
        "ROOMLINE_OPERATOR_SECRET": OPERATOR_SECRET,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.user", env=environment)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            async with asyncio.timeout(30):
                await channel.channel_ready()
            yield process, channel
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def make_instance(channel: grpc.aio.Channel) -> Tenant:
    metadata = ServiceTokens(OPERATOR_ISSUER, OPERATOR_SECRET, "operator").metadata()
    made = await InstanceServiceStub(channel).CreateInstance(CreateInstanceRequest(), metadata=metadata)
    return Tenant(made.instance.id, made.key, ManualClock(wall_clock()))


async def test_the_process_starts_alone_and_ends_on_sigterm(settings: Settings, unused_tcp_port: int) -> None:
    async with running(settings, unused_tcp_port) as (process, channel):
        assert (await make_instance(channel)).key.secret
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_deletion_outlives_a_kill_in_the_middle_of_it(
    settings: Settings, backend: Backend, unused_tcp_port: int
) -> None:
    backend.clock.now = wall_clock()
    backend.hold.clear()
    async with running(settings, unused_tcp_port) as (process, channel):
        tenant = await make_instance(channel)
        users = UserServiceStub(channel)
        await users.CreateUser(CreateUserRequest(user=NewUser(id="a", name="a")), metadata=tenant.server())
        deletion = asyncio.ensure_future(users.DeleteUser(DeleteUserRequest(id="a"), metadata=tenant.server()))
        purge = await backend.purged.get()
        process.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await deletion
    backend.hold.set()
    house = House(settings, backend.clock, backend)
    await house.start()
    async with asyncio.timeout(30):
        assert await backend.purged.get() == purge == ("user", tenant.id, "a")
    await house.create(tenant, "a")
    assert backend.purges() == [("media", tenant.id, "a")]
    await house.stop()
