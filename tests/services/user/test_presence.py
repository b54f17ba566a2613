"""`PresenceService` (spec §9.1): who is online, as every stream is told. Grace periods pass when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from roomline.v1.instance_service_pb2 import DeleteInstanceRequest, ResetInstanceRequest
from roomline.v1.presence_pb2 import Presence, PresenceState
from roomline.v1.presence_service_pb2 import (
    BatchGetPresenceRequest,
    CheckRegistrationRequest,
    TrackRequest,
    TrackResponse,
)
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.ids import MICROSECONDS
from services.common.timestamps import from_proto
from services.user import presence as presence_state
from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses

if TYPE_CHECKING:
    Call = grpc.aio.StreamStreamCall[TrackRequest, TrackResponse]

GRACE = 2.5
"""The default of the setting."""


def name_of(presence: Presence) -> str:
    """The state, as it stands in the contract, without its prefix."""
    return PresenceState.Name(presence.state).removeprefix("PRESENCE_STATE_")


class Tracking:
    """A stream, as a gateway has it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.sequence = 0
        self.told: list[tuple[str, str]] = []
        """Users and states, in the order of the answers."""

    async def send(self, **lists: list[str]) -> int:
        """Sends a request with fields such as `registered=[…]`; returns its sequence."""
        self.sequence += 1
        request = TrackRequest(sequence=self.sequence, **{f"{name}_user_ids": ids for name, ids in lists.items()})
        await self.call.write(request)
        return self.sequence

    async def do(self, **lists: list[str]) -> list[tuple[str, str]]:
        """Sends a request, and returns what has been told until it was done."""
        sequence = await self.send(**lists)
        while await self.answer() < sequence:
            pass
        return self.news()

    async def answer(self) -> int:
        """Takes the next answer; returns its `done_sequence`."""
        async with asyncio.timeout(30):
            answer = await self.call.read()
        assert isinstance(answer, TrackResponse), "the stream has ended"
        self.told += [(one.user_id, name_of(one)) for one in answer.presences]
        return answer.done_sequence

    async def next(self) -> list[tuple[str, str]]:
        """What the next answer tells."""
        await self.answer()
        return self.news()

    def news(self) -> list[tuple[str, str]]:
        """What was told since the last look."""
        told, self.told = self.told, []
        return told


Track = Callable[[], AbstractAsyncContextManager[Tracking]]


