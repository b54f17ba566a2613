"""What happens to one user, and its state: one feed for all of the user's subscriptions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.live.change import Change, ChangeKind
from gateway.live.follower import Follower
from gateway.live.happening import Happening
from gateway.live.room_state import RoomState
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from roomline.v1.cursor_pb2 import Cursor
    from roomline.v1.room_service_pb2 import GetUserRoomResponse

    from gateway.live.instance_watch import InstanceWatch
    from gateway.live.own_calls import OwnCalls

log = structlog.get_logger()

Listener = Callable[[Change], None]
"""Takes a change, without waiting."""


class _Join:
    """Somebody who waits to be told."""

    def __init__(self, listener: Listener, begin: Callable[[], None]) -> None:
        self.listener = listener
        self.begin = begin
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class UserFeed(Follower):
    """Keeps the rooms and cursors of a user current, and tells listeners what changes, in the order of the log.

    What events do not say is read from the services; meanwhile later events wait. If that fails, the feed ends:
    `failed` is called with the error, once.
    """

    def __init__(
        self, watch: InstanceWatch, own: OwnCalls, user_id: str, failed: Callable[[RoomlineError], None]
    ) -> None:
        self.user_id = user_id
        self.rooms: dict[str, RoomState] = {}
        self.cursors: dict[str, Cursor] = {}
        """By room; of rooms, too, that the user has left."""
        self.listeners: dict[Listener, None] = {}
        self.position = 0
        """The state is as of this place in the log; events that are not the user's are left aside."""
        self._watch = watch
        self._own = own
        self._failed = failed
        self._complete_at = 0
        self._queue: deque[Happening | _Join] = deque()
        self._leading: set[Happening] = set()
        """What waits here of which others wait to be told."""
        self._fetched: dict[str, GetUserRoomResponse | None] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._ended: RoomlineError | None = None

    def begin(
        self, since: Happening, rooms: Iterable[RoomState], position: int, cursors: Iterable[Cursor], cursors_at: int
    ) -> None:
        """Begins with what the services have answered, as of the positions. `since` is from before they were asked."""
        self.rooms = {state.room.id: state for state in rooms}
        self.cursors = {cursor.room_id: cursor for cursor in cursors}
        self.after = self.position = position
        self._complete_at = cursors_at  # events between the two positions are taken before anybody is told anything
        self._watch.follow(self, since, {*self.rooms, *self.cursors}, (self.user_id,))

    def close(self) -> None:
        """Tells nobody anything more."""
        self._watch.unfollow(self)
        self.listeners.clear()
        self._queue.clear()
        for happening in self._leading:
            happening.led()
        self._leading.clear()
        if self._fetching is not None:
            self._fetching.cancel()

    async def join(self, listener: Listener, begin: Callable[[], None], position: int) -> None:
        """Adds a listener. Calls `begin` when all up to the position, and whatever came meanwhile, has been taken.

        The listener is told of what comes after that. Raises what the feed ends with.
        """
        await self._watch.reached(max(position, self._complete_at))
        if self._ended is not None:
            raise self._ended
        join = _Join(listener, begin)
        self._queue.append(join)
        self._go_on()
        await join.joined

    def receive(self, happening: Happening) -> None:
        """See `Follower`."""
        self._follow_rooms(happening)
        self._queue.append(happening)
        if happening.kind == "members_added" and self.user_id in happening.event.members_added.user_ids:
            self._leading.add(happening)  # whoever is added is told before others (spec §4.6)
            happening.lead()
        self._go_on()

    def _follow_rooms(self, happening: Happening) -> None:
        """Follows a room from the event on that the user is added by, even if that waits for others to be taken."""
        change: Any = getattr(happening.event, happening.kind) if happening.kind else None
        match happening.kind:
            case "room_created":
                self._watch.follow_room(self, change.room.id)
            case "members_added" if self.user_id in change.user_ids:
                self._watch.follow_room(self, change.room_id)
            case "cursor_set" if self.user_id == change.cursor.user_id:
                self._watch.follow_room(self, change.cursor.room_id)
            case "room_deleted":
                self._watch.unfollow_room(self, change.room_id)

    def _go_on(self) -> None:
        """Takes what waits, up to what needs an answer of the services first, or is told to somebody else first."""
        while self._queue and self._fetching is None:
            step = self._queue[0]
            if isinstance(step, Happening) and step.leaders and step not in self._leading and step.waits(self._go_on):
                return
            missing = self._missing(step)
            if missing:
                self._fetching = asyncio.create_task(self._fetch(missing))
                return
            self._queue.popleft()
            if isinstance(step, _Join):
                self._begin(step)
                continue
            try:
                self._tell(step)
            except Exception as error:  # what cannot be told is no reason to keep the rest, here or from others
                log.error("delivery_failed", instance=self._watch.instance_id, kind=step.kind, exc_info=error)
            if self._leading and step in self._leading:
                self._leading.remove(step)
                step.led()

    def _tell(self, step: Happening) -> None:
        self.position = max(self.position, step.position)  # what is not logged has none
        for number, change in enumerate(self._take(step)):
            numbered = change._replace(number=number) if number else change
            for listener in tuple(self.listeners):
                listener(numbered)

    def _begin(self, join: _Join) -> None:
        if join.joined.done():  # who waited has left
            return
        try:
            join.begin()
        except Exception as error:  # noqa: BLE001 - it is for the one who joins
            join.joined.set_exception(error)
        else:
            self.listeners[join.listener] = None
            join.joined.set_result(None)

    def _missing(self, step: Happening | _Join) -> list[str]:
        """The rooms that have to be read before the step can be taken."""
        if isinstance(step, _Join):
            return [room_id for room_id, state in self.rooms.items() if state.stale]
        change: Any = getattr(step.event, step.kind)
        match step.kind:
            case "members_added" if self.user_id in change.user_ids:
                return self._unknown(change.room_id)
            case "room_created" if change.imported:
                return self._unknown(change.room.id)
            case "room_updated":
                return self._stale(change.room.id)
            case "message_sent":
                return self._stale(change.message.room_id)
            case "cursor_set" if change.cursor.user_id == self.user_id:
                room_id = change.cursor.room_id
                state = self.rooms.get(room_id)
                if state is not None and not state.knows_unread(change.cursor, step.position):
                    return [room_id]
                return self._stale(room_id)
            case _:
                return []

    def _unknown(self, room_id: str) -> list[str]:
        return [] if room_id in self.rooms or room_id in self._fetched else [room_id]

    def _stale(self, room_id: str) -> list[str]:
        state = self.rooms.get(room_id)
        return [room_id] if state is not None and state.stale else []

    async def _fetch(self, room_ids: list[str]) -> None:
        try:
            for room_id in room_ids:
                answer = await self._own.user_room(self._watch.instance_id, self.user_id, room_id)
                if answer is not None and answer.room.HasField("cursor"):  # no event tells of one that was imported
                    self.cursors.setdefault(room_id, answer.room.cursor)
                state = self.rooms.get(room_id)
                if state is None:
                    self._fetched[room_id] = answer
                elif answer is None:
                    state.leave()
                else:
                    state.recount(answer.room, answer.position)
        except RoomlineError as error:
            self._fail(error)
            return
        except Exception as error:  # a feed that stands still for ever is worse than one that ends
            log.error("feed_failed", instance=self._watch.instance_id, exc_info=error)
            self._fail(RoomlineError(ErrorReason.ERROR_REASON_INTERNAL))
            return
        self._fetching = None
        self._go_on()

    def _fail(self, error: RoomlineError) -> None:
        for step in self._queue:
            if isinstance(step, _Join) and not step.joined.done():
                step.joined.set_exception(error)
        self._ended = error
        self._failed(error)

    def _take(self, step: Happening) -> Iterator[Change]:
        """Brings the state up to date, and says what has changed."""
        change: Any = getattr(step.event, step.kind)
        match step.kind:
            case "members_added":
                yield from self._members_added(step, change.room_id, change.user_ids)
            case "members_removed":
                yield from self._members_removed(step, change.room_id, change.user_ids)
            case "user_deleted":
                for room_id in change.room_ids:
                    changes = list(self._members_removed(step, room_id, (change.user_id,)))
                    if change.user_id != self.user_id:  # to the user itself the end says all (spec §10.14)
                        yield from changes
            case "cursor_set" if change.cursor.user_id == self.user_id:
                yield self._cursor_set(step, change.cursor)
            case "message_sent" if state := self._state(step, change.message.room_id):
                state.count(change.message, step.position)
                yield Change(ChangeKind.MESSAGE_SENT, step, change.message.room_id, state)
            case "message_deleted" | "message_hidden" | "messages_imported" | "room_discarded" if state := self._state(
                step, change.room_id
            ):
                state.stale = state.stale or step.position > state.counted_at
            case _:
                yield from self._take_room(step, change)

    def _take_room(self, step: Happening, change: Any) -> Iterator[Change]:
        match step.kind:
            case "room_created":
                if change.imported:
                    yield from self._room_imported(step, change.room.id)
                elif change.room.id not in self.rooms or self._state(step, change.room.id):
                    yield self._added(step, RoomState.created(change.room, step.position))
            case "room_updated" if state := self._state(step, change.room.id):
                state.update(change.room)
                yield Change(ChangeKind.ROOM_UPDATED, step, change.room.id, state)
            case "room_deleted":
                if self._state(step, change.room_id):
                    del self.rooms[change.room_id]
                    yield Change(ChangeKind.ROOM_DELETED, step, change.room_id)
                if change.room_id not in self.rooms:
                    self.cursors.pop(change.room_id, None)

    def _state(self, step: Happening, room_id: str) -> RoomState | None:
        """What is known of a room, unless the event is part of that already."""
        state = self.rooms.get(room_id)
        return state if state is not None and step.position > state.since else None

    def _added(self, step: Happening, state: RoomState) -> Change:
        self.rooms[state.room.id] = state
        return Change(ChangeKind.ROOM_ADDED, step, state.room.id, state)

    def _room_imported(self, step: Happening, room_id: str) -> Iterator[Change]:
        """It may have messages and cursors, which no event tells of."""
        answer = self._fetched.pop(room_id, None)
        if answer is not None:  # else it is known, or a later event takes the user out again
            yield self._added(step, RoomState.of(answer.room, answer.position))

    def _members_added(self, step: Happening, room_id: str, user_ids: Iterable[str]) -> Iterator[Change]:
        if self.user_id in user_ids and room_id not in self.rooms:
            answer = self._fetched.pop(room_id, None)
            if answer is not None:  # else a later event takes the user out again
                yield self._added(step, RoomState.of(answer.room, answer.position))
        elif state := self._state(step, room_id):
            for user_id in user_ids:
                state.member_ids.append(user_id)
                yield Change(ChangeKind.MEMBER_JOINED, step, room_id, state, user_id)

    def _members_removed(self, step: Happening, room_id: str, user_ids: Iterable[str]) -> Iterator[Change]:
        state = self._state(step, room_id)
        if state is None:
            return
        if self.user_id in user_ids:
            del self.rooms[room_id]
            yield Change(ChangeKind.ROOM_REMOVED, step, room_id)
            return
        for user_id in user_ids:
            if user_id in state.member_ids:
                state.member_ids.remove(user_id)
            yield Change(ChangeKind.MEMBER_LEFT, step, room_id, state, user_id)

    def _cursor_set(self, step: Happening, cursor: Cursor) -> Change:
        self.cursors[cursor.room_id] = cursor
        state = self.rooms.get(cursor.room_id)
        if state is not None:
            state.read(cursor, step.position)
        return Change(ChangeKind.CURSOR_SET, step, cursor.room_id, state, cursor=cursor)
