"""`InstanceService.ResetInstance` (spec §12.3)."""

import asyncio

import grpc
import pytest
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.user_service_pb2 import (
    CreateUserRequest,
    DeleteUserRequest,
    ListUsersRequest,
    ListUsersResponse,
    NewUser,
)

from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses

REQUEST = ResetInstanceRequest()


@pytest.fixture
async def resettable(house: House) -> Tenant:
    """An instance that allows it."""
    return await house.tenant("reset", allow_reset=True)


async def users(house: House, tenant: Tenant) -> ListUsersResponse:
    return await house.users.ListUsers(ListUsersRequest(), metadata=tenant.server())


async def test_a_reset_leaves_nothing_but_the_instance(house: House, tenant: Tenant, resettable: Tenant) -> None:
    request = CreateUserRequest(user=NewUser(id="a", name="a"), request_id="once")
    first = await house.users.CreateUser(request, metadata=resettable.server())
    await house.create(tenant, "a")
    await house.instances.ResetInstance(REQUEST, metadata=resettable.server("nobody"))
    assert house.backend.purges() == [("instance", "reset"), ("media", "reset")]
    assert not (await users(house, resettable)).users
    assert (await users(house, tenant)).users
    again = await house.users.CreateUser(request, metadata=resettable.server())
    assert again.user.uid != first.user.uid
    assert list((await users(house, resettable)).users) == [again.user]


async def test_a_reset_needs_the_flag_and_a_server_token(house: House, tenant: Tenant, resettable: Tenant) -> None:
    await house.create(tenant, "a")
    with refuses("RESET_DISABLED"):
        await house.instances.ResetInstance(REQUEST, metadata=tenant.server())
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await house.instances.ResetInstance(REQUEST, metadata=resettable.user("a"))
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await house.instances.ResetInstance(REQUEST, metadata=house.operator)
    assert (await users(house, tenant)).users
    assert house.backend.purges() == []


async def test_a_reset_lets_purges_under_way_end_first(house: House, resettable: Tenant) -> None:
    """A late one would hit the user that a suite creates next."""
    await house.create(resettable, "a")
    house.backend.hold.clear()
    delete = house.users.DeleteUser(DeleteUserRequest(id="a"), metadata=resettable.server())
    assert await house.backend.purged.get() == ("user", "reset", "a")
    reset = asyncio.ensure_future(house.instances.ResetInstance(REQUEST, metadata=resettable.server()))
    assert await house.backend.purged.get() == ("instance", "reset")
    assert await house.backend.purged.get() == ("media", "reset")
    await users(house, resettable)
    assert not reset.done()
    house.backend.hold.set()
    await asyncio.gather(delete, reset)
    await house.create(resettable, "a")
    assert house.backend.purges() == [("media", "reset", "a")]


async def reset(house: House, tenant: Tenant) -> bool:
    """Whether the instance was reset; else a service was away."""
    try:
        await house.instances.ResetInstance(REQUEST, metadata=tenant.server())
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


@pytest.mark.thorough
async def test_a_reset_without_the_message_service_says_so_and_can_be_repeated(
    house: House, resettable: Tenant
) -> None:
    await house.create(resettable, "a")
    await house.backend.down()
    with refuses("SERVICE_UNAVAILABLE"):
        await house.instances.ResetInstance(REQUEST, metadata=resettable.server())
    await house.stop()
    await house.backend.up()
    await house.start()
    async with asyncio.timeout(20):
        while not await reset(house, resettable):  # noqa: ASYNC110 - gRPC pauses before it connects again
            await asyncio.sleep(0.1)
    assert not (await users(house, resettable)).users
