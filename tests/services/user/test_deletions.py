"""Deleting users and instances: all of it goes, whatever fails in between (spec §3.3)."""

import asyncio
from collections import Counter

import pytest
from roomline.v1.instance_pb2 import Instance
from roomline.v1.instance_service_pb2 import (
    CreateInstanceRequest,
    DeleteInstanceRequest,
    GetInstanceRequest,
)
from roomline.v1.job_pb2 import JOB_STATUS_COMPLETED, JOB_STATUS_IN_PROGRESS, Job
from roomline.v1.user_service_pb2 import (
    BatchCreateUsersRequest,
    CreateUserRequest,
    DeleteUserRequest,
    GetUserDeletionRequest,
    GetUserRequest,
    ListUsersRequest,
    NewUser,
    StartUserDeletionRequest,
)

from services.common.backoff import Backoff
from services.user.deletions import Deletions, Purges
from services.user.store import Deletion, DeletionKind, DeletionStore
from tests.services.user.conftest import Backend, House, Tenant
from tests.support.refusals import refuses

PURGE_A = ("user", "one", "a")
PURGE_FILES_OF_A = ("media", "one", "a")


async def delete(house: House, tenant: Tenant, user_id: str = "a", request_id: str = "") -> None:
    request = DeleteUserRequest(id=user_id, request_id=request_id)
    await house.users.DeleteUser(request, metadata=tenant.server())


async def next_purge(backend: Backend) -> tuple[str, ...]:
    async with asyncio.timeout(30):
        return await backend.purged.get()


async def test_a_deleted_user_is_gone_everywhere_when_the_call_returns(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a", "b")
    await delete(house, tenant)
    assert house.backend.purges() == [PURGE_A, PURGE_FILES_OF_A]
    with refuses("USER_NOT_FOUND"):
        await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())
    with refuses("USER_NOT_FOUND"):
        await delete(house, tenant)
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await house.users.DeleteUser(DeleteUserRequest(id="b"), metadata=tenant.user("b"))
    await house.create(tenant, "a")
    assert house.backend.purges() == []


async def test_a_repeated_delete_gets_the_first_answer(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    await delete(house, tenant, request_id="once")
    await house.create(tenant, "a")
    await delete(house, tenant, request_id="once")
    await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())
    assert house.backend.purges() == [PURGE_A, PURGE_FILES_OF_A]


@pytest.mark.thorough
async def test_without_the_message_service_a_deletion_counts_and_is_finished_later(
    house: House, tenant: Tenant
) -> None:
    await house.create(tenant, "a")
    await house.backend.down()
    await delete(house, tenant)
    with refuses("USER_NOT_FOUND"):
        await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())
    with refuses("DELETION_PENDING", kind="user"):
        await house.create(tenant, "a")
    with refuses("DELETION_PENDING", kind="user"):
        await house.users.BatchCreateUsers(
            BatchCreateUsersRequest(users=[NewUser(id="b", name="b"), NewUser(id="a", name="a")]),
            metadata=tenant.server(),
        )
    await house.backend.up()
    assert await next_purge(house.backend) == PURGE_A


