"""Asynchronous deletion: `chatkit_scheduler` (spec §3.6). For server tokens only, as the services see to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.room_service_pb2 import GetRoomDeletionRequest, StartRoomDeletionRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub
from roomline.v1.user_service_pb2 import GetUserDeletionRequest, StartUserDeletionRequest
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from gateway.chatkit import render
from gateway.problem import problem_of
from gateway.response import Response, json_response

if TYPE_CHECKING:
    from roomline.v1.job_pb2 import Job
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request


class Scheduler:
    """Begins deletions and tells how far they have come; each service has the jobs of what it owns."""

    def __init__(self, user: grpc.aio.Channel, message: grpc.aio.Channel) -> None:
        self._users: UserServiceAsyncStub = UserServiceStub(user)
        self._rooms: RoomServiceAsyncStub = RoomServiceStub(message)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("PUT", "/users/{user_id}", self.delete_user),
            ("PUT", "/rooms/{room_id}", self.delete_room),
            ("GET", "/status/{job_id}", self.status),
        ]

    async def delete_user(self, request: Request) -> Response:
        """Answers when the user is gone; what others keep of it goes later."""
        message = StartUserDeletionRequest(id=request.parameters["user_id"], request_id=request.new_id())
        answer = await request.call(self._users.StartUserDeletion, message)
        return json_response(render.job(answer.job), 202)

    async def delete_room(self, request: Request) -> Response:
        """Answers when the room is gone; the bytes of what was in it go later."""
        message = StartRoomDeletionRequest(room_id=request.parameters["room_id"], request_id=request.new_id())
        answer = await request.call(self._rooms.StartRoomDeletion, message)
        return json_response(render.job(answer.job), 202)

    async def status(self, request: Request) -> Response:
        """How far a job has come, whichever service has it."""
        return json_response(render.job(await self._job(request, request.parameters["job_id"])))

    async def _job(self, request: Request, job_id: str) -> Job:
        try:
            return (await request.call(self._users.GetUserDeletion, GetUserDeletionRequest(job_id=job_id))).job
        except grpc.aio.AioRpcError as error:
            if problem_of(error).reason != ErrorReason.ERROR_REASON_JOB_NOT_FOUND:
                raise
        return (await request.call(self._rooms.GetRoomDeletion, GetRoomDeletionRequest(job_id=job_id))).job
