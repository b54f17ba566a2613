"""Rooms of a running server: made, and read back as clients do."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import grpc
from roomline.v1.message_service_pb2 import MESSAGE_ORDER_OLDEST_FIRST, ListMessagesRequest
from roomline.v1.message_service_pb2_grpc import MessageServiceStub
from roomline.v1.room_service_pb2 import CreateRoomRequest
from roomline.v1.room_service_pb2_grpc import RoomServiceStub
from roomline.v1.user_service_pb2 import BatchCreateUsersRequest, NewUser
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from services.common.tokens import user_token
from tests.gateway.client import Client
from tests.support.server import Running

Listed = list[tuple[int, str]]
"""Ids and texts of messages, from the oldest to the newest."""


def bearer(running: Running, user_id: str = "", *, su: bool = False) -> str:
    """The authorization of a caller of the development instance."""
    key_id, _, secret = running.key.partition(":")
    return "Bearer " + user_token(running.instance_id, key_id, secret, user_id, time.time(), 3600, su=su)


async def create(running: Running, room: str, members: list[str]) -> None:
    """Makes the users, and a room with all of them in it."""
    metadata = (("authorization", bearer(running, members[0], su=True)),)
    async with grpc.aio.insecure_channel(running.grpc["user"]) as channel:
        users = [NewUser(id=user_id, name=user_id) for user_id in members]
        await UserServiceStub(channel).BatchCreateUsers(BatchCreateUsersRequest(users=users), metadata=metadata)
    async with grpc.aio.insecure_channel(running.grpc["message"]) as channel:
        request = CreateRoomRequest(id=room, name=room, user_ids=members)
        await RoomServiceStub(channel).CreateRoom(request, metadata=metadata)


async def listed(running: Running, room: str) -> Listed:
    """The room's messages, read in pages, in both directions and over both protocols."""
    forwards = await _forwards(running, room)
    assert await _backwards(running, room) == forwards
    return forwards


async def _forwards(running: Running, room: str) -> Listed:
    found: Listed = []
    request = ListMessagesRequest(room_id=room, page_size=100, order=MESSAGE_ORDER_OLDEST_FIRST)
    metadata = (("authorization", bearer(running, su=True)),)
    async with grpc.aio.insecure_channel(running.grpc["message"]) as channel:
        stub = MessageServiceStub(channel)
        while True:
            page = await stub.ListMessages(request, metadata=metadata)
            found += [(message.id, message.parts[0].content) for message in page.messages]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


async def _backwards(running: Running, room: str) -> Listed:
    found: Listed = []
    client = Client(urlsplit(running.http).port or 0, authorization=bearer(running, su=True))
    path = f"/services/chatkit/v6/{running.instance_id}/rooms/{room}/messages?limit=100"
    query = ""
    while True:
        page = (await client.get(path + query)).json
        if not page:
            return found[::-1]
        found += [(message["id"], message["parts"][0]["content"]) for message in page]
        query = f"&initial_id={page[-1]['id']}"
