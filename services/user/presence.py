"""Who is online, in memory: registrations of the streams that `PresenceService.Track` serves (spec §9.1).

Nothing of it is stored. After a restart everybody is offline until the gateways, which know, have registered them anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.presence_pb2 import PRESENCE_STATE_OFFLINE, PRESENCE_STATE_ONLINE, Presence

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.timestamps import fill

STREAM_USERS = 200_000
"""How many users a stream may have registered, and how many it may watch."""
REMEMBERED_USERS = 10_000
"""Of how many users of an instance who are offline it is known when they were last online."""


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """It will not."""


Later = Callable[[float, Callable[[], None]], Timer]
"""Calls something after so many seconds, such as `loop.call_later`."""


class _User:
    """A user who is online."""

    __slots__ = ("leaving", "left_at", "streams")

    def __init__(self) -> None:
        self.streams = 0
        """How many streams have it registered; with none it is on its way out."""
        self.leaving: Timer | None = None
        self.left_at = 0


class PresenceStream:
    """One stream: what it has registered and watches, and what it has not been told yet."""

    def __init__(self) -> None:
        self.registered: set[str] = set()
        self.told: dict[str, bool | None] = {}
        """Who is watched, and whether the last state told was online; None if none was."""
        self.changed: dict[str, None] = {}
        """Who of them may have another state: ids, not states, so that a slow reader never has more than it watches."""
        self.done = 0
        """The greatest `sequence` of what was asked and has been done."""
        self.acknowledged = 0
        """The greatest one that was told to be done."""
        self.wake = asyncio.Event()
        """Set when there is something to tell."""
        self.was_reset = False

    def note(self, user_id: str) -> None:
        """A watched user's state may be another."""
        self.changed[user_id] = None
        self.wake.set()


