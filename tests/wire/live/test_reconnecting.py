"""Connecting, and connecting again after a while (spec §10.6, §10.7, A.2, A.7, A.8)."""

from typing import Any

import pytest

from tests.wire.client import CURSORS, V6, V7, Server, fresh, path_of
from tests.wire.live.client import Subscriber

UNUSUAL = [
    "two words ",
    "\N{CIRCLED LATIN CAPITAL LETTER A}\N{CIRCLED LATIN SMALL LETTER B}",
    "\N{CYRILLIC CAPITAL LETTER ZHE}\N{CYRILLIC SMALL LETTER YA}",
    "e\N{COMBINING ACUTE ACCENT}o\N{COMBINING DIAERESIS}",
    "\N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}",
    "\N{WOMAN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\N{ZERO WIDTH JOINER}\N{ROCKET}",
    "a/b",
    "1+1",
    "++",
]


def state_of(live: Subscriber, user: str, api: str) -> dict[str, Any]:
    """The state that the user is told on connecting; then it leaves."""
    with live.user("/users", user, api=api) as subscription:
        state: dict[str, Any] = subscription.data("initial_state")
    return state


def test_a_batch_of_nine_unusual_users_connect_under_their_ids(server: Server, live: Subscriber) -> None:
    users = [{"id": fresh(start), "name": start} for start in UNUSUAL]
    created = server.su().post("/batch_users", {"users": users}).read(201)
    assert [user["id"] for user in created] == [user["id"] for user in users]
    for user in users:
        with live.user(path_of("users", user["id"], "register"), user["id"], api="chatkit_presence/v2"):
            current = state_of(live, user["id"], V6)["current_user"]
        assert (current["id"], current["name"]) == (user["id"], user["name"])


@pytest.mark.parametrize("api", [V6, V7])
def test_connecting_again_tells_nothing_but_the_state(
    server: Server, live: Subscriber, alice: str, bob: str, api: str
) -> None:
    room = server.new_room(alice, bob)
    server.set_cursor(room, alice, server.send(room, bob))
    first = state_of(live, alice, api)
    with live.user("/users", alice, api=api) as subscription:
        assert subscription.data("initial_state") == first
        marker = server.new_room(alice)
        assert subscription.data("added_to_room")["room"]["id"] == marker


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_cursor_is_reported_as_it_is_on_connecting_again(
    server: Server, live: Subscriber, alice: str, room: str, is_changed: bool
) -> None:
    server.set_cursor(room, alice, 17)
    before = state_of(live, alice, V6)["cursors"]
    if is_changed:
        server.set_cursor(room, alice, 42)
    with live.user("/users", alice) as subscription:
        cursors = subscription.data("initial_state")["cursors"]
        assert [cursor["position"] for cursor in cursors] == [42 if is_changed else 17]
        assert (cursors == before) is not is_changed
        marker = server.new_room(alice)  # no `new_cursor` comes before it
        assert subscription.data("added_to_room")["room"]["id"] == marker


