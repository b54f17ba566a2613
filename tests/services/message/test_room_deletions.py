"""Deleting rooms without waiting: the job survives restarts, and a media service that is away (spec §3.6)."""

from roomline.v1.job_pb2 import JOB_STATUS_COMPLETED, JOB_STATUS_IN_PROGRESS, Job
from roomline.v1.room_service_pb2 import GetRoomDeletionRequest, GetRoomRequest, StartRoomDeletionRequest

from tests.services.message.desk import Desk, until
from tests.support.refusals import refuses


async def start(desk: Desk, room: str = "den", request_id: str = "") -> Job:
    request = StartRoomDeletionRequest(room_id=room, request_id=request_id)
    answer = await desk.cluster.rooms.StartRoomDeletion(request, metadata=desk.server())
    return answer.job


async def told(desk: Desk, job: Job) -> Job:
    request = GetRoomDeletionRequest(job_id=job.id)
    return (await desk.cluster.rooms.GetRoomDeletion(request, metadata=desk.server())).job


async def completed(desk: Desk, job: Job) -> None:
    """Waits until it is."""
    done = Job(id=job.id, status=JOB_STATUS_COMPLETED)

    async def is_done() -> bool:
        return await told(desk, job) == done

    await until(is_done)


async def test_a_room_and_its_files_are_deleted(desk: Desk) -> None:
    file = await desk.file(b"for the den")
    await desk.send(file.id)
    job = await start(desk, request_id="r")
    assert job.status == JOB_STATUS_IN_PROGRESS
    assert await start(desk, request_id="r") == job
    with refuses("ROOM_NOT_FOUND"):
        await desk.cluster.rooms.GetRoom(GetRoomRequest(room_id="den"), metadata=desk.server())
    with refuses("ROOM_NOT_FOUND"):
        await start(desk)
    await completed(desk, job)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await desk.read(file.id, desk.server())


async def test_a_job_is_not_done_before_the_media_service_knows(desk: Desk) -> None:
    file = await desk.file(b"for the den")
    await desk.send(file.id)
    await desk.stop_media()
    job = await start(desk)
    assert (await told(desk, job)).status == JOB_STATUS_IN_PROGRESS
    # Nor after a restart, which takes it up again.
    await desk.restart_message()
    assert (await told(desk, job)).status == JOB_STATUS_IN_PROGRESS
    await desk.start_media()
    await completed(desk, job)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await desk.read(file.id, desk.server())


async def test_jobs_are_the_servers_of_their_instance(desk: Desk) -> None:
    job = await start(desk)
    await desk.cluster.add_instance("two")
    request = GetRoomDeletionRequest(job_id=job.id)
    with refuses("JOB_NOT_FOUND"):
        await desk.cluster.rooms.GetRoomDeletion(request, metadata=desk.cluster.as_server(instance_id="two"))
    for call in (
        desk.cluster.rooms.GetRoomDeletion(request, metadata=desk.user("bob")),
        desk.cluster.rooms.StartRoomDeletion(StartRoomDeletionRequest(room_id="hall"), metadata=desk.user("bob")),
    ):
        with refuses("CALLER_NOT_ALLOWED", level="server"):
            await call
