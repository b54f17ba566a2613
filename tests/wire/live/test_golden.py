"""Every event as it stands on the wire, for each dialect, beside files that were looked at (spec §10).

With `ROOMLINE_WRITE_GOLDEN=1` the files are written anew, to be looked at again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wire.client import CURSORS, V2, V6, Server, fresh, inline, link, path_of
from tests.wire.live.client import Subscriber, Subscription

FOLDER = Path(__file__).parent / "golden"
V7 = "chatkit/v7"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class World:
    """Two users, a room, and what happens to them; nothing in it is the same twice."""

    def __init__(self, server: Server, live: Subscriber) -> None:
        self.server = server
        self.live = live
        self.alice = server.new_user(fresh("alice-"), name="Alice", avatar_url="https://pictures.example/alice.png")
        self.bob = server.new_user(fresh("bob-"), name="Bob")
        self.room = server.new_room(self.alice, name="the room", private=True, custom_data={"a": [1, {"b": None}]})
        self.names = {self.alice: "alice", self.bob: "bob", self.room: "room"}

    def send(self) -> int:
        message = self.server.send(self.room, self.alice, inline("hello"), link())
        self.names[str(message)] = "message"
        return message

    def set_cursor(self, user: str) -> None:
        self.server.set_cursor(self.room, user, 7)

    def add(self) -> None:
        path = path_of("rooms", self.room, "users", "add")
        self.server.su().put(path, {"user_ids": [self.bob]}).done()

    def remove(self) -> None:
        path = path_of("rooms", self.room, "users", "remove")
        self.server.su().put(path, {"user_ids": [self.bob]}).done()

    def update(self) -> None:
        body = {"name": "renamed", "push_notification_title_override": "ping"}
        self.server.su().put(path_of("rooms", self.room), body).done()

    def delete(self) -> None:
        self.server.su().delete(path_of("rooms", self.room)).done()

    def type(self) -> None:
        self.server.user(self.alice).post(path_of("rooms", self.room, "typing_indicators")).done()

    def normal(self, value: Any) -> Any:
        """The value with names for ids and without times."""
        match value:
            case dict():
                return {key: self.normal(one) for key, one in value.items()}
            case list():
                return [self.normal(one) for one in value]
            case str() if value in self.names:
                return self.names[value]
            case int() if str(value) in self.names:
                return self.names[str(value)] + " as a number"
            case str() if value.isdigit() and len(value) > 6:
                return "a rising number"
            case str():
                for known, name in self.names.items():
                    value = value.replace(known, name)
                return _TIME.sub("a time", value)
            case _:
                return value


def until(subscription: Subscription, name: str) -> None:
    """Takes events up to one of this name: what happens next shall not be part of it."""
    while subscription.receive()[1] != name:
        pass


def users(world: World, api: str) -> Subscription:
    world.add()
    world.set_cursor(world.bob)
    world.set_cursor(world.alice)
    subscription = world.live.user("/users", world.bob, api=api)
    until(subscription, "initial_state")
    world.send()
    world.update()
    world.set_cursor(world.bob)
    world.remove()
    until(subscription, "removed_from_room")
    world.add()
    until(subscription, "added_to_room")
    carol = world.server.new_user(fresh("carol-"))
    world.names[carol] = "carol"
    for way in ("add", "remove"):
        world.server.su().put(path_of("rooms", world.room, "users", way), {"user_ids": [carol]}).done()
    world.delete()
    until(subscription, "room_deleted")
    return subscription


def messages(world: World, api: str) -> Subscription:
    subscription = world.live.user(path_of("rooms", world.room), world.alice, api=api)
    message = world.send()
    until(subscription, "new_message")
    world.type()
    until(subscription, "is_typing")
    if api != V2:
        world.server.su().delete(path_of("rooms", world.room, "messages", str(message))).done()
        until(subscription, "message_deleted")
    world.delete()
    subscription.receive()
    return subscription


def members(world: World, api: str) -> Subscription:
    subscription = world.live.user(path_of("rooms", world.room, "memberships"), world.alice, api=api)
    world.add()
    world.remove()
    until(subscription, "user_left")
    world.delete()
    subscription.receive()
    return subscription


def cursors(world: World, api: str) -> Subscription:
    world.add()
    world.set_cursor(world.alice)
    subscription = world.live.user(path_of("cursors", "0", "rooms", world.room), world.alice, api=api)
    world.set_cursor(world.bob)
    until(subscription, "new_cursor")
    world.delete()
    subscription.receive()
    return subscription


def notifications(world: World, api: str) -> Subscription:
    world.add()
    subscription = world.live.user(path_of("users", world.bob), world.bob, api=api)
    world.send()
    until(subscription, "push_notification")
    return subscription


def presence(world: World, api: str) -> Subscription:
    subscription = world.live.user(path_of("users", world.bob), world.alice, api=api)
    until(subscription, "presence_state")
    with world.live.user(path_of("users", world.bob, "register"), world.bob, api=api):
        until(subscription, "presence_state")
    until(subscription, "presence_state")
    return subscription


@pytest.mark.parametrize(
    ("file", "act", "api"),
    [
        ("users-v6", users, V6),
        ("users-v7", users, V7),
        ("messages-v2", messages, V2),
        ("messages-v6", messages, V6),
        ("memberships-v6", members, V6),
        ("cursors-v2", cursors, CURSORS),
        ("notifications-v1", notifications, "chatkit_push_notifications/v1"),
        ("presence-v2", presence, "chatkit_presence/v2"),
    ],
)
def test_frames(
    server: Server, live: Subscriber, file: str, act: Callable[[World, str], Subscription], api: str
) -> None:
    world = World(server, live)
    with act(world, api) as subscription:
        frames = [world.normal(frame) for frame in subscription.frames]
    kind = "websocket" if frames[0][0] == 101 else "http"
    path = FOLDER / f"{file}.{kind}.json"
    if os.environ.get("ROOMLINE_WRITE_GOLDEN"):
        path.write_text(json.dumps(frames, indent=1, ensure_ascii=False) + "\n")
    assert frames == json.loads(path.read_text())
