"""Connections are cut again and again while much happens; in the end everybody knows what there is (spec §10.4)."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest

from tests.wire.client import CURSORS, V6, Server, fresh, inline, path_of
from tests.wire.conftest import Target
from tests.wire.live.client import Event, Subscriber, Subscription

pytestmark = pytest.mark.thorough


ACTIONS = 150
CUTS = 0.15
"""How many events are followed by the loss of the connection."""
LAST = 1_999_999_999
END = "the end"
"""What is set last."""


class Scene:
    """Users and rooms, and what happens to them at random."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self.server = server
        self.chance = chance
        self.users = [server.new_user(fresh(f"{name}-")) for name in ("alice", "bob", "carol")]
        self.owner = server.new_user(fresh("owner-"))
        self.rooms = [server.new_room(self.owner, *self.users[:2]) for _ in range(3)]
        self.sent: list[int] = []
        """In the first room."""
        self.deleted: set[int] = set()
        self.marker = server.new_user(fresh("marker-"))

    def act(self) -> None:
        room, user = self.chance.choice(self.rooms), self.chance.choice(self.users)
        server, kind = self.server, self.chance.randrange(12)
        if kind < 5:
            self.send(room)
        elif kind < 7:
            server.set_cursor(room, user, self.chance.choice([0, *self.sent, LAST - 1]))
        elif kind < 9:
            way = self.chance.choice(["add", "remove"])
            server.su().put(path_of("rooms", room, "users", way), {"user_ids": [user]}).done()
        elif kind == 9:
            server.su().put(path_of("rooms", room), {"name": fresh()}).done()
        elif kind == 10 and self.sent:
            message = self.chance.choice(self.sent)
            server.su().delete(path_of("rooms", self.rooms[0], "messages", str(message)))
            self.deleted.add(message)
        else:
            passing = server.new_room(self.owner, user)
            server.su().delete(path_of("rooms", passing)).done()

    def send(self, room: str, text: str = "hello") -> None:
        message = self.server.send(room, self.owner, inline(text))
        if room == self.rooms[0]:
            self.sent.append(message)

    def finish(self) -> None:
        """Does last what everybody waits for. Before, all hear of what deletions leave unread: nobody else tells."""
        for room in self.rooms:
            self.server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": self.users}).done()
            self.send(room)
        first = self.rooms[0]
        self.send(first, END)
        self.server.set_cursor(first, self.owner, LAST)
        self.server.su().put(path_of("rooms", first, "users", "add"), {"user_ids": [self.marker]}).done()
        self.server.su().put(path_of("rooms", first), {"name": END}).done()


class Picture(ABC):
    """What a client knows by one subscription that is cut now and then."""

    def __init__(self, live: Subscriber, scene: Scene) -> None:
        self.live = live
        self.scene = scene
        self.is_over = False
        self.subscription = self.open()

    def close(self) -> None:
        self.subscription.close()

    def cut(self) -> None:
        self.subscription.cut()
        self.subscription = self.open()

    def take(self) -> None:
        """Takes the next event; when the last one has come, `is_over`."""
        event = self.subscription.receive()
        assert isinstance(event, Event)
        self.learn(event)

    @abstractmethod
    def open(self) -> Subscription: ...

    @abstractmethod
    def learn(self, event: Event) -> None: ...

    @abstractmethod
    def check(self) -> None: ...


class Messages(Picture):
    """Every message of a room, each once."""

    def __init__(self, live: Subscriber, scene: Scene) -> None:
        self.seen: list[int] = []
        self.gone: set[int] = set()
        super().__init__(live, scene)

    def open(self) -> Subscription:
        path = path_of("rooms", self.scene.rooms[0]) + "?message_limit=0"
        headers = {"Last-Event-Id": str(self.seen[-1])} if self.seen else {"Last-Event-Id": "0"}
        return self.live.user(path, self.scene.owner, headers=headers)

    def learn(self, event: Event) -> None:
        if event.name == "new_message":
            self.seen.append(event.data["id"])
            self.is_over = event.data["parts"][0]["content"] == END

    def check(self) -> None:
        assert self.seen == sorted(set(self.seen))
        assert set(self.scene.sent) - set(self.seen) <= self.scene.deleted
        assert set(self.seen) <= set(self.scene.sent)


class Members(Picture):
    """Who is in a room."""

    def open(self) -> Subscription:
        return self.live.user(path_of("rooms", self.scene.rooms[0], "memberships"), self.scene.owner)

    def learn(self, event: Event) -> None:
        match event.name:
            case "initial_state":
                self.members = set(event.data["user_ids"])
            case "user_joined":
                self.members.add(event.data["user_id"])
            case "user_left":
                self.members.remove(event.data["user_id"])
        self.is_over = self.scene.marker in self.members

    def check(self) -> None:
        assert self.members == set(self.scene.server.room(self.scene.rooms[0])["member_user_ids"])