@pytest.fixture
def track(house: House, tenant: Tenant) -> Track:
    """Opens streams in the instance."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Tracking]:
        call = house.presence.Track(metadata=house.service(tenant.id))
        try:
            yield Tracking(call)
        finally:
            call.cancel()

    return opened


async def states(house: House, tenant: Tenant, *user_ids: str) -> list[str]:
    """What somebody who asks is told."""
    answer = await house.presence.BatchGetPresence(BatchGetPresenceRequest(user_ids=user_ids), metadata=tenant.server())
    assert [presence.user_id for presence in answer.presences] == list(user_ids)
    return [name_of(presence) for presence in answer.presences]


async def test_a_watcher_is_told_at_once_and_of_changes(house: House, tenant: Tenant, track: Track) -> None:
    async with track() as gateway, track() as other:
        assert await other.do(watched=["ann", "nobody"]) == [("ann", "OFFLINE"), ("nobody", "OFFLINE")]
        assert await gateway.do(registered=["ann"]) == []
        assert await other.next() == [("ann", "ONLINE")]
        assert await gateway.do(watched=["ann"]) == [("ann", "ONLINE")]
        await gateway.do(unregistered=["ann"])
        assert await states(house, tenant, "ann", "nobody", "ann") == ["ONLINE", "OFFLINE", "ONLINE"]
        house.timers.advance(GRACE - 0.1)
        assert await other.do() == []
        house.timers.advance(0.2)
        assert await other.next() == [("ann", "OFFLINE")]
        assert await states(house, tenant, "ann") == ["OFFLINE"]


async def test_what_was_done_has_been_told_when_it_is_acknowledged(track: Track) -> None:
    async with track() as gateway:
        await gateway.do(watched=["ann"])
        assert await gateway.do(registered=["ann"]) == [("ann", "ONLINE")]
        many = [f"user-{number:04}" for number in range(1000)]
        more = [f"more-{number:04}" for number in range(1000)]
        await gateway.send(watched=many)
        told = dict(await gateway.do(registered=many, watched=more))  # the last state of each
        assert told == {**dict.fromkeys(many, "ONLINE"), **dict.fromkeys(more, "OFFLINE")}


async def test_who_comes_back_in_the_grace_period_was_never_gone(house: House, track: Track) -> None:
    async with track() as gateway, track() as other:
        await other.do(watched=["ann"])
        for _ in range(3):
            await gateway.do(registered=["ann"])
            await gateway.do(unregistered=["ann"])
            house.timers.advance(GRACE - 0.1)
        await gateway.do(registered=["ann"])
        house.timers.advance(GRACE * 10)
        assert house.timers.running == 0
        assert await other.do() == [("ann", "ONLINE")]


async def test_a_user_is_online_while_any_stream_has_it_registered(house: House, tenant: Tenant, track: Track) -> None:
    async with track() as first, track() as second, track() as watcher:
        await first.do(registered=["ann", "ann"])
        await first.do(registered=["ann"])
        await second.do(registered=["ann"])
        await watcher.do(watched=["ann"])
        await first.do(unregistered=["ann"])
        house.timers.advance(GRACE * 2)
        assert await watcher.do() == []
        await first.do(unregistered=["ann", "nobody"])  # of what it has not registered
        await second.do(unregistered=["ann"])
        assert await states(house, tenant, "ann") == ["ONLINE"]
        house.timers.advance(GRACE * 2)
        assert await watcher.next() == [("ann", "OFFLINE")]


async def test_a_lost_stream_takes_its_registrations_with_it_after_the_grace_period(house: House, track: Track) -> None:
    async with track() as watcher:
        async with track() as gateway:
            await gateway.do(registered=["ann", "bob"])
            assert await watcher.do(watched=["ann", "bob"]) == [("ann", "ONLINE"), ("bob", "ONLINE")]
        await _until(lambda: house.timers.running == 2)
        async with track() as again:
            await again.do(registered=["ann"])
            house.timers.advance(GRACE * 2)
            assert await watcher.next() == [("bob", "OFFLINE")]
            assert await watcher.do() == []


async def test_watching_again_tells_again_and_unwatching_tells_no_more(track: Track) -> None:
    async with track() as gateway:
        assert await gateway.do(watched=["ann"]) == [("ann", "OFFLINE")]
        assert await gateway.do(watched=["ann"]) == [("ann", "OFFLINE")]
        assert await gateway.do(unwatched=["ann", "bob"]) == []
        assert await gateway.do(registered=["ann"]) == []
        assert await gateway.do(watched=["ann"], unwatched=["ann"]) == []


async def test_instances_know_nothing_of_each_other(house: House, tenant: Tenant, track: Track) -> None:
    other = await house.tenant("two")
    async with track() as gateway:
        await gateway.do(registered=["ann"])
        assert await states(house, tenant, "ann") == ["ONLINE"]
        assert await states(house, other, "ann") == ["OFFLINE"]


async def test_a_user_who_left_has_been_seen_last_when_it_left(house: House, tenant: Tenant, track: Track) -> None:
    async def last_seen() -> int | None:
        request = BatchGetPresenceRequest(user_ids=["ann"])
        [ann] = (await house.presence.BatchGetPresence(request, metadata=tenant.server())).presences
        return from_proto(ann.last_seen) if ann.HasField("last_seen") else None

    async with track() as gateway:
        assert await last_seen() is None
        await gateway.do(registered=["ann"])
        assert await last_seen() is None
        left_at = house.clock()
        await gateway.do(unregistered=["ann"])
        house.clock.advance(GRACE)
        house.timers.advance(GRACE)
        assert await last_seen() == left_at
        assert left_at + GRACE * MICROSECONDS == house.clock()
        await gateway.do(registered=["ann"])
        assert await last_seen() is None


async def test_a_deleted_user_is_offline_at_once_and_forgotten(house: House, tenant: Tenant, track: Track) -> None:
    await house.create(tenant, "ann", "bob")
    async with track() as gateway, track() as watcher:
        await gateway.do(registered=["ann"])
        await gateway.do(registered=["bob"])
        await gateway.do(unregistered=["bob"])
        await watcher.do(watched=["ann", "bob"])
        for user_id in ("ann", "bob"):
            await house.users.DeleteUser(DeleteUserRequest(id=user_id), metadata=tenant.server())
            assert await watcher.next() == [(user_id, "OFFLINE")]
        assert house.timers.running == 0
        await house.create(tenant, "ann")
        assert await gateway.do(registered=["ann"], watched=["ann"]) == [("ann", "ONLINE")]
        assert await watcher.next() == [("ann", "ONLINE")]


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_reset_forgets_everybody_and_ends_the_streams(house: House, deleted: bool, track: Track) -> None:
    resettable = await house.tenant("reset", allow_reset=True)
    first = Tracking(house.presence.Track(metadata=house.service("reset")))
    await first.do(registered=["ann", "bob"], watched=["ann"])
    await first.do(unregistered=["bob"])
    async with track() as unconcerned:
        await unconcerned.do(registered=["ann"])
        if deleted:
            request = DeleteInstanceRequest(instance_id="reset")
            await house.instances.DeleteInstance(request, metadata=house.operator)
        else:
            await house.instances.ResetInstance(ResetInstanceRequest(), metadata=resettable.server())
        assert await first.call.read() == TrackResponse(reset=True)
        assert await first.call.read() is grpc.aio.EOF
        assert await first.call.code() is grpc.StatusCode.OK
        assert house.timers.running == 0
        if not deleted:
            assert await states(house, resettable, "ann", "bob") == ["OFFLINE", "OFFLINE"]
        assert await unconcerned.do(watched=["ann"]) == [("ann", "ONLINE")]


async def test_a_stopping_server_ends_the_streams(house: House, track: Track) -> None:
    async with track() as gateway:
        await gateway.do(registered=["ann"])
        stopping = asyncio.create_task(house.server.stop())
        with refuses("SHUTTING_DOWN"):
            await gateway.call.read()
        await stopping
    await house.stop()
    await house.start()


async def test_a_caller_may_end_its_stream(house: House, track: Track) -> None:
    async with track() as gateway:
        await gateway.do(registered=["ann"])
        await gateway.call.done_writing()
        assert await gateway.call.read() is grpc.aio.EOF
        await _until(lambda: house.timers.running == 1)


async def test_streams_have_limits(house: House, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_state, "STREAM_USERS", 2)
    for name in ("registered", "watched"):
        async with track() as gateway:
            await gateway.do(**{name: ["a", "b"]})
            await gateway.do(**{name: ["a", "b"]})
            await gateway.send(**{name: ["c"]})
            with refuses("OVERLOADED"):
                await gateway.call.read()
    async with track() as gateway:
        await gateway.do(watched=["a"])
        await gateway.call.write(TrackRequest(watched_user_ids=["x" * 161]))
        with refuses("FIELD_INVALID", field="watched_user_ids[0]", rule="at most 160 characters"):
            await gateway.call.read()


async def test_who_was_seen_last_is_remembered_of_some(
    house: House, tenant: Tenant, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_state, "REMEMBERED_USERS", 2)
    async with track() as gateway:
        await gateway.do(registered=["a", "b", "c"])
        for user_id in ("a", "b", "c"):
            await gateway.do(unregistered=[user_id])
            house.timers.advance(GRACE)
    request = BatchGetPresenceRequest(user_ids=["a", "b", "c"])
    answer = await house.presence.BatchGetPresence(request, metadata=tenant.server())
    assert [one.HasField("last_seen") for one in answer.presences] == [False, True, True]


async def test_users_register_themselves_only(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "ann")
    ann, ben = CheckRegistrationRequest(user_id="ann"), CheckRegistrationRequest(user_id="ben")
    await house.presence.CheckRegistration(ann, metadata=tenant.user("ann"))
    await house.presence.CheckRegistration(ann, metadata=tenant.server())
    with refuses("SUBJECT_MISMATCH"):
        await house.presence.CheckRegistration(ann, metadata=tenant.user("ben"))
    with refuses("USER_NOT_FOUND"):
        await house.presence.CheckRegistration(ben, metadata=tenant.user("ben"))


async def test_presence_is_for_those_who_may_subscribe(house: House, tenant: Tenant) -> None:
    request = BatchGetPresenceRequest(user_ids=["ann"])
    with refuses("PERMISSION_MISSING", permission="presence:subscribe"):
        await house.presence.BatchGetPresence(request, metadata=tenant.user("ben"))
    house.backend.permissions.add("presence:subscribe")
    await house.presence.BatchGetPresence(request, metadata=tenant.user("ben"))
    stream = house.presence.Track(metadata=tenant.server())
    await stream.write(TrackRequest())
    with refuses("CALLER_NOT_ALLOWED", level="service"):
        await stream.read()


async def _until(condition: Callable[[], bool]) -> None:
    """Waits for what the server does by itself when a connection ends."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing is told of it
            await asyncio.sleep(0.005)