class InstancePresence:
    """The users of one instance. Everything is done at once, without waiting."""

    def __init__(self, grace_seconds: float, clock: Clock, later: Later) -> None:
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._later = later
        self._online: dict[str, _User] = {}
        self._watchers: dict[str, set[PresenceStream]] = {}
        self._streams: set[PresenceStream] = set()
        self._last_seen: dict[str, int] = {}

    def open(self) -> PresenceStream:
        """A new stream; close it."""
        stream = PresenceStream()
        self._streams.add(stream)
        return stream

    def close(self, stream: PresenceStream) -> None:
        """Takes back all that the stream has registered and watches."""
        self._streams.discard(stream)
        self.unwatch(stream, list(stream.told))
        self.unregister(stream, list(stream.registered))

    def register(self, stream: PresenceStream, user_ids: Iterable[str]) -> None:
        """Has users online, as far as this stream knows; those who were not are so from now on.

        Raises OVERLOADED if the stream has too many.
        """
        for user_id in user_ids:
            if user_id in stream.registered:
                continue
            _check_room(len(stream.registered))
            stream.registered.add(user_id)
            user = self._online.get(user_id)
            if user is None:
                user = self._online[user_id] = _User()
                self._last_seen.pop(user_id, None)
                self._changed(user_id)
            user.streams += 1
            if user.leaving is not None:
                user.leaving.cancel()
                user.leaving = None

    def unregister(self, stream: PresenceStream, user_ids: Iterable[str]) -> None:
        """Takes registrations back. Who has none left is offline when the grace period is over, unless one comes."""
        for user_id in user_ids:
            if user_id not in stream.registered:
                continue
            stream.registered.remove(user_id)
            user = self._online[user_id]
            user.streams -= 1
            if not user.streams:
                user.left_at = self._clock()
                user.leaving = self._later(self._grace_seconds, self._leave(user_id, user))

    def watch(self, stream: PresenceStream, user_ids: Iterable[str]) -> None:
        """Tells the stream of users, the present state first, also of one it watches already.

        Raises OVERLOADED if the stream has too many.
        """
        for user_id in user_ids:
            if user_id not in stream.told:
                _check_room(len(stream.told))
            stream.told[user_id] = None
            stream.note(user_id)
            self._watchers.setdefault(user_id, set()).add(stream)

    def unwatch(self, stream: PresenceStream, user_ids: Iterable[str]) -> None:
        """Tells the stream of these users no longer."""
        for user_id in user_ids:
            if user_id not in stream.told:
                continue
            del stream.told[user_id]
            stream.changed.pop(user_id, None)
            watchers = self._watchers[user_id]
            watchers.remove(stream)
            if not watchers:
                del self._watchers[user_id]

    def news(self, stream: PresenceStream, most: int) -> list[Presence]:
        """The next states that the stream has not been told, so many at most; `stream.changed` has what is left."""
        told: list[Presence] = []
        while stream.changed and len(told) < most:
            user_id = next(iter(stream.changed))
            del stream.changed[user_id]
            online = user_id in self._online
            if stream.told[user_id] is not online:  # it may have changed and changed back
                stream.told[user_id] = online
                told.append(self.state(user_id))
        return told

    def state(self, user_id: str) -> Presence:
        """A user's state; unknown users are offline."""
        if user_id in self._online:
            return Presence(user_id=user_id, state=PRESENCE_STATE_ONLINE)
        presence = Presence(user_id=user_id, state=PRESENCE_STATE_OFFLINE)
        if user_id in self._last_seen:
            fill(presence.last_seen, self._last_seen[user_id])
        return presence

    def last_seen(self, user_id: str) -> int | None:
        """When a user was last online, which is now for one who is; None if that is not known."""
        return self._clock() if user_id in self._online else self._last_seen.get(user_id)

    def forget(self, user_id: str) -> None:
        """The user has been deleted: offline at once, and whatever registered it did not."""
        self._last_seen.pop(user_id, None)
        user = self._online.pop(user_id, None)
        if user is None:
            return
        if user.leaving is not None:
            user.leaving.cancel()
        for stream in self._streams:
            stream.registered.discard(user_id)
        self._changed(user_id)

    def wake_all(self) -> None:
        """Has all streams look around."""
        for stream in self._streams:
            stream.wake.set()

    def reset(self) -> None:
        """The last thing that is done here: drops timers and registrations, and tells the streams so, of no states."""
        for user in self._online.values():
            if user.leaving is not None:
                user.leaving.cancel()
        for stream in self._streams:
            stream.registered.clear()
            stream.was_reset = True
        self.wake_all()

    def _leave(self, user_id: str, user: _User) -> Callable[[], None]:
        def leave() -> None:
            if user.streams or self._online.get(user_id) is not user:
                return
            del self._online[user_id]
            while len(self._last_seen) >= REMEMBERED_USERS:
                del self._last_seen[next(iter(self._last_seen))]
            self._last_seen[user_id] = user.left_at
            self._changed(user_id)

        return leave

    def _changed(self, user_id: str) -> None:
        for stream in self._watchers.get(user_id, ()):
            stream.note(user_id)


class PresenceBoard:
    """The users of all instances."""

    def __init__(self, grace_seconds: float, clock: Clock, later: Later) -> None:
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._later = later
        self._instances: dict[str, InstancePresence] = {}
        self.ended = False
        """Streams shall end, so that the server can stop."""

    def of(self, instance_id: str) -> InstancePresence:
        """The users of an instance, until it is reset."""
        known = self._instances.get(instance_id)
        if known is None:
            known = self._instances[instance_id] = InstancePresence(self._grace_seconds, self._clock, self._later)
        return known

    def forget(self, instance_id: str, user_id: str) -> None:
        """See `InstancePresence.forget`."""
        if instance_id in self._instances:
            self._instances[instance_id].forget(user_id)

    def reset(self, instance_id: str) -> None:
        """See `InstancePresence.reset`; the instance begins anew. Also for one that has been deleted."""
        if instance_id in self._instances:
            self._instances.pop(instance_id).reset()

    def end(self) -> None:
        """Ends all streams."""
        self.ended = True
        for presence in self._instances.values():
            presence.wake_all()


def _check_room(taken: int) -> None:
    if taken >= STREAM_USERS:
        raise RoomlineError(ErrorReason.ERROR_REASON_OVERLOADED)
