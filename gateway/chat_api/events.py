"""Events of a caller's conversations, as they happen (spec §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import orjson
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chat_api import errors, parse_live, render, render_live
from gateway.chat_api.endpoint import Kind
from gateway.live.opening import opening
from gateway.live.outlet import LiveEndpoint
from gateway.live.sse import block
from gateway.live.user_stream import Place, Prepare, UserListener
from gateway.response import Response, json_response
from services.common.errors import RoomlineError
from services.common.ids import Clock, wall_clock
from services.common.timestamps import to_proto

if TYPE_CHECKING:
    from roomline.v1.event_pb2 import Event

    from gateway.chat_api.endpoint import Edge
    from gateway.chat_api.routes import Routes
    from gateway.chat_api.tickets import Tickets
    from gateway.chat_api.uids import Uids
    from gateway.live.happening import Happening
    from gateway.live.held_tokens import HeldTokens
    from gateway.live.outlet import Outlet
    from gateway.live.own_calls import OwnCalls
    from gateway.live.user_streams import UserStreams
    from gateway.request import Request

PATH = "/events/conversations"


class Events(LiveEndpoint):
    """`events/*`."""

    def __init__(
        self,
        edge: Edge,
        tokens: HeldTokens,
        own: OwnCalls,
        streams: UserStreams,
        uids: Uids,
        tickets: Tickets,
        clock: Clock = wall_clock,
    ) -> None:
        """`uids` are what the streams' `prepare` has learnt."""
        self._edge = edge
        self._tokens = tokens
        self._own = own
        self._streams = streams
        self._uids = uids
        self._tickets = tickets
        self._clock = clock

    def routes(self) -> Routes:
        """Methods, paths and what is special about them; of what ends."""
        return [("POST", "/events/ticket", self.ticket, Kind.PLAIN)]

    async def ticket(self, request: Request) -> Response:
        """What stands for the caller's token in the URL of its next event stream, once."""
        authorization = dict(request.metadata)["authorization"]
        await self._tokens.verify(authorization, self._edge.instance_id)
        ticket = self._tickets.issue(authorization)
        return json_response(render.ok(ticket=ticket.text, expires_at=ticket.expires_at))

    async def subscribe(self, request: Request, outlet: Outlet) -> _Client:
        """Follows what happens to the caller, after the last event that it has seen, if it says so.

        The stream behind it is the gateway's own, so the caller's permission is looked at here. PERMISSION_MISSING.
        """
        authorization = self._authorization(request)
        caller = await self._tokens.verify(authorization, self._edge.instance_id)
        user_id = caller.actor()
        after = parse_live.place(request.header(b"last-event-id") or request.query_value("last_event_id") or "")
        client = _Client(user_id, outlet, self._uids, self._clock)
        release = self._tokens.hold(authorization, caller.instance_id, client.end, past_expiry=False)
        client.on_close.append(release)
        async with opening(request.limits.call_seconds, "message", client.close):
            await self._own.require_reader(caller)
            following = await self._streams.follow(user_id, after, client)
            client.on_close.append(lambda: self._streams.leave(following))
            await client.begun
        return client

    async def refuse(self, error: Exception, request: Request) -> Response:
        """See `LiveEndpoint`."""
        return errors.refusal(error, request.method, request.request_id, always_200=self._edge.always_200)

    def ending(self, error: BaseException, request: Request) -> Response:
        """See `LiveEndpoint`."""
        return errors.refusal(error, request.method, request.request_id, logged=False)

    def _authorization(self, request: Request) -> str:
        """From the header, or for a ticket. Never a cookie: any page could open a stream with it (fault 21)."""
        authorization = request.header(b"authorization")
        if not authorization:
            ticket = request.query_value("ticket")
            if ticket is None:
                raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_MISSING)
            authorization = self._tickets.redeem(ticket)
        return authorization


def prepare(uids: Uids) -> Prepare:
    """What a stream does before it tells of events: it learns of the users whom they show."""

    async def learn(events: Sequence[Event]) -> None:
        await uids.learn(user_id for event in events for user_id in render_live.named(event))

    return learn


class _Client(UserListener):
    """One event stream; a `Subscription`."""

    def __init__(self, user_id: str, outlet: Outlet, uids: Uids, clock: Clock) -> None:
        self.on_close: list[Callable[[], None]] = []
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Whether it may begin."""
        self._user_id = user_id
        self._outlet = outlet
        self._uids = uids
        self._clock = clock
        self._told = -1
        """The position that the client goes on from if it loses the stream."""

    def begin(self, place: Place) -> None:
        """See `UserListener`."""
        if self.begun.done():
            return
        self.begun.set_result(None)
        self._outlet.open()
        self.reach(place)

    def reach(self, place: Place) -> None:
        """See `UserListener`: whoever has nothing to tell for long need not read all of it again."""
        if place.position > self._told:
            self._told = place.position
            self._outlet.event(block(render_live.event_id(place)))

    def tell(self, happening: Happening, epoch: str) -> None:
        """See `UserListener`."""
        mine = self._user_id in happening.concerned.users
        blocks = happening.once(("sse", mine), lambda: _blocks(happening, epoch, self._uids, mine=mine))
        if blocks:
            self._told = happening.position
            self._outlet.event(blocks)

    def lose(self, place: Place) -> None:
        """See `UserListener`."""
        self._told = place.position
        event_id = render_live.event_id(place)
        self._outlet.event(_block(event_id, render_live.resync(to_proto(self._clock()))))

    def end(self, error: RoomlineError) -> None:
        """See `UserListener`."""
        if not self.begun.done():
            self.begun.set_exception(error)
        else:
            self._outlet.end(error)

    def close(self) -> None:
        """See `Subscription`."""
        if not self.begun.cancel() and not self.begun.cancelled():
            self.begun.exception()  # nobody may be there any more to take it
        for undo in self.on_close:
            undo()


def _blocks(happening: Happening, epoch: str, uids: Uids, *, mine: bool) -> bytes:
    """What an event makes: only the last block says that a client has all of it."""
    shown = render_live.shown(happening, uids, mine=mine)
    if not shown:
        return b""
    event_id = render_live.event_id(Place(epoch, happening.position))
    return b"".join([*(_block("", one) for one in shown[:-1]), _block(event_id, shown[-1])])


def _block(event_id: str, shown: render_live.Shown) -> bytes:
    return block(event_id, shown.name, orjson.dumps(shown.data))