class Changes:
    """Rooms and a user, and all that can happen to them while she is away."""

    def __init__(self, server: Server, alice: str, bob: str) -> None:
        self.alice = alice
        self.bob = bob
        self.server = server
        self.renamed, self.hidden, self.shown = (
            server.new_room(bob, alice, private=private) for private in (False, False, True)
        )
        self.data_added = server.new_room(bob, alice)
        self.data_changed = server.new_room(bob, alice, custom_data={"old": 1, "both": 1})
        self.data_removed = server.new_room(bob, alice, custom_data={"old": 1})
        self.left, self.deleted = server.new_room(bob, alice), server.new_room(bob, alice)
        self.joined = server.new_room(bob)
        self.read = server.new_room(alice, bob)
        self.message = server.send(self.read, bob)

    def happen(self) -> None:
        server, carol = self.server, self.server.new_user(fresh("carol-"))
        for room, change in (
            (self.renamed, {"name": "renamed"}),
            (self.hidden, {"private": True}),
            (self.shown, {"private": False}),
            (self.data_added, {"custom_data": {"new": [1]}}),
            (self.data_changed, {"custom_data": {"both": 2}}),
            (self.data_removed, {"custom_data": {}}),
        ):
            server.su().put(path_of("rooms", room), change).done()
        for room, way, user in (
            (self.left, "remove", self.alice),
            (self.joined, "add", self.alice),
            (self.read, "add", carol),
            (self.read, "remove", self.bob),
        ):
            server.su().put(path_of("rooms", room, "users", way), {"user_ids": [user]}).done()
        server.su().delete(path_of("rooms", self.deleted)).done()
        server.set_cursor(self.read, self.alice, self.message)
        profile = {"name": "Alicia", "avatar_url": "https://pictures.example/new", "custom_data": {"mood": "good"}}
        server.su().put(path_of("users", self.alice), profile).done()
        self.carol = carol

    def check(self, state: dict[str, Any]) -> None:
        """Check what states of all versions have."""
        current = state["current_user"]
        assert current == self.server.su().get(path_of("users", self.alice)).read()
        assert (current["name"], current["custom_data"]) == ("Alicia", {"mood": "good"})
        rooms = {room["id"]: room for room in state["rooms"]}
        assert self.joined in rooms
        assert not {self.left, self.deleted} & rooms.keys()
        assert rooms[self.renamed]["name"] == "renamed"
        assert [rooms[room]["private"] for room in (self.hidden, self.shown)] == [True, False]
        changed = (self.data_added, self.data_changed, self.data_removed)
        assert [rooms[room]["custom_data"] for room in changed] == [{"new": [1]}, {"both": 2}, {}]


@pytest.fixture
def changes(server: Server, alice: str, bob: str) -> Changes:
    return Changes(server, alice, bob)


def test_what_changed_meanwhile_is_in_the_next_state(server: Server, live: Subscriber, changes: Changes) -> None:
    before = state_of(live, changes.alice, V6)
    assert before["cursors"] == []
    changes.happen()
    state = state_of(live, changes.alice, V6)
    changes.check(state)
    known = server.rooms_of(changes.alice)
    for room in known.values():
        del room["member_user_ids"]
    assert {room["id"]: room for room in state["rooms"]} == known
    assert known[changes.read]["unread_count"] == 0
    (cursor,) = state["cursors"]
    assert (cursor["room_id"], cursor["position"]) == (changes.read, changes.message)


def test_what_changed_meanwhile_is_in_the_next_state_of_v7(server: Server, live: Subscriber, changes: Changes) -> None:
    before = {one["room_id"]: one["user_ids"] for one in state_of(live, changes.alice, V7)["memberships"]}
    assert before[changes.read] == [changes.alice, changes.bob]
    changes.happen()
    state = state_of(live, changes.alice, V7)
    changes.check(state)
    members = {one["room_id"]: one["user_ids"] for one in state["memberships"]}
    assert members.keys() == {room["id"] for room in state["rooms"]}
    assert members[changes.read] == [changes.alice, changes.carol]
    assert members[changes.joined] == [changes.bob, changes.alice]
    reads = {one["room_id"]: one for one in state["read_states"]}
    assert reads[changes.read]["unread_count"] == 0
    assert reads[changes.read]["cursor"]["position"] == changes.message


def test_what_changed_meanwhile_is_in_the_next_state_of_a_room(
    server: Server, live: Subscriber, changes: Changes
) -> None:
    streams = (
        (path_of("rooms", changes.read, "memberships"), V6),
        (path_of("cursors", "0", "rooms", changes.read), CURSORS),
    )

    def states() -> list[Any]:
        found = []
        for path, api in streams:
            with live.user(path, changes.alice, api=api) as subscription:
                found.append(subscription.data("initial_state"))
        return found

    assert states() == [{"user_ids": [changes.alice, changes.bob]}, {"cursors": []}]
    changes.happen()
    members, cursors = states()
    assert members == {"user_ids": [changes.alice, changes.carol]}
    assert [(cursor["user_id"], cursor["position"]) for cursor in cursors["cursors"]] == [
        (changes.alice, changes.message)
    ]
