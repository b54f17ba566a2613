"""How a server ends without losing calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from roomline.v1 import room_service_pb2_grpc
from roomline.v1.pipe_service_pb2 import PipeCall, PipeRequest
from roomline.v1.pipe_service_pb2_grpc import PipeServiceStub
from roomline.v1.room_service_pb2 import CreateRoomRequest, CreateRoomResponse

from tests.pipe.harness import PATIENT, REQUEST, Context, Server, cursors, failure, pipe_to, plain_to, reason


async def test_calls_in_flight_finish_and_new_ones_go_elsewhere(server: Server) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, context: Context) -> CreateRoomResponse:
        started.set()
        await release.wait()
        return CreateRoomResponse()

    server.behavior = wait
    async with pipe_to(server, PATIENT) as channel:
        create = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom
        in_flight = create(CreateRoomRequest())
        await started.wait()
        draining = asyncio.create_task(server.pipe.drain(30))
        async with plain_to(server) as plain:
            await asyncio.sleep(0)  # the drain begins with its task
            assert reason(await failure(PipeServiceStub(plain).Pipe().read())) == "SHUTTING_DOWN"
        later = create(CreateRoomRequest())
        assert not in_flight.done()
        assert not draining.done()
        release.set()
        assert await in_flight == CreateRoomResponse()
        await draining
        assert not later.done()
        await server.stop()
        await server.start()
        assert await later == CreateRoomResponse()


async def test_a_drain_of_idle_pipes_takes_no_time(server: Server) -> None:
    async with pipe_to(server, PATIENT) as first, pipe_to(server, PATIENT) as second:
        await cursors(first).GetCursor(REQUEST)
        await cursors(second).GetCursor(REQUEST)
        async with asyncio.timeout(10):
            await server.pipe.drain(60)
            await server.stop(60)


async def test_a_drain_together_with_stop(server: Server) -> None:
    async with pipe_to(server, PATIENT) as channel:
        await cursors(channel).GetCursor(REQUEST)
        async with asyncio.timeout(10):
            await asyncio.gather(server.pipe.drain(60), server.stop(60))


async def test_a_drain_ends_with_its_grace(server: Server) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(request: Any, context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server.behavior = hang
    async with pipe_to(server, PATIENT) as channel:
        call = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom(CreateRoomRequest())
        await started.wait()
        await server.pipe.drain(0.05)
        assert reason(await failure(call)) == "CONNECTION_LOST"
        await cancelled.wait()
        async with asyncio.timeout(10):
            await server.stop(60)


async def test_a_client_that_ignores_the_drain_is_cut_off(server: Server) -> None:
    async with plain_to(server) as plain:
        stream = PipeServiceStub(plain).Pipe()
        await stream.read()
        draining = asyncio.create_task(server.pipe.drain(0.05))
        frame: Any = await stream.read()
        assert frame.draining
        assert reason(await failure(stream.read())) == "SHUTTING_DOWN"
        await draining


async def test_a_client_that_does_not_read_cannot_hold_up_the_end(server: Server) -> None:
    responding = asyncio.Semaphore(0)

    async def respond(request: Any, context: Context) -> CreateRoomResponse:
        response = CreateRoomResponse()
        response.room.name = "x" * 1024 * 1024
        responding.release()
        return response

    server.behavior = respond
    async with plain_to(server) as plain:
        stream = PipeServiceStub(plain).Pipe()
        await stream.read()
        method = "/roomline.v1.RoomService/CreateRoom"
        await stream.write(PipeRequest(calls=[PipeCall(id=number, method=method) for number in range(64)]))
        for _ in range(64):
            await responding.acquire()
        async with asyncio.timeout(10):
            await server.pipe.drain(0.05)
            await server.stop(0.05)


async def test_stop_alone_ends_pipes_after_its_grace(server: Server) -> None:
    async with pipe_to(server, PATIENT) as channel:
        await cursors(channel).GetCursor(REQUEST)
        async with asyncio.timeout(10):
            await server.stop(0.05)


async def test_an_orderly_restart_under_load_loses_and_doubles_nothing(server: Server) -> None:
    served: Counter[str] = Counter()
    busy = asyncio.Event()

    async def count(request: Any, context: Context) -> CreateRoomResponse:
        served[request.name] += 1
        if served.total() % 500 == 0:
            busy.set()
        await asyncio.sleep(0.001)
        return CreateRoomResponse()

    server.behavior = count
    async with pipe_to(server, PATIENT) as channel:
        create = room_service_pb2_grpc.RoomServiceStub(channel).CreateRoom
        stopping = False
        made: list[str] = []

        async def work(worker: int) -> None:
            while not stopping:
                request = CreateRoomRequest()
                request.name = f"{worker}-{len(made)}"
                made.append(request.name)
                await create(request)

        workers = [asyncio.create_task(work(worker)) for worker in range(50)]
        for _ in range(3):
            busy.clear()
            await busy.wait()
            await server.pipe.drain(30)
            await server.stop(30)
            await server.start()
        stopping = True
        await asyncio.gather(*workers)
        assert served == Counter(made)
