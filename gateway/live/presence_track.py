"""Presence in one instance: the one stream to the user service for all connections of this process (spec §9.1)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.presence_pb2 import PRESENCE_STATE_OFFLINE, PRESENCE_STATE_ONLINE, PresenceState
from roomline.v1.presence_service_pb2 import TrackRequest, TrackResponse

from gateway.live.lasting_stream import LastingStream
from gateway.live.presence_handle import Handle
from services.common.backoff import Backoff
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from roomline.v1.presence_service_pb2_grpc import PresenceServiceAsyncStub

    from services.common.tokens import ServiceTokens

log = structlog.get_logger()

BATCH = 1000
"""How many ids a list of a request has at most (see the contract)."""
MAX_USERS = 100_000
"""How many users of an instance this process has registered at most, and watches at most; the service takes more."""


class _Watched:
    """A user whose state is followed."""

    def __init__(self) -> None:
        self.watches: dict[Handle, Callable[[PresenceState.ValueType], None]] = {}
        self.latest: PresenceState.ValueType | None = None
        """What the service says."""
        self.told: PresenceState.ValueType | None = None
        """What the watches have been told."""


class PresenceTrack:
    """Has users online, and watches others, over one stream; when that is lost, everything is told to another one.

    `grace_seconds` is for how long the service keeps users online whose stream was lost. `emptied` is called whenever
    the last handle has been given back.
    """

    def __init__(
        self,
        instance_id: str,
        stub: PresenceServiceAsyncStub,
        tokens: ServiceTokens,
        *,
        grace_seconds: float,
        backoff: Backoff,
        emptied: Callable[[], None],
    ) -> None:
        self.instance_id = instance_id
        self._stub = stub
        self._tokens = tokens
        self._grace_seconds = grace_seconds
        self._lasting = LastingStream("presence", instance_id, backoff)
        self._emptied = emptied
        self._registered: dict[str, set[Handle]] = {}
        self._watched: dict[str, _Watched] = {}
        self._registrations_to_send: dict[str, None] = {}
        self._watches_to_send: dict[str, None] = {}
        self._unsent: list[Callable[[], None]] = []
        """What to call when all that is to be sent has been done."""
        self._sent: deque[tuple[int, list[Callable[[], None]]]] = deque()
        """The same, of what was sent with a sequence."""
        self._sequence = 0
        self._wake = asyncio.Event()
        self._settling: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Nobody holds anything."""
        return not (self._registered or self._watched)

    def register(self, user_id: str, ended: Callable[[RoomlineError], None]) -> Handle:
        """Has a user online. The handle is in force when it is, and those who watch it here have been told.

        Raises OVERLOADED if there are too many.
        """
        handle = Handle(ended, lambda: self._unregister(user_id, handle))
        _check_count(self._registered, user_id)
        self._registered.setdefault(user_id, set()).add(handle)
        # Sent again if it was before: the service may have forgotten the user, because it was deleted and made anew.
        self._registrations_to_send[user_id] = None
        self._unsent.append(handle.begin)
        self._wake.set()
        return handle

    def watch(
        self,
        user_id: str,
        callback: Callable[[PresenceState.ValueType], None],
        ended: Callable[[RoomlineError], None],
    ) -> Handle:
        """Calls back with a user's state as soon as it is known, and whenever it has changed.

        Raises OVERLOADED if there are too many.
        """
        handle = Handle(ended, lambda: self._unwatch(user_id, handle))
        _check_count(self._watched, user_id)
        watched = self._watched.get(user_id)
        if watched is None:
            watched = self._watched[user_id] = _Watched()
            self._watches_to_send[user_id] = None
            self._wake.set()
        watched.watches[handle] = callback
        if watched.told is not None:
            handle.begin()
            callback(watched.told)
        return handle

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            await self._lasting.run(self._follow)
        finally:
            if self._settling is not None:
                self._settling.cancel()

    async def _follow(self) -> bool:
        unsettled = self._sequence > 0
        call: Any = self._stub.Track(metadata=self._tokens.metadata(self.instance_id), wait_for_ready=True)
        writing = asyncio.create_task(self._write(call))
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                if unsettled:
                    unsettled = False
                    self._settle_later()
                self._lasting.answered()
                self._take(answer)
                if answer.reset:
                    break
        finally:
            writing.cancel()
            call.cancel()
            await asyncio.gather(writing, return_exceptions=True)  # what ends it ends the reading too
        return True

    async def _write(self, call: Any) -> None:
        self._registrations_to_send = dict.fromkeys(self._registered)
        self._watches_to_send = dict.fromkeys(self._watched)
        for _, callbacks in self._sent:
            self._unsent += callbacks
        self._sent.clear()
        while True:
            for request in self._requests():
                await call.write(request)
            await self._wake.wait()

    def _requests(self) -> Iterable[TrackRequest]:
        self._wake.clear()
        registrations, self._registrations_to_send = self._registrations_to_send, {}
        watches, self._watches_to_send = self._watches_to_send, {}
        registered, unregistered = _split(registrations, self._registered)
        watched, unwatched = _split(watches, self._watched)
        longest = max(len(ids) for ids in (registered, unregistered, watched, unwatched))
        requests = []
        for start in range(0, longest or 1, BATCH):
            here = slice(start, start + BATCH)
            self._sequence += 1
            requests.append(
                TrackRequest(
                    registered_user_ids=registered[here],
                    unregistered_user_ids=unregistered[here],
                    watched_user_ids=watched[here],
                    unwatched_user_ids=unwatched[here],
                    sequence=self._sequence,
                )
            )
        callbacks, self._unsent = self._unsent, []
        self._sent.append((self._sequence, callbacks))
        return requests

    def _take(self, answer: TrackResponse) -> None:
        for presence in answer.presences:
            watched = self._watched.get(presence.user_id)
            if watched is not None:
                watched.latest = presence.state
                self._tell(watched)
        while self._sent and self._sent[0][0] <= answer.done_sequence:
            for callback in self._sent.popleft()[1]:
                callback()
        if answer.reset:
            self._end(RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND))

    def _tell(self, watched: _Watched) -> None:
        state = watched.latest
        if state is None or state == watched.told:
            return
        if self._settling is not None and (watched.told, state) == (PRESENCE_STATE_ONLINE, PRESENCE_STATE_OFFLINE):
            return
        watched.told = state
        for handle, callback in list(watched.watches.items()):
            handle.begin()
            callback(state)

    def _settle_later(self) -> None:
        """Keeps users online whom the service does not know to be so yet.

        If it was started anew, other processes are still on their way to tell it.
        """
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(self._grace_seconds, self._settle)

    def _settle(self) -> None:
        self._settling = None
        for watched in list(self._watched.values()):
            self._tell(watched)

    def _end(self, error: RoomlineError) -> None:
        """Ends everything."""
        handles = [handle for group in self._registered.values() for handle in group]
        handles += [handle for watched in self._watched.values() for handle in watched.watches]
        self._registered.clear()
        self._watched.clear()
        self._unsent.clear()
        self._sent.clear()
        for handle in handles:
            handle.end(error)
        self._emptied()

    def _unregister(self, user_id: str, handle: Handle) -> None:
        group = self._registered.get(user_id, set())
        if group == {handle}:
            del self._registered[user_id]
            self._registrations_to_send[user_id] = None
            self._given_back()
        group.discard(handle)

    def _unwatch(self, user_id: str, handle: Handle) -> None:
        watched = self._watched.get(user_id)
        if watched is not None and watched.watches.pop(handle, None) is not None and not watched.watches:
            del self._watched[user_id]
            self._watches_to_send[user_id] = None
            self._given_back()

    def _given_back(self) -> None:
        self._wake.set()
        if self.is_empty:
            self._emptied()


def _split(changed: Iterable[str], held: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The ids that are held now, and those that are no longer."""
    return [one for one in changed if one in held], [one for one in changed if one not in held]


def _check_count(held: dict[str, Any], user_id: str) -> None:
    if len(held) >= MAX_USERS and user_id not in held:
        raise RoomlineError(ErrorReason.ERROR_REASON_OVERLOADED)
