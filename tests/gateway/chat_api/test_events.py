"""Event streams through a real gateway, on real services: what no client can do by itself (spec §7; faults 9, 26)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.instance_service_pb2 import ResetInstanceRequest, RevokeKeyRequest
from roomline.v1.role_pb2 import ROLE_SCOPE_GLOBAL, Role
from roomline.v1.user_service_pb2 import DeleteUserRequest

from gateway.health import Health
from gateway.live.live import Live
from gateway.server import Gateway, build_app
from services.common.channels import connect
from services.user.server import build_server as build_user_server
from tests.gateway.client import Client, Connection
from tests.gateway.live.stage import Stream
from tests.support.account_parts import CHEAP_HASHER, pooled_key
from tests.support.archives import Archive
from tests.support.cluster import Cluster, running_cluster
from tests.support.talker import Talker

PATH = "/api/v1/events/conversations"
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass
class House:
    """A gateway, and the services behind it."""

    cluster: Cluster
    gateway: Gateway
    connections: AsyncExitStack

    async def ask(self, user_id: str, query: str = "", **headers: str) -> Connection:
        """Asks for a stream."""
        connection = await Connection.open(self.gateway.port)
        self.connections.push_async_callback(connection.close)
        fields = {"Host": "localhost", "Authorization": "Bearer " + self.cluster.token(user_id), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.write(f"GET {PATH}{query} HTTP/1.1\r\n{lines}\r\n".encode())
        return connection

    async def open(self, user_id: str, query: str = "") -> Stream:
        """A stream that is live."""
        connection = await self.ask(user_id, query)
        assert (await connection.head())[0] == 200
        stream = Stream(connection)
        assert await stream.chunk() == b"retry: 2000\n\n"
        assert (await stream.chunk()).startswith(b"id: ")
        return stream


async def event(stream: Stream) -> tuple[str, Any]:
    """Name and data of the next event."""
    while True:
        fields = dict(line.split(": ", 1) for line in (await stream.chunk()).decode().splitlines() if line)
        if "event" in fields:
            return fields["event"], orjson.loads(fields["data"])


async def ended(stream: Stream) -> None:
    """Waits for the end; no event comes before it."""
    while chunk := await stream.chunk():
        assert b"event: " not in chunk


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            running_cluster(tmp_path, port=0, tls_port=0, chat_api_instance="one", call_timeout_seconds=1.0)
        )
        await cluster.add_users("ann", "bob")
        settings = cluster.settings
        addresses = (settings.user_address, settings.message_address, settings.media_address)
        user, message, media = [await stack.enter_async_context(connect(one, settings)) for one in addresses]
        live = await stack.enter_async_context(Live(settings, user, message))
        gateway = Gateway(settings, build_app(settings, user, message, media, Health({}), live))
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        yield House(cluster, gateway, await stack.enter_async_context(AsyncExitStack()))


@pytest.fixture
def bob(house: House) -> Talker:
    return Talker.user(house.cluster, "bob")


async def test_a_revoked_key_ends_the_streams_of_its_tokens(house: House) -> None:
    hers, his = await house.open("ann"), await house.open("bob")
    revoke = RevokeKeyRequest(instance_id="one", key_id="key")
    await house.cluster.instances.RevokeKey(revoke, metadata=house.cluster.operator.metadata())
    for stream in (hers, his):
        await ended(stream)
    reply = await (await house.ask("ann")).reply()
    assert (reply.status, reply.json) == (401, {"ok": False, "error": "Unauthorized"})


async def test_a_user_who_is_deleted_is_told_nothing_more(house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    hers, his = await house.open("ann"), await house.open("bob")
    await house.cluster.users.DeleteUser(DeleteUserRequest(id="ann"), metadata=house.cluster.as_server())
    await ended(hers)
    name, data = await event(his)
    assert (name, data["conversation_id"], data["users"]) == ("member.left", room, [NOBODY])
    assert (await (await house.ask("ann")).reply()).status == 403


async def test_whoever_may_not_read_messages_is_told_of_none(house: House) -> None:
    access, server = house.cluster.access, house.cluster.as_server()
    role = Role(name="writer", scope=ROLE_SCOPE_GLOBAL, permissions=["message:create"])
    await access.CreateRole(CreateRoleRequest(role=role), metadata=server)
    await access.AssignRole(AssignRoleRequest(user_id="ann", role_name="writer"), metadata=server)
    reply = await (await house.ask("ann")).reply()
    assert (reply.status, reply.json) == (403, {"ok": False, "error": "operation_not_allowed"})
    await house.open("bob")


async def test_a_reset_ends_all_streams(house: House) -> None:
    stream = await house.open("ann")
    await house.cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=house.cluster.as_server())
    await ended(stream)


async def test_a_stop_of_the_gateway_ends_all_streams(house: House) -> None:
    stream = await house.open("ann")
    await asyncio.wait_for(house.gateway.stop(), 30)
    await ended(stream)


async def test_without_services_there_are_no_streams(house: House) -> None:
    await house.cluster.message_server.stop()
    reply = await (await house.ask("ann")).reply()
    assert (reply.status, reply.json["error"], "retry-after" in reply.headers) == (503, "unavailable", True)


async def test_a_client_that_leaves_while_it_waits_is_forgotten(house: House, bob: Talker) -> None:
    room = await bob.opened("ann")
    connection = await house.ask("ann")
    await connection.close()
    stream = await house.open("ann")
    await bob.send(room)
    assert (await event(stream))[0] == "message.new"


async def test_who_speaks_is_looked_up_until_it_is_known(house: House, bob: Talker) -> None:
    """An event waits for the user service: nobody is shown as deleted who is not."""
    cluster = house.cluster
    room = await bob.opened("ann")
    stream = await house.open("ann")
    await cluster.user_server.stop()
    await bob.send(room)
    cluster.user_server = build_user_server(cluster.settings, cluster.clock, hasher=CHEAP_HASHER, new_key=pooled_key)
    await cluster.user_server.start(cluster.settings.user_address)
    name, data = await event(stream)
    assert (name, data["message"]["content"]) == ("message.new", {"text": "hello"})
    assert data["message"]["created_by"] != NOBODY


async def test_a_user_of_another_instance_is_refused(house: House) -> None:
    await house.cluster.add_instance("two")
    await house.cluster.add_users("ann", instance_id="two")
    token = house.cluster.token("ann", instance_id="two")
    client = Client(house.gateway.port, authorization=f"Bearer {token}")
    assert (await client.get(PATH)).status == 401
    assert (await client.post("/api/v1/events/ticket")).status == 401


async def test_an_import_tells_of_the_conversation_and_of_no_message(house: House, bob: Talker) -> None:
    cluster = house.cluster
    await cluster.add_instance("two")
    await cluster.add_users("ann", "bob", instance_id="two")
    elsewhere = Talker(cluster, cluster.as_user("bob", "two"), "bob")
    conversation = await elsewhere.opened("ann")
    await elsewhere.send(conversation, "long ago")
    one, two = (Archive(cluster.message_channel, cluster.service.metadata(name)) for name in ("one", "two"))
    stream = await house.open("ann")
    await one.take_all(await two.export())
    sent = await bob.send(conversation, "now")
    name, data = await event(stream)
    assert (name, data["conversation_id"]) == ("conversation.new", conversation)
    name, data = await event(stream)
    assert (name, data["message"]["id"]) == ("message.new", sent.uid)