@pytest.mark.thorough
async def test_a_restart_takes_deletions_up_again(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a", "b")
    await house.backend.down()
    await delete(house, tenant)
    await house.stop()
    await house.backend.up()
    await house.start()
    assert await next_purge(house.backend) == PURGE_A
    await house.create(tenant, "a")


async def test_a_cancelled_delete_is_finished_later(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    house.backend.hold.clear()
    call = house.users.DeleteUser(DeleteUserRequest(id="a"), metadata=tenant.server())
    deletion = asyncio.ensure_future(call)
    assert await next_purge(house.backend) == PURGE_A
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deletion
    house.backend.hold.set()
    assert await next_purge(house.backend) == PURGE_A


async def test_a_user_is_created_again_only_after_the_purge_of_the_old_one(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    house.backend.hold.clear()
    deletion = asyncio.create_task(delete(house, tenant))
    assert await next_purge(house.backend) == PURGE_A
    creation = asyncio.create_task(house.create(tenant, "a"))
    await house.create(tenant, "b")  # by now the other creation has met the deletion
    assert not creation.done()
    house.backend.hold.set()
    await asyncio.gather(deletion, creation)
    assert house.backend.purges() == [PURGE_FILES_OF_A]
    await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())


async def start(house: House, tenant: Tenant, user_id: str = "a", request_id: str = "") -> Job:
    request = StartUserDeletionRequest(id=user_id, request_id=request_id)
    return (await house.users.StartUserDeletion(request, metadata=tenant.server())).job


async def told(house: House, tenant: Tenant, job: Job) -> Job:
    return (await house.users.GetUserDeletion(GetUserDeletionRequest(job_id=job.id), metadata=tenant.server())).job


async def completed(house: House, tenant: Tenant, job: Job) -> None:
    """Waits until it is."""
    async with asyncio.timeout(30):
        while (now := await told(house, tenant, job)).status == JOB_STATUS_IN_PROGRESS:  # noqa: ASYNC110 - see below
            await asyncio.sleep(0.01)  # jobs have no event: their callers ask again and again too
    assert now == Job(id=job.id, status=JOB_STATUS_COMPLETED)


async def test_a_job_is_done_when_the_user_is_gone_everywhere(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    house.backend.hold.clear()
    job = await start(house, tenant, request_id="once")
    assert job.status == JOB_STATUS_IN_PROGRESS
    with refuses("USER_NOT_FOUND"):
        await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())
    assert await next_purge(house.backend) == PURGE_A
    assert await told(house, tenant, job) == job
    assert await start(house, tenant, request_id="once") == job
    with refuses("USER_NOT_FOUND"):
        await start(house, tenant)
    house.backend.hold.set()
    assert await next_purge(house.backend) == PURGE_FILES_OF_A
    await completed(house, tenant, job)
    await house.create(tenant, "a")
    assert await start(house, tenant, request_id="once") == job
    await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())


async def test_a_job_survives_a_restart_and_a_message_service_that_is_away(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    await house.backend.down()
    job = await start(house, tenant)
    await house.stop()
    await house.start()
    assert await told(house, tenant, job) == job
    await house.backend.up()
    assert await next_purge(house.backend) == PURGE_A
    await completed(house, tenant, job)
    await house.stop()
    await house.start()
    await completed(house, tenant, job)


async def test_a_user_created_anew_completes_the_job_of_the_earlier_one(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    job = await start(house, tenant)
    await house.create(tenant, "a")
    assert (await told(house, tenant, job)).status == JOB_STATUS_COMPLETED
    await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())


async def test_jobs_are_the_servers_of_their_instance(house: House, tenant: Tenant) -> None:
    other = await house.tenant("two")
    await house.create(tenant, "a")
    job = await start(house, tenant)
    request = GetUserDeletionRequest(job_id=job.id)
    with refuses("JOB_NOT_FOUND"):
        await house.users.GetUserDeletion(request, metadata=other.server())
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await house.users.GetUserDeletion(request, metadata=tenant.user("a"))


async def test_a_deleted_instance_is_gone_everywhere(house: House, tenant: Tenant) -> None:
    other = await house.tenant("two")
    await house.create(tenant, "a")
    await house.create(other, "a")
    await house.instances.DeleteInstance(DeleteInstanceRequest(instance_id="one"), metadata=house.operator)
    assert house.backend.purges() == [("instance", "one"), ("media", "one")]
    with refuses("TOKEN_INVALID"):
        await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.server())
    with refuses("INSTANCE_NOT_FOUND"):
        await house.instances.GetInstance(GetInstanceRequest(instance_id="one"), metadata=house.operator)
    again = await house.tenant("one")
    assert not (await house.users.ListUsers(ListUsersRequest(), metadata=again.server())).users
    assert (await house.users.ListUsers(ListUsersRequest(), metadata=other.server())).users


@pytest.mark.thorough
async def test_an_instance_deletion_is_finished_later_too(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a", "b")
    await house.backend.down()
    await delete(house, tenant)
    await house.instances.DeleteInstance(DeleteInstanceRequest(instance_id="one"), metadata=house.operator)
    create = CreateInstanceRequest(instance=Instance(id="one"))
    with refuses("DELETION_PENDING", kind="instance"):
        await house.instances.CreateInstance(create, metadata=house.operator)
    await house.stop()
    await house.backend.up()
    await house.start()
    assert await next_purge(house.backend) == ("instance", "one")
    again = await house.tenant("one")
    assert not (await house.users.ListUsers(ListUsersRequest(), metadata=again.server())).users
    await house.create(again, "a")
    assert house.backend.purges() == [("media", "one")]  # none of the user: it went with the instance


async def test_a_deleted_user_is_created_anew_by_an_ordinary_call(house: House, tenant: Tenant) -> None:
    """Suites delete and create the same id again and again."""
    for _ in range(3):
        await house.users.CreateUser(CreateUserRequest(user=NewUser(id="a", name="a")), metadata=tenant.server())
        await delete(house, tenant)
    assert house.backend.purges() == [PURGE_A, PURGE_FILES_OF_A] * 3


async def test_a_deletion_that_cannot_be_finished_holds_up_no_other() -> None:
    pending = [Deletion("one", DeletionKind.USER, user_id) for user_id in ("bad", "good")]
    tried: Counter[str] = Counter()
    again = asyncio.Event()

    class Store(DeletionStore):
        """Deletions in memory."""

        async def pending(self) -> list[Deletion]:
            return list(pending)

        async def is_pending(self, deletion: Deletion) -> bool:
            return deletion in pending

        async def finished(self, deletion: Deletion) -> None:
            pending.remove(deletion)

    class Stubborn(Purges):
        """Never purges the one user."""

        def __init__(self) -> None:
            pass

        async def user(self, instance_id: str, user_id: str) -> None:
            tried[user_id] += 1
            if tried["bad"] > 1:
                again.set()
            if user_id == "bad":
                raise ValueError(user_id)

    deletions = Deletions(Store(), Stubborn(), Backoff(first=0.001, longest=0.001))  # type: ignore[abstract]
    running = asyncio.create_task(deletions.run())
    async with asyncio.timeout(10):
        await again.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [deletion.id for deletion in pending] == ["bad"]
    assert tried["good"] == 1
