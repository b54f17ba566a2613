"""Services that are started anew while clients go on listening."""

from __future__ import annotations

from pathlib import Path

import pytest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest

from services.message.server import build_server
from tests.gateway.live.house import ROOM, gateway_of, opened, token_of
from tests.gateway.live.stage import socket_at
from tests.support.cluster import Cluster, running_cluster

pytestmark = pytest.mark.thorough


async def _send(cluster: Cluster) -> int:
    request = SendMessageRequest(
        room_id="the-room", parts=[Part(type="text/plain", content="hello")], request_id=f"{cluster.clock()}"
    )
    answer = await cluster.messages.SendMessage(request, metadata=cluster.as_user("alice"))
    return answer.message.id


async def test_a_message_service_that_comes_back_is_followed_where_it_was_left(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.add_users("alice", "bob")
        await cluster.rooms.CreateRoom(
            CreateRoomRequest(id="the-room", name="a room", user_ids=["bob"]), metadata=cluster.as_server("alice")
        )
        async with gateway_of(cluster) as gateway, socket_at(gateway.port) as socket:
            await opened(socket, 0, ROOM, token_of(cluster))
            await opened(socket, 1, "/services/chatkit/v6/one/users", token_of(cluster))
            await socket.receive()
            for unread in (1, 2, 3):
                message_id = await _send(cluster)
                frames = {frame[1]: frame[4] for frame in [await socket.receive(), await socket.receive()]}
                assert frames[0]["data"]["id"] == message_id
                assert frames[1]["data"]["room"]["unread_count"] == unread
                await cluster.message_server.stop()
                cluster.message_server = build_server(cluster.settings, cluster.clock)
                await cluster.message_server.start(cluster.settings.message_address)
