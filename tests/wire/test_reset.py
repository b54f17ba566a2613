"""The test hook that empties the instance (spec §12.3).

Each test leaves the instance empty, so nothing here may lean on what was there before.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest

from tests.wire import codes
from tests.wire.client import AUTHORIZER, CURSORS, V6, Reply, Server, fresh, path_of
from tests.wire.conftest import Target
from tests.wire.files import DATA, at, attach, attachment_of, post_file, reserve
from tests.wire.live.client import End, Subscriber

PRESENCE = "chatkit_presence/v2"

CASES = 15
CASE_SECONDS = 10.0
"""After which the least patient of the suites gives a case up (spec A.1)."""
CALL_SECONDS = 0.2
RESET_SECONDS = 2.0
BUSY = 5
"""How many times as long anything may take where something else is going on."""


@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4", "v5", "v6", "v7"])
def test_every_version_has_it(server: Server, alice: str, version: str) -> None:
    server.su().delete("/resources", api=f"chatkit/{version}").done()
    server.su().get(f"/users/{alice}").fails(404, codes.USER_NOT_FOUND)


def test_any_superuser_may_call_it_and_may_keep_its_token(server: Server, alice: str) -> None:
    for sub in (None, "admin", alice):
        caller = server.su(sub)
        caller.delete("/resources").done()
        assert caller.get("/users").read() == []


def test_everything_is_gone_at_once(server: Server, alice: str, bob: str) -> None:
    room, private = server.new_room(alice, bob), server.new_room(alice, private=True)
    message = server.send(room, alice)
    server.set_cursor(room, alice, message)

    server.su().delete("/resources").done()

    assert server.su().get("/users").read() == []
    assert server.su().get("/rooms?include_private=true").read() == []
    assert server.su().get(f"/users_by_ids?id={alice}&id={bob}").read() == []
    for gone in (room, private):
        server.su().get(f"/rooms/{gone}").fails(404, codes.ROOM_NOT_FOUND)
        server.su().get(f"/rooms/{gone}/messages").fails(404, codes.ROOM_NOT_FOUND)


def test_attachments_and_reservations_are_gone_at_once(server: Server, alice: str, room: str) -> None:
    sent, unsent = attach(server, room, alice), reserve(server.su(alice), room)
    url = attachment_of(server, room, server.send(room, alice, sent.part))["download_url"]
    link = post_file(server, room, alice, "x.gif")
    server.su().delete("/resources").done()
    for gone in (url, link["resource_link"]):
        at(server, gone).fails(404, codes.ATTACHMENT_NOT_FOUND)
    for reserved in (sent, unsent):
        at(server, reserved.upload_url, "PUT", DATA).fails(404, codes.ATTACHMENT_NOT_FOUND)


def test_the_same_ids_can_be_used_again_and_start_afresh(server: Server) -> None:
    user, room = fresh(), fresh()
    for _ in range(3):
        server.su().delete("/resources").done()
        server.new_user(user)
        server.new_room(user, id=room)
        assert server.su().get(f"/rooms/{room}/messages").read() == []
        assert server.su().get(f"/cursors/0/users/{user}", api=CURSORS).read() == []
        assert server.rooms_of(user)[room]["unread_count"] == 0
        server.set_cursor(room, user, server.send(room, user))


def test_rooms_may_have_the_same_ids_in_every_case(server: Server) -> None:
    """Kinds of ids that the suites have as constants."""
    for _ in range(3):
        server.su().delete("/resources").done()
        user = server.new_user("ham")
        for room in ("lobby", "a-dashed-id", "#general", "3f2b8c1e-9d4a-4f6b-8a7c-0e1d2f3a4b5c"):
            assert server.new_room(user, id=room) == room
            assert server.room(room)["id"] == room


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_whoever_was_connected_starts_afresh(server: Server, transport: str) -> None:
    """Under the same ids: nothing of the earlier registration, room and message is left, nor told to anybody."""
    alice, bob, room = fresh("alice-"), fresh("bob-"), fresh("room-")
    live = Subscriber(server, transport)
    presence = path_of("users", bob)

    def populate() -> int:
        for user in (alice, bob):
            server.new_user(user)
        server.new_room(alice, bob, id=room)
        return server.send(room, alice)

    server.su().delete("/resources").done()
    populate()
    with live.user(path_of("rooms", room), alice) as old, live.user(f"{presence}/register", bob, api=PRESENCE) as gone:
        old.event("new_message")
        server.su().delete("/resources").done()
        message = populate()
        for subscription in (old, gone):
            end = subscription.receive()
            assert isinstance(end, End), end
            assert end.status == 404
        with live.user(presence, alice, api=PRESENCE) as watching, live.user(path_of("rooms", room), alice) as new:
            assert watching.data("presence_state") == {"state": "offline"}
            assert new.data("new_message")["id"] == message
            with live.user(f"{presence}/register", bob, api=PRESENCE):
                assert watching.data("presence_state") == {"state": "online"}


def test_both_usual_roles_may_be_created_at_the_same_time(server: Server, target: Target) -> None:
    server.su().delete("/resources").done()

    def create(name: str) -> Reply:
        body = {"name": name, "scope": "global", "permissions": ["user:get", "room:get"]}
        with target.connect(target.url) as own:
            return own.su().post("/roles", body, api=AUTHORIZER)

    try:
        with ThreadPoolExecutor() as threads:
            assert [reply.status for reply in threads.map(create, ("default", "admin"))] == [201, 201]
        listed = server.su().get("/roles", api=AUTHORIZER).read()
        assert {role["name"] for role in listed} == {"default", "admin"}
        create("admin").fails(400, codes.ROLE_EXISTS)
    finally:
        server.su().delete("/resources").done()  # or every user would have a role that permits next to nothing


def seconds_of(*steps: Callable[[], object]) -> list[float]:
    """Take the steps, and return how long each of them took."""
    taken = []
    for step in steps:
        started = time.monotonic()
        step()
        taken.append(time.monotonic() - started)
    return taken


def test_case_after_case_keeps_within_its_time(server: Server) -> None:
    """What is asked of a call and of a reset, times what a busy machine may take; a case has the suites' own time."""
    users = [{"id": name, "name": name} for name in ("ham", "eve", "zoe")]
    calls, resets = [], []
    for _ in range(CASES):
        reset = seconds_of(lambda: server.su().delete("/resources").done())
        case = seconds_of(
            lambda: server.su().post("/batch_users", {"users": users}).read(201),
            lambda: server.new_room("ham", "eve", "zoe", id="lobby"),
            *[lambda: server.send("lobby", "ham")] * 5,
            lambda: server.send_text("lobby", "eve", "hello"),
            lambda: server.set_cursor("lobby", "eve", 17),
            lambda: server.su().get("/rooms/lobby/messages").read(),
            lambda: server.rooms_of("eve"),
            lambda: server.su().put("/rooms/lobby", {"name": "renamed"}).done(),
            lambda: server.su().get("/users").read(),
        )
        assert sum(reset + case) < CASE_SECONDS
        calls += case
        resets += reset
    assert median(calls) < CALL_SECONDS * BUSY
    assert median(resets) < RESET_SECONDS * BUSY


