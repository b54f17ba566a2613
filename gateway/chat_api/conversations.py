"""Conversations, which are rooms (spec §3). What is said in them is in `history.py` and `chat.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.cursor_service_pb2 import SetCursorRequest
from roomline.v1.cursor_service_pb2_grpc import CursorServiceStub
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_service_pb2 import ReportTypingRequest
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    ArchiveRoomRequest,
    DiscardRoomRequest,
    JoinRoomRequest,
    LeaveRoomRequest,
    ListMembersRequest,
    ListUserRoomsRequest,
    MatchRoomRequest,
    OpenRoomRequest,
)
from roomline.v1.room_service_pb2_grpc import RoomServiceStub

from gateway.chat_api import parse, render
from gateway.chat_api.credentials import subject
from gateway.chat_api.endpoint import Kind
from gateway.chat_api.errors import BODY, InputError
from gateway.problem import problem_of
from gateway.response import Response, json_response
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    import grpc
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from roomline.v1.room_pb2 import UserRoom
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

    from gateway.chat_api.membership import Membership
    from gateway.chat_api.people import Accounts, People
    from gateway.chat_api.routes import Routes
    from gateway.request import Request

_ABSENT = {ErrorReason.ERROR_REASON_ROOM_NOT_FOUND, ErrorReason.ERROR_REASON_NOT_A_MEMBER}


class Conversations:
    """`conversations.*`, except `replies`."""

    def __init__(self, message: grpc.aio.Channel, accounts: Accounts, membership: Membership) -> None:
        self._rooms: RoomServiceAsyncStub = RoomServiceStub(message)
        self._cursors: CursorServiceAsyncStub = CursorServiceStub(message)
        self._events: EventServiceAsyncStub = EventServiceStub(message)
        self._accounts = accounts
        self._membership = membership

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("GET", "/conversations.list", self.list, Kind.PLAIN),
            ("GET", "/conversations.info", self.info, Kind.PLAIN),
            ("GET", "/conversations.members", self.members, Kind.PLAIN),
            ("POST", "/conversations.open", self.open, Kind.PLAIN),
            ("POST", "/conversations.match", self.match, Kind.PLAIN),
            ("POST", "/conversations.archive", self.archive, Kind.PLAIN),
            ("POST", "/conversations.unarchive", self.unarchive, Kind.PLAIN),
            ("POST", "/conversations.delete", self.delete, Kind.PLAIN),
            ("POST", "/conversations.mark", self.mark, Kind.PLAIN),
            ("POST", "/conversations.join", self.join, Kind.PLAIN),
            ("POST", "/conversations.leave", self.leave, Kind.PLAIN),
            ("POST", "/conversations.invite", self.invite, Kind.PLAIN),
            ("POST", "/conversations.typing", self.typing, Kind.PLAIN),
        ]

    async def list(self, request: Request) -> Response:
        """The caller's, newest activity first: the newest message that he sees, or his joining."""
        limit, me = parse.limit(request), subject(request)
        message = ListUserRoomsRequest(user_id=me, with_last_messages=True)
        answer = await request.call(self._rooms.ListUserRooms, message)
        rooms = sorted(answer.rooms, key=_activity, reverse=True)[:limit]
        people = await self._accounts.people(request, me, (one for room in rooms for one in _named(room)))
        return json_response([render.conversation(room, people) for room in rooms])

    async def info(self, request: Request) -> Response:
        """One of the caller's; `null` for any other, whether it exists or not."""
        cid = parse.query_uuid(request, "cid")
        try:
            room = await self._membership.require(request, cid)
        except Exception as error:
            if problem_of(error).reason not in _ABSENT:
                raise
            return json_response(render.ok(conversation=None))
        return await self._view(request, room)

    async def members(self, request: Request) -> Response:
        """The members, in the order of joining."""
        cid, limit = parse.query_uuid(request, "cid"), parse.limit(request)
        answer = await request.call(self._rooms.ListMembers, ListMembersRequest(room_uid=cid, members_only=True))
        ids = answer.user_ids[:limit]
        people = await self._accounts.people(request, "", ids)
        return json_response([render.user(account) for account in people.known(ids)])

    async def open(self, request: Request) -> Response:
        """The one with exactly these members and the caller, made if need be."""
        uids = parse.users(await parse.body(request))
        if not uids:
            raise InputError(BODY, "users: at least one is needed")
        people = await self._accounts.people(request, subject(request), [subject(request)], uids)
        message = OpenRoomRequest(user_ids=_ids(people, uids), request_id=request.new_id())
        answer = await request.call(self._rooms.OpenRoom, message)
        return await self._view(request, answer.room, people)

    async def match(self, request: Request) -> Response:
        """The one with exactly these members, of whom the caller is one."""
        uids = parse.users(await parse.body(request))
        me = subject(request)
        people = await self._accounts.people(request, me, [me], uids)
        if people.uid(me) not in uids:
            raise RoomlineError(ErrorReason.ERROR_REASON_NOT_A_MEMBER)
        if any(people.by_uid(uid) is None for uid in uids):
            return json_response(render.ok(cid=None))
        answer = await request.call(self._rooms.MatchRoom, MatchRoomRequest(user_ids=_ids(people, uids)))
        if not answer.HasField("room"):
            return json_response(render.ok(cid=None))
        return await self._view(request, answer.room, people)

    async def archive(self, request: Request) -> Response:
        """For the caller alone."""
        return await self._set_archived(request, archived=True)

    async def unarchive(self, request: Request) -> Response:
        """For the caller alone."""
        return await self._set_archived(request, archived=False)

    async def _set_archived(self, request: Request, *, archived: bool) -> Response:
        cid = parse.query_uuid(request, "cid")
        message = ArchiveRoomRequest(room_uid=cid, archived=archived, request_id=request.new_id())
        await request.call(self._rooms.ArchiveRoom, message)
        return json_response(render.ok())

    async def delete(self, request: Request) -> Response:
        """Out of the caller's sight; for everyone, if it is a group or a channel of his own."""
        cid = parse.query_uuid(request, "cid")
        await request.call(self._rooms.DiscardRoom, DiscardRoomRequest(room_uid=cid, request_id=request.new_id()))
        return json_response(render.ok())

    async def mark(self, request: Request) -> Response:
        """Read up to a message."""
        cid, mid = parse.query_uuid(request, "cid"), parse.query_uuid(request, "mid")
        await self._membership.require(request, cid)
        message = SetCursorRequest(user_id=subject(request), room_uid=cid, message_uid=mid)
        await request.call(self._cursors.SetCursor, message)
        return json_response(render.ok())

    async def join(self, request: Request) -> Response:
        """A channel, which anybody may."""
        cid = parse.query_uuid(request, "cid")
        message = JoinRoomRequest(user_id=subject(request), room_uid=cid, request_id=request.new_id())
        await request.call(self._rooms.JoinRoom, message)
        room = await self._membership.require(request, cid)
        if room.room.private:  # which only its members join, to no effect
            raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_PRIVATE)
        return await self._view(request, room)

    async def leave(self, request: Request) -> Response:
        """A group or channel."""
        cid = parse.query_uuid(request, "cid")
        await self._membership.require(request, cid)
        message = LeaveRoomRequest(user_id=subject(request), room_uid=cid, request_id=request.new_id())
        await request.call(self._rooms.LeaveRoom, message)
        return json_response(render.ok())

    async def invite(self, request: Request) -> Response:
        """Makes users members of the caller's group or channel."""
        data = await parse.body(request)
        cid, uids = parse.conversation(data), parse.users(data)
        if not uids:
            raise InputError(BODY, "users: at least one is needed")
        people = await self._accounts.people(request, subject(request), [subject(request)], uids)
        room = await self._membership.require(request, cid)
        if render.conversation_type(room.room) == "direct":  # whoever is invited: who is in it already, too
            raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_MEMBERS_FIXED)
        message = AddMembersRequest(user_ids=_ids(people, uids), room_uid=cid, request_id=request.new_id())
        await request.call(self._rooms.AddMembers, message)
        return await self._view(request, await self._membership.require(request, cid), people)

    async def typing(self, request: Request) -> Response:
        """Tells the members that the caller is typing."""
        cid = parse.query_uuid(request, "cid")
        await request.call(self._events.ReportTyping, ReportTypingRequest(room_uid=cid))
        return json_response(render.ok())

    async def _view(self, request: Request, room: UserRoom, people: People | None = None) -> Response:
        if people is None:
            people = await self._accounts.people(request, subject(request), _named(room))
        else:
            await self._accounts.learn(request, people, _named(room))
        return json_response(render.ok(conversation=render.conversation(room, people)))


def _named(room: UserRoom) -> list[str]:
    """The users whom a conversation's picture names."""
    return [*room.room.member_user_ids, room.room.created_by_id, room.last_message.user_id]


def _ids(people: People, uids: list[str]) -> list[str]:
    """Raises USERS_NOT_FOUND unless all of them are known."""
    found = [account.user_id for uid in uids if (account := people.by_uid(uid))]
    if len(found) < len(uids):
        missing = len(uids) - len(found)
        raise RoomlineError(ErrorReason.ERROR_REASON_USERS_NOT_FOUND, missing=missing, total=len(uids))
    return found


def _activity(room: UserRoom) -> tuple[int, int]:
    """When a conversation last changed for its member."""
    times = [(room.joined_at.seconds, room.joined_at.nanos)]
    if room.HasField("last_message"):
        times.append((room.last_message.created_at.seconds, room.last_message.created_at.nanos))
    return max(times)
