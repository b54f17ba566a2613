"""A user's feed with scripted events, and a message service that answers when a test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import (
    CursorSet,
    Event,
    MembersAdded,
    MembersRemoved,
    MessageDeleted,
)
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import GetUserRoomRequest, GetUserRoomResponse

from gateway.live.change import Change
from gateway.live.hub import Hub
from gateway.live.instance_watch import InstanceWatch
from gateway.live.own_calls import OwnCalls
from gateway.live.room_state import RoomState
from gateway.live.user_feed import UserFeed
from services.common.backoff import Backoff
from services.common.errors import RoomlineError
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from tests.gateway.backend import Backend
from tests.gateway.live.script import SECONDS, Script, Stream

START = 100
ME = "alice"


def user_room(
    room_id: str = "r", *, unread: int = 0, cursor: int | None = None, members: Sequence[str] = (ME,)
) -> UserRoom:
    """A room as the service describes it."""
    found = UserRoom(room=Room(id=room_id, name="a room", member_user_ids=members), unread_count=unread)
    if cursor is not None:
        found.cursor.CopyFrom(Cursor(user_id=ME, room_id=room_id, position=cursor))
    return found


def added(position: int, *user_ids: str, room_id: str = "r") -> Event:
    return Event(position=position, members_added=MembersAdded(room_id=room_id, user_ids=user_ids))


def removed(position: int, *user_ids: str, room_id: str = "r") -> Event:
    return Event(position=position, members_removed=MembersRemoved(room_id=room_id, user_ids=user_ids))


def read(position: int, message_id: int, room_id: str = "r") -> Event:
    cursor = Cursor(user_id=ME, room_id=room_id, position=message_id)
    return Event(position=position, cursor_set=CursorSet(cursor=cursor))


def deleted(position: int, message_id: int) -> Event:
    return Event(position=position, message_deleted=MessageDeleted(room_id="r", message_id=message_id))


class Answers:
    """What the message service says of the user's rooms, when the test lets it."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[GetUserRoomResponse | RoomlineError] = asyncio.Queue()
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def get(self, request: GetUserRoomRequest) -> GetUserRoomResponse:
        """An answer for `Backend.answers`."""
        self.asked.put_nowait(request.room_id)
        answer = await self._answers.get()
        if isinstance(answer, RoomlineError):
            raise answer
        return answer

    def say(self, room: UserRoom, position: int) -> None:
        self._answers.put_nowait(GetUserRoomResponse(room=room, position=position))

    def refuse(self, reason: ErrorReason.ValueType, **metadata: str) -> None:
        self._answers.put_nowait(RoomlineError(reason, **metadata))


class Told:
    """What a listener has been told: kind, position, room, unread messages, other user."""

    def __init__(self) -> None:
        self._changes: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue()

    def __call__(self, change: Change) -> None:
        unread = change.room.unread_count if change.room else -1
        self._changes.put_nowait((change.kind.name, change.happening.position, unread))

    async def next(self) -> tuple[str, int, int]:
        async with asyncio.timeout(SECONDS):
            return await self._changes.get()

    async def take(self, count: int) -> list[tuple[str, int, int]]:
        return [await self.next() for _ in range(count)]

    @property
    def is_all(self) -> bool:
        return self._changes.empty()


class Scene:
    """A feed, and all that is around it."""

    def __init__(self, watch: InstanceWatch, stream: Stream, own: OwnCalls, answers: Answers) -> None:
        self.watch = watch
        self.stream = stream
        self.own = own
        self.answers = answers
        self.errors: list[RoomlineError] = []
        self.feed = UserFeed(watch, own, ME, self.errors.append)

    async def begin(self, *rooms: UserRoom) -> Told:
        """Begins the feed with these rooms, and listens."""
        states = [RoomState.of(room, START) for room in rooms]
        self.feed.begin(await self.watch.begin(), states, START, [], START)
        return await self.listen()

    async def listen(self) -> Told:
        told = Told()
        await asyncio.wait_for(self.feed.join(told, lambda: None, START), SECONDS)
        return told

    async def asked(self, room_id: str = "r") -> None:
        """Waits until the service is asked about a room."""
        async with asyncio.timeout(SECONDS):
            assert await self.answers.asked.get() == room_id


@asynccontextmanager
async def scene_of(backend: Backend) -> AsyncIterator[Scene]:
    script, answers = Script(), Answers()
    backend.answers |= {"Watch": script.watch, "GetUserRoom": answers.get}
    tokens = ServiceTokens(SERVICE_ISSUER, "a-secret-of-the-services", "gateway")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
        hub = Hub(EventServiceStub(channel), tokens, backoff=Backoff(first=0.01, longest=0.01))
        watch = hub.enter("one", lambda _: None)
        stream = await script.stream()
        stream.live(START)
        scene = Scene(watch, stream, OwnCalls(channel, channel, tokens, SECONDS), answers)
        yield scene
        scene.feed.close()
        await hub.close()