def test_message_ids_are_not_used_again(server: Server, alice: str, room: str) -> None:
    before = server.send(room, alice)
    server.su().delete("/resources").done()
    user = server.new_user()
    assert server.send(server.new_room(user), user) > before


def test_the_room_list_has_exactly_what_came_after(server: Server, room: str) -> None:
    server.su().delete("/resources").done()
    user = server.new_user()
    first, second = server.new_room(user), server.new_room(user)
    hidden = [server.new_room(user, private=True) for _ in range(10)]

    def listed(query: str) -> list[str]:
        return [found["id"] for found in server.su().get(f"/rooms{query}").read()]

    assert listed("") == [first, second]
    assert listed(f"?from_id={first}") == [second]
    assert listed(f"?from_id={second}") == []
    assert listed("?include_private=true") == [first, second, *hidden]


@pytest.mark.parametrize("version", ["v6", "v7"])
def test_the_joinable_rooms_are_exactly_those_that_came_after(server: Server, room: str, version: str) -> None:
    server.su().delete("/resources").done()
    user, other = server.new_user(), server.new_user()
    open_one = server.new_room(other)
    server.new_room(other, private=True)
    server.new_room(other, user)
    what = {"v6": "rooms?joinable=true", "v7": "joinable_rooms"}[version]
    found = server.user(user).get(f"/users/{user}/{what}", api=f"chatkit/{version}").read()
    if version == "v6":
        assert [(one["id"], one["member_user_ids"]) for one in found] == [(open_one, [other])]
    else:
        assert [one["id"] for one in found["rooms"]] == [open_one]
        assert found["memberships"] == [{"room_id": open_one, "user_ids": [other]}]


@pytest.mark.parametrize("query", ["", "?from_ts=&limit=0"])
def test_the_user_list_has_exactly_what_came_after(server: Server, alice: str, query: str) -> None:
    server.su().delete("/resources").done()
    batch = [{"id": fresh(start), "name": start} for start in "cab"]
    users = [user["id"] for user in server.su().post("/batch_users", {"users": batch}).read(201)]
    users.append(server.new_user())
    assert [user["id"] for user in server.su().get(f"/users{query}").read()] == users


def test_a_user_may_not_call_it(server: Server, alice: str) -> None:
    server.user(alice).delete("/resources", api=V6).fails(401, codes.MISSING_PERMISSION)
    assert server.su().get(f"/users/{alice}").status == 200