class RoomCursors(Picture):
    """The cursors of a room."""

    def open(self) -> Subscription:
        return self.live.user(path_of("cursors", "0", "rooms", self.scene.rooms[0]), self.scene.owner, api=CURSORS)

    def learn(self, event: Event) -> None:
        if event.name == "initial_state":
            self.cursors = {cursor["user_id"]: cursor for cursor in event.data["cursors"]}
        else:
            self.cursors[event.data["user_id"]] = event.data
        self.is_over = any(cursor["position"] == LAST for cursor in self.cursors.values())

    def check(self) -> None:
        path = path_of("cursors", "0", "rooms", self.scene.rooms[0])
        fresh_ones = self.scene.server.su().get(path, api=CURSORS).read()
        assert self.cursors == {cursor["user_id"]: cursor for cursor in fresh_ones}


class Own(Picture):
    """The rooms and cursors of a user."""

    api = V6

    def open(self) -> Subscription:
        return self.live.user("/users", self.scene.users[0], api=self.api)

    def learn(self, event: Event) -> None:
        match event.name:
            case "initial_state":
                self.rooms = {room["id"]: room for room in event.data["rooms"]}
                self.cursors = {cursor["room_id"]: cursor for cursor in event.data["cursors"]}
            case "added_to_room" | "room_updated":
                room = event.data["room"]
                assert (room["id"] in self.rooms) == (event.name == "room_updated")
                self.rooms[room["id"]] = room
            case "removed_from_room" | "room_deleted":
                del self.rooms[event.data["room_id"]]
            case "new_cursor":
                self.cursors[event.data["room_id"]] = event.data
        self.is_over = END in {room["name"] for room in self.rooms.values()}

    def check(self) -> None:
        with self.open() as subscription:
            state = subscription.data("initial_state")
        assert self.rooms == {room["id"]: room for room in state["rooms"]}
        assert self.cursors == {cursor["room_id"]: cursor for cursor in state["cursors"]}


class OwnV7(Picture):
    """The rooms, members and read states of a user."""

    def open(self) -> Subscription:
        return self.live.user("/users", self.scene.users[0], api="chatkit/v7")

    def learn(self, event: Event) -> None:
        data = event.data
        match event.name:
            case "initial_state":
                self.state = _by_room(data)
            case "added_to_room":
                room = data["room"]["id"]
                assert room not in self.state
                self.state[room] = [data["room"], set(data["membership"]["user_ids"]), data["read_state"]]
            case "removed_from_room" | "room_deleted":
                del self.state[data["room_id"]]
            case "room_updated":
                self.state[data["room"]["id"]][0] = data["room"]
            case "read_state_updated":
                self.state[data["read_state"]["room_id"]][2] = data["read_state"]
            case "user_joined_room":
                assert data["user_id"] not in self.state[data["room_id"]][1]
                self.state[data["room_id"]][1].add(data["user_id"])
            case "user_left_room":
                self.state[data["room_id"]][1].remove(data["user_id"])
        self.is_over = END in {room["name"] for room, _, _ in self.state.values()}

    def check(self) -> None:
        with self.open() as subscription:
            assert self.state == _by_room(subscription.data("initial_state"))


def _by_room(state: dict[str, Any]) -> dict[str, list[Any]]:
    members = {one["room_id"]: set(one["user_ids"]) for one in state["memberships"]}
    reads = {one["room_id"]: one for one in state["read_states"]}
    return {room["id"]: [room, members[room["id"]], reads[room["id"]]] for room in state["rooms"]}


def _watch(picture: Picture, chance: random.Random) -> None:
    """Takes events until the last one; cuts the connection now and then."""
    picture.take()
    while not picture.is_over:
        if chance.random() < CUTS:
            picture.cut()
        picture.take()


@pytest.fixture
def scene(target: Target) -> Iterator[Scene]:
    with target.connect(target.url) as server:
        yield Scene(server, random.Random(7))  # noqa: S311 - nothing secret


@pytest.mark.parametrize("sort", [Messages, Members, RoomCursors, Own, OwnV7])
def test_nothing_is_lost_or_told_twice(target: Target, live: Subscriber, scene: Scene, sort: type[Picture]) -> None:
    picture = sort(live, scene)
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            _watch(picture, random.Random(8))  # noqa: S311 - nothing secret
        except BaseException as error:  # noqa: BLE001 - it is raised where the test can see it
            failures.append(error)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for _ in range(ACTIONS):
            scene.act()
        scene.finish()
    finally:
        watching.join()
        picture.close()
    if failures:
        raise failures[0]
    picture.check()
