"""What the stores promise about jobs: deletions whose progress can be asked for (spec §3.6)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.job_pb2 import JOB_STATUS_COMPLETED, JOB_STATUS_IN_PROGRESS, Job
from roomline.v1.room_service_pb2 import StartRoomDeletionRequest

from services.common.call import Caller
from services.common.ids import MICROSECONDS
from services.message.store import Owner
from services.user.store import Deletion, DeletionKind
from tests.stores.conftest import SERVER, STRANGER, Stores
from tests.stores.user_stores import UserStores, new, repeatable, user_stores
from tests.support.refusals import refuses

KEPT_SECONDS = 30 * 86400


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[UserStores]:
    async with user_stores(tmp_path / "users") as opened:
        yield opened


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()


async def delete_room(stores: Stores, room_id: str = "x", request_id: str = "", caller: Caller = SERVER) -> Job:
    request = StartRoomDeletionRequest(room_id=room_id, request_id=request_id)
    return (await stores.rooms.start_deletion(caller, request)).job


async def finish(stores: Stores, uid: str) -> None:
    """What the background does."""
    await stores.purges.remains()
    await stores.releases.finished(Owner("one", uid), [""])


async def test_a_room_is_gone_at_once_and_the_job_when_nothing_is_left(stores: Stores) -> None:
    room = await stores.room("bob", "ann", room_id="x")
    await stores.send("x", "bob")
    job = await delete_room(stores)
    assert job.status == JOB_STATUS_IN_PROGRESS
    with refuses("ROOM_NOT_FOUND"):
        await stores.rooms.get(SERVER, "x")
    assert list((await stores.events())[-1].room_deleted.member_user_ids) == ["bob", "ann"]
    assert await stores.jobs.get("one", job.id) == job
    await stores.purges.remains()
    assert await stores.jobs.get("one", job.id) == job
    await stores.releases.finished(Owner("one", room.uid), [""])
    assert await stores.jobs.get("one", job.id) == Job(id=job.id, status=JOB_STATUS_COMPLETED)


async def test_a_room_of_the_same_id_has_a_job_of_its_own(stores: Stores) -> None:
    first = await stores.room("bob", room_id="x")
    jobs = [await delete_room(stores)]
    await finish(stores, first.uid)
    await stores.room("bob", room_id="x")
    jobs.append(await delete_room(stores))
    found = [(await stores.jobs.get("one", job.id)).status for job in jobs]
    assert found == [JOB_STATUS_COMPLETED, JOB_STATUS_IN_PROGRESS]


async def test_room_jobs_are_refused_repeated_and_kept_apart(stores: Stores) -> None:
    with refuses("ROOM_NOT_FOUND"):
        await delete_room(stores)
    for caller in (SERVER, STRANGER):
        await stores.room("bob", room_id="x", caller=caller)
    job = await delete_room(stores, request_id="r")
    assert await delete_room(stores, request_id="r") == job
    with refuses("JOB_NOT_FOUND"):
        await stores.jobs.get("two", job.id)
    with refuses("JOB_NOT_FOUND"):
        await stores.jobs.get("one", "")
    await stores.rooms.get(STRANGER, "x")


async def test_room_jobs_are_forgotten_when_they_are_old_and_done(stores: Stores) -> None:
    done = await stores.room("bob", room_id="x")
    await stores.room("bob", room_id="y")
    old, late = await delete_room(stores), await delete_room(stores, "y")
    await stores.releases.finished(Owner("one", done.uid), [""])
    await stores.purges.remains()
    stores.clock.advance(KEPT_SECONDS)
    await stores.jobs.forget()
    await stores.jobs.get("one", old.id)
    stores.clock.advance(1)
    await stores.jobs.forget()
    with refuses("JOB_NOT_FOUND"):
        await stores.jobs.get("one", old.id)
    assert (await stores.jobs.get("one", late.id)).status == JOB_STATUS_IN_PROGRESS  # the media service was never told


async def test_room_jobs_go_with_the_instance(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    job = await delete_room(stores)
    await stores.purges.instance("one")
    with refuses("JOB_NOT_FOUND"):
        await stores.jobs.get("one", job.id)


async def test_a_user_is_gone_at_once_and_the_job_with_the_deletion(users: UserStores) -> None:
    await users.users.create("one", new("a"), None)
    job = (await users.users.start_deletion("one", "a", None)).job
    assert await users.ids() == []
    deletion = Deletion("one", DeletionKind.USER, "a")
    assert await users.deletions.pending() == [deletion]
    assert await users.jobs.get("one", job.id) == Job(id=job.id, status=JOB_STATUS_IN_PROGRESS)
    with refuses("DELETION_PENDING", kind="user"):
        await users.users.create("one", new("a"), None)
    await users.deletions.finished(deletion)
    assert await users.jobs.get("one", job.id) == Job(id=job.id, status=JOB_STATUS_COMPLETED)

    await users.users.create("one", new("a"), None)
    await users.users.delete("one", "a", None)  # another deletion of the same id, without a job
    assert (await users.jobs.get("one", job.id)).status == JOB_STATUS_COMPLETED


async def test_user_jobs_are_refused_repeated_and_kept_apart(users: UserStores) -> None:
    with refuses("USER_NOT_FOUND"):
        await users.users.start_deletion("one", "a", None)
    await users.users.create_all("one", [new("a"), new("b")], None)
    first = await users.users.start_deletion("one", "a", repeatable("r", "a"))
    assert await users.users.start_deletion("one", "a", repeatable("r", "a")) == first
    with refuses("REQUEST_ID_REUSED"):
        await users.users.start_deletion("one", "b", repeatable("r", "b"))
    with refuses("JOB_NOT_FOUND"):
        await users.jobs.get("two", first.job.id)


async def test_user_jobs_are_forgotten_when_they_are_old_and_done(users: UserStores) -> None:
    await users.users.create_all("one", [new("a"), new("b")], None)
    done, left = [(await users.users.start_deletion("one", user_id, None)).job for user_id in "ab"]
    await users.deletions.finished(Deletion("one", DeletionKind.USER, "a"))
    users.clock.now += (KEPT_SECONDS + 1) * MICROSECONDS
    await users.jobs.forget()
    with refuses("JOB_NOT_FOUND"):
        await users.jobs.get("one", done.id)
    assert (await users.jobs.get("one", left.id)).status == JOB_STATUS_IN_PROGRESS


async def test_user_jobs_go_with_the_instance(users: UserStores) -> None:
    for instance_id in ("one", "two"):
        await users.users.create(instance_id, new("a"), None)
    jobs = {name: (await users.users.start_deletion(name, "a", None)).job for name in ("one", "two")}
    await users.deletions.wipe("one")
    with refuses("JOB_NOT_FOUND"):
        await users.jobs.get("one", jobs["one"].id)
    await users.jobs.get("two", jobs["two"].id)
