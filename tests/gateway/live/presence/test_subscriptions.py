"""The presence subscriptions through real gateways, on real services (spec §9.1). Timers run when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from gateway.health import Health
from gateway.live.live import Live
from gateway.server import Gateway, build_app
from services.common.channels import connect
from tests.gateway.client import Connection
from tests.gateway.live.presence.watching import GRACE
from tests.gateway.live.stage import Socket, Stream, socket_at, subscribe_bytes
from tests.support.clock import ManualTimers
from tests.support.cluster import Cluster

PREFIX = "/services/chatkit_presence/v2/one"

Gateways = Callable[[], AbstractAsyncContextManager[int]]


@pytest.fixture
def running(cluster: Cluster) -> Gateways:
    """Runs a gateway; its port."""

    @asynccontextmanager
    async def started() -> AsyncIterator[int]:
        settings = cluster.settings
        async with AsyncExitStack() as stack:
            addresses = (settings.user_address, settings.message_address, settings.media_address)
            user, message, media = [await stack.enter_async_context(connect(one, settings)) for one in addresses]
            live = await stack.enter_async_context(Live(settings, user, message))
            gateway = Gateway(settings, build_app(settings, user, message, media, Health({}), live))
            await gateway.start()
            stack.push_async_callback(gateway.stop)
            yield gateway.port

    return started


@pytest.fixture
async def port(running: Gateways) -> AsyncIterator[int]:
    async with running() as one:
        yield one


@pytest.fixture
async def socket(port: int) -> AsyncIterator[Socket]:
    async with socket_at(port) as opened:
        yield opened


def bearer(cluster: Cluster, user_id: str, *, su: bool = False) -> dict[str, str]:
    return {"Authorization": "Bearer " + cluster.token(user_id, su=su)}


async def ask(cluster: Cluster, socket: Socket, number: int, path: str, user_id: str = "ann", **kind: bool) -> None:
    """Subscribes to a path below the users."""
    await socket.subscribe(number, f"{PREFIX}/users/{path}", bearer(cluster, user_id, **kind))


async def state(socket: Socket, number: int) -> str:
    """The state in the next message, which must be an event of the subscription."""
    code, found, _, headers, body = await socket.receive()
    assert (code, found, headers) == (102, number, {})
    assert body["event_name"] == "presence_state"
    assert set(body) == {"event_name", "data", "timestamp"}
    assert set(body["data"]) == {"state"}
    return str(body["data"]["state"])


async def open_register(cluster: Cluster, socket: Socket, number: int, user_id: str = "ann") -> None:
    await ask(cluster, socket, number, f"{user_id}/register", user_id)
    assert await socket.receive() == [101, number, {}]


async def open_watch(cluster: Cluster, socket: Socket, number: int, path: str, user_id: str = "ann") -> str:
    """Opens a subscription; the first state."""
    await ask(cluster, socket, number, path, user_id)
    assert await socket.receive() == [101, number, {}]
    return await state(socket, number)


async def leaving(timers: ManualTimers) -> None:
    """Waits until a connection's end was noticed, and somebody is on the way out."""
    async with asyncio.timeout(30):
        while not timers.running:  # noqa: ASYNC110 - nothing is told of it
            await asyncio.sleep(0.01)


async def test_a_client_that_connects_reads_its_own_state_as_online(cluster: Cluster, socket: Socket) -> None:
    """The register frame comes right after the one for the client's own presence; whatever is answered first."""
    await ask(cluster, socket, 0, "ann")
    await ask(cluster, socket, 1, "ann/register")
    frames: list[Any] = []
    while (frame := await socket.receive()) != [101, 1, {}]:
        frames.append(frame)
    assert frames.pop(0) == [101, 0, {}]
    states = [frame[4]["data"]["state"] for frame in frames]
    assert states in (["online"], ["offline", "online"])


async def test_online_is_written_before_the_register_opens(cluster: Cluster, socket: Socket) -> None:
    assert await open_watch(cluster, socket, 0, "ann") == "offline"
    await ask(cluster, socket, 1, "ann/register")
    assert await state(socket, 0) == "online"
    assert await socket.receive() == [101, 1, {}]


async def test_the_exact_sequence_through_another_gateway(
    cluster: Cluster, socket: Socket, running: Gateways, timers: ManualTimers
) -> None:
    assert await open_watch(cluster, socket, 0, "bob") == "offline"
    async with running() as elsewhere, socket_at(elsewhere) as other:
        await open_register(cluster, other, 0, "bob")
        assert await state(socket, 0) == "online"
        await other.send(198, 0, None, None)
        await open_register(cluster, other, 1, "bob")
        await other.send(198, 1)
        await open_register(cluster, other, 2, "ann")
        timers.advance(GRACE)
        assert await state(socket, 0) == "offline"


