"""The state of v7 where a user is in very many rooms (spec §10.7)."""

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.user_pb2 import User

from gateway.chatkit.live_users_v7 import MAX_READ_STATES, LiveUsersV7
from gateway.live.room_state import RoomState
from gateway.live.user_feed import UserFeed
from gateway.live.user_feeds import UserFeeds
from tests.gateway.backend import Backend
from tests.gateway.live.feed_scene import scene_of


async def test_read_states_are_those_of_the_most_recently_active_rooms(backend: Backend) -> None:
    async with scene_of(backend) as scene:
        feed: UserFeed = scene.feed
        count = MAX_READ_STATES + 3
        for number in range(count):
            room = Room(id=f"room-{number}", created_at=Timestamp(seconds=10_000 - number))
            if number == count - 1:
                room.last_message_at.CopyFrom(Timestamp(seconds=20_000))
            feed.rooms[room.id] = RoomState.of(UserRoom(room=room), 1)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel:
            feeds = UserFeeds(channel, scene.own)
            state = LiveUsersV7(channel, feeds).state(User(id="alice"), feed)
    assert len(state["rooms"]) == len(state["memberships"]) == count
    reads = [one["room_id"] for one in state["read_states"]]
    assert reads[:2] == [f"room-{count - 1}", "room-0"]
    assert len(reads) == MAX_READ_STATES
