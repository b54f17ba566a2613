"""Keeps a pipe open to one server, and decides what becomes of calls while it is not."""

import asyncio
from collections import deque
from contextvars import Context

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.pipe_service_pb2 import PipeRequest, PipeResponse

from services.common.errors import RoomlineError
from services.common.pipe.call import PipedCall
from services.common.pipe.connection import Connection
from services.common.pipe.deadlines import FOREVER, Deadlines
from services.common.pipe.limits import Patience

log = structlog.get_logger()

Opener = grpc.aio.StreamStreamMultiCallable[PipeRequest, PipeResponse]


class Link:
    """The queue of calls to one server, and the connections that empty it.

    Connects with the first call. A call that was not sent yet when a connection breaks goes over the next one; one that
    was sent and not answered goes again if that is safe, and else ends CONNECTION_LOST. What the answer to a later try
    is worth, `PipedCall.conclude` says.
    """

    def __init__(self, open_stream: Opener, service: str, patience: Patience) -> None:
        self._open_stream = open_stream
        self._service = service
        self._patience = patience
        self._queue: deque[PipedCall] = deque()
        self._dead = 0
        """How many calls have ended in the queue since it was last swept."""
        self._current: Connection | None = None
        self._connections: set[Connection] = set()
        self._wanted = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop
        self._deadlines: Deadlines[PipedCall]
        self._keeper: asyncio.Task[None] | None = None
        self._failing = False
        """The outage has lasted longer than callers shall wait for it."""
        self._outage_since: float | None = None
        self._backoff = patience.first_backoff_seconds
        self._closed = False

    def submit(self, call: PipedCall, timeout: float | None) -> None:
        """Queues a call, or ends it at once. Raises grpc.aio.UsageError if the link is closed."""
        if self._closed:
            raise grpc.aio.UsageError("Channel is closed.")
        if self._keeper is None:
            self.loop = asyncio.get_running_loop()
            self._deadlines = Deadlines[PipedCall](self._expire)
            # In a context of its own: the first call's would keep that call's request id and caller for ever.
            self._keeper = self.loop.create_task(self._keep(), context=Context())
        if timeout is not None and timeout < FOREVER:
            call.deadline = self.loop.time() + timeout
            if timeout <= 0:
                self._expire(call)
                return
            call.slot = self._deadlines.add(call, call.deadline, timeout)
        queue = self._queue
        if len(queue) >= self._patience.max_queued and not self._make_room():
            call.fail(RoomlineError(ErrorReason.ERROR_REASON_OVERLOADED))
            return
        if self._failing and not call.wait_for_ready:
            self._give_up(call)
            return
        call.queued = True
        queue.append(call)
        if self._current is not None:
            self._current.wake()
        else:
            self._wanted.set()

    def abandon(self, call: PipedCall) -> None:
        """Forgets a call that has ended on this side."""
        if call.queued:
            self._dead += 1
        elif call.connection is not None:
            call.connection.cancel_call(call)

    async def close(self, grace: float | None) -> None:
        """Lets calls finish for `grace` seconds, then cancels them and disconnects."""
        self._closed = True
        calls = [*self._queue, *(call for conn in self._connections for call in conn.in_flight.values())]
        calls = [call for call in calls if not call.ended]
        if grace and calls:
            waits = [asyncio.ensure_future(call.code()) for call in calls]
            _, late = await asyncio.wait(waits, timeout=grace)
            for wait in late:
                wait.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for call in calls:
            call.cancel()
        self._queue.clear()
        if self._keeper is not None:
            self._deadlines.close()
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._connections))

    def _make_room(self) -> bool:
        """Sweeps ended calls out of the full queue, but only once they may be many, so that a flood stays cheap."""
        if self._dead * 8 < self._patience.max_queued:
            return False
        self._dead = 0
        alive = [call for call in self._queue if not call.ended]
        self._queue.clear()
        self._queue.extend(alive)
        return len(alive) < self._patience.max_queued

    def _expire(self, call: PipedCall) -> None:
        call.fail(RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED))
        self.abandon(call)

    # Connecting

    async def _keep(self) -> None:
        loop = self.loop
        while True:
            if not self._queue and not self._failing:
                self._outage_since = None
                self._wanted.clear()
                await self._wanted.wait()
            connection = await self._connect()
            if connection is not None:
                self._current = connection
                self._failing = False
                connected_at = loop.time()
                await connection.retired.wait()
                self._current = None
                # One that broke at once was no connection: the outage goes on.
                lived = loop.time() - connected_at
                if connection.answered or lived >= self._patience.max_backoff_seconds:
                    self._outage_since = None
                    self._backoff = self._patience.first_backoff_seconds
                    continue
            await self._back_off()

    async def _connect(self) -> Connection | None:
        if self._outage_since is None:
            self._outage_since = self.loop.time()
        try:
            stream = self._open_stream()
            async with asyncio.timeout(self._patience.connect_seconds):
                first = await stream.read()
        except grpc.aio.AioRpcError as error:
            log.debug("pipe_not_opened", service=self._service, details=error.details())
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return None  # somebody closed the channel under the pipe
        except Exception as error:  # noqa: BLE001 - whatever it was, calls must not wait for ever
            log.debug("pipe_not_opened", service=self._service, details=repr(error))
            return None
        if not isinstance(first, PipeResponse) or not first.credits:
            stream.cancel()
            return None
        connection = Connection(stream, first.credits, self._queue, self._lost)
        self._connections.add(connection)
        return connection

    async def _back_off(self) -> None:
        """After a failed try: gives calls up if the outage lasts too long, and pauses."""
        now = self.loop.time()
        since = now if self._outage_since is None else self._outage_since
        patience_left = since + self._patience.outage_seconds - now
        pause = self._backoff * (0.5 + self._patience.random() / 2)
        self._backoff = min(self._backoff * 2, self._patience.max_backoff_seconds)
        if patience_left <= 0:
            self._failing = True
            self._give_up_queued()
        else:
            pause = min(pause, patience_left)
        await asyncio.sleep(pause)

    # What becomes of calls

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        again = []
        for call in connection.in_flight.values():
            if call.ended:
                continue
            if call.repeatable and call.sends < self._patience.max_sends and not self._closed:
                call.queued = True
                again.append(call)
            else:
                self._give_up(call)
        self._queue.extendleft(reversed(again))
        if again:
            self._wanted.set()
            if self._current is not None:
                self._current.wake()

    def _give_up_queued(self) -> None:
        waiting = []
        for call in self._queue:
            if call.wait_for_ready and not call.ended:
                waiting.append(call)
                continue
            call.queued = False
            if not call.ended:
                self._give_up(call)
        self._queue.clear()
        self._queue.extend(waiting)
        self._dead = 0

    def _give_up(self, call: PipedCall) -> None:
        if call.sends:
            call.fail(RoomlineError(ErrorReason.ERROR_REASON_CONNECTION_LOST))
        else:
            reason = ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE
            call.fail(RoomlineError(reason, service=self._service))