async def test_a_lost_socket_ends_its_registrations(
    cluster: Cluster, port: int, socket: Socket, timers: ManualTimers
) -> None:
    async with socket_at(port) as other:
        await open_register(cluster, other, 0, "bob")
        assert await open_watch(cluster, socket, 0, "bob") == "online"
        other.connection.transport.abort()
    await leaving(timers)
    assert await open_watch(cluster, socket, 1, "bob") == "online"  # in the grace period
    timers.advance(GRACE)
    assert [await state(socket, number) for number in (0, 1)] == ["offline", "offline"]


async def test_event_ids_rise_and_times_are_whole_seconds(cluster: Cluster, socket: Socket) -> None:
    await ask(cluster, socket, 0, "ann")
    await socket.receive()
    first = await socket.receive()
    await ask(cluster, socket, 1, "ann/register")
    second = await socket.receive()
    assert 0 < int(first[2]) < int(second[2])
    for event in (first, second):
        assert isinstance(event[2], str)
        assert len(event[4]["timestamp"]) == len("2019-05-01T12:34:56Z")
        assert event[4]["timestamp"].endswith("Z")


async def test_unknown_users_are_offline_and_cannot_register(cluster: Cluster, socket: Socket) -> None:
    assert await open_watch(cluster, socket, 0, "nobody") == "offline"
    assert await open_watch(cluster, socket, 1, "nobody", "nobody") == "offline"
    await ask(cluster, socket, 2, "nobody/register", "nobody")
    status, _, body = await socket.ended_with(2)
    assert (status, body["error"]) == (404, "services/chatkit/not_found/user_not_found")
    assert body["error_description"] == "The requested user does not exist"


async def test_users_register_themselves_only_and_servers_anybody(cluster: Cluster, socket: Socket) -> None:
    await ask(cluster, socket, 0, "bob/register", "ann")
    status, _, body = await socket.ended_with(0)
    assert (status, body["error"]) == (401, "services/chatkit_authorizer/authorization/invalid_token_subject")
    assert await open_watch(cluster, socket, 1, "bob") == "offline"
    await ask(cluster, socket, 2, "bob/register", "admin", su=True)
    assert await state(socket, 1) == "online"
    assert await socket.receive() == [101, 2, {}]


async def test_version_one_is_an_alias_and_ids_hold_anything(cluster: Cluster, socket: Socket) -> None:
    for number, path in enumerate(("a%20b", "a+b")):
        await socket.subscribe(
            2 * number, f"/services/chatkit_presence/v1/one/users/{path}/register", bearer(cluster, "a b")
        )
        assert await socket.receive() == [101, 2 * number, {}]
        assert await open_watch(cluster, socket, 2 * number + 1, path) == "online"


async def test_a_deleted_user_is_offline_at_once_and_its_subscriptions_end(cluster: Cluster, socket: Socket) -> None:
    assert await open_watch(cluster, socket, 0, "bob", "ann") == "offline"
    await ask(cluster, socket, 1, "bob/register", "bob")
    assert await state(socket, 0) == "online"
    assert await socket.receive() == [101, 1, {}]
    await cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=cluster.as_server())
    frames = [await socket.receive(), await socket.receive()]
    assert {(frame[0], frame[1]) for frame in frames} == {(102, 0), (199, 1)}
    assert {frame[2] for frame in frames if frame[0] == 199} == {404}


async def test_a_reset_ends_the_subscriptions_without_events(
    cluster: Cluster, socket: Socket, timers: ManualTimers
) -> None:
    assert await open_watch(cluster, socket, 0, "ann") == "offline"
    await ask(cluster, socket, 1, "ann/register")
    assert await state(socket, 0) == "online"
    assert await socket.receive() == [101, 1, {}]
    await open_register(cluster, socket, 2, "bob")
    await socket.send(198, 2)
    await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())
    ends = [await socket.receive(), await socket.receive()]
    assert [(frame[0], frame[2]) for frame in ends] == [(199, 404)] * 2
    assert {frame[1] for frame in ends} == {0, 1}
    assert timers.running == 0
    await cluster.add_users("ann")
    assert await open_watch(cluster, socket, 3, "ann") == "offline"


async def test_streams_of_http_count_too(cluster: Cluster, port: int, socket: Socket, timers: ManualTimers) -> None:
    assert await open_watch(cluster, socket, 0, "bob") == "offline"
    connection = await Connection.open(port)
    connection.write(subscribe_bytes(f"{PREFIX}/users/bob/register", bearer(cluster, "bob")))
    assert (await connection.head())[0] == 200
    assert await state(socket, 0) == "online"
    watching = await Connection.open(port)
    watching.write(subscribe_bytes(f"{PREFIX}/users/bob", bearer(cluster, "ann")))
    assert (await watching.head())[0] == 200
    stream = Stream(watching)
    while (line := await stream.line())[0] == 0:
        pass
    assert line[0] == 1
    assert line[3]["data"] == {"state": "online"}
    await watching.close()
    await connection.close()
    await leaving(timers)
    timers.advance(GRACE)
    assert await state(socket, 0) == "offline"
