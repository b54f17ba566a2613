"""Asynchronous deletion (spec §3.6); for superusers only."""

import time
from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import SCHEDULER, TIMEOUT_SECONDS, Reply, Server, fresh, path_of
from tests.wire.files import at, attach, attachment_of
from tests.wire.live.client import Subscriber


def start(server: Server, *path: str) -> str:
    """Begin a deletion and return the job's id."""
    job = server.su().put(path_of(*path), api=SCHEDULER).read(202)
    assert job == {"id": job["id"], "status": "in_progress"}
    assert isinstance(job["id"], str)
    assert job["id"]
    return str(job["id"])


def status(server: Server, job: str) -> Reply:
    return server.su().get(path_of("status", job), api=SCHEDULER)


def complete(server: Server, job: str) -> None:
    """Ask until the job is completed, as the suites do."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while (told := told_of(server, job)) == "in_progress":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert told == "completed"
    assert told_of(server, job) == "completed"


def told_of(server: Server, job: str) -> Any:
    answer = status(server, job).read()
    assert answer == {"id": job, "status": answer["status"]}
    return answer["status"]


def test_a_user_is_deleted(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    message = server.send(room, alice)
    server.set_cursor(room, alice, message)
    complete(server, start(server, "users", alice))
    server.su().get(path_of("users", alice)).fails(404, codes.USER_NOT_FOUND)
    assert server.room(room)["member_user_ids"] == [bob]
    assert server.message(room, message)["user_id"] == alice
    server.new_user(alice)
    assert server.rooms_of(alice) == {}


def test_a_room_is_deleted(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, private=True)
    server.send(room, alice, attach(server, room, alice).part)
    message = server.send(room, alice, attach(server, room, alice).part)
    url = attachment_of(server, room, message)["download_url"]
    complete(server, start(server, "rooms", room))
    server.su().get(path_of("rooms", room)).fails(404, codes.ROOM_NOT_FOUND)
    server.su().get(path_of("rooms", room, "messages")).fails(404, codes.ROOM_NOT_FOUND)
    at(server, url).fails(404, codes.ATTACHMENT_NOT_FOUND)
    assert server.rooms_of(bob) == {}
    server.new_room(alice, id=room)
    assert server.su().get(path_of("rooms", room, "messages")).read() == []


def test_members_are_told(server: Server, alice: str, bob: str) -> None:
    room, other = server.new_room(alice, bob), server.new_room(alice, bob)
    subscriber = Subscriber(server, "websocket")
    with subscriber.user("/users", alice) as first, subscriber.user(f"/rooms/{other}/memberships", alice) as second:
        for subscription in (first, second):
            subscription.event("initial_state")
        start(server, "rooms", room)
        assert first.data("room_deleted") == {"room_id": room}
        start(server, "users", bob)
        assert second.data("user_left") == {"user_id": bob}


@pytest.mark.parametrize("name", ["two words", "a/b", "#1+2", "👩🏽‍🚀"])
def test_ids_of_any_characters(server: Server, name: str) -> None:
    user = server.new_user(fresh(name))
    room = server.new_room(user, id=fresh(name))
    complete(server, start(server, "rooms", room))
    complete(server, start(server, "users", user))
    server.su().get(path_of("rooms", room)).fails(404, codes.ROOM_NOT_FOUND)
    server.su().get(path_of("users", user)).fails(404, codes.USER_NOT_FOUND)


def test_ids_may_be_reused_at_once(server: Server) -> None:
    user, room, jobs = fresh(), fresh(), set()
    for _ in range(3):
        server.new_user(user)
        server.new_room(user, id=room)
        jobs |= {start(server, "rooms", room), start(server, "users", user)}
    assert len(jobs) == 6
    for job in jobs:
        complete(server, job)
    server.new_user(user)
    assert server.rooms_of(user) == {}


def test_what_does_not_exist(server: Server, alice: str, room: str) -> None:
    server.su().put(path_of("users", fresh()), api=SCHEDULER).fails(404, codes.USER_NOT_FOUND)
    server.su().put(path_of("rooms", fresh()), api=SCHEDULER).fails(404, codes.ROOM_NOT_FOUND)
    for job in (fresh(), "1", "undefined", alice):
        status(server, job).fails(404, codes.JOB_NOT_FOUND)
    start(server, "rooms", room)
    start(server, "users", alice)
    server.su().put(path_of("rooms", room), api=SCHEDULER).fails(404, codes.ROOM_NOT_FOUND)
    server.su().put(path_of("users", alice), api=SCHEDULER).fails(404, codes.USER_NOT_FOUND)


def test_a_body_is_not_looked_at(server: Server, alice: str) -> None:
    job = server.su().call("PUT", path_of("users", alice), b"{", SCHEDULER).read(202)["id"]
    complete(server, job)


def test_user_tokens_may_do_none_of_it(server: Server, alice: str, room: str) -> None:
    job = start(server, "rooms", server.new_room(alice))
    for method, path in (("PUT", f"/users/{alice}"), ("PUT", f"/rooms/{room}"), ("GET", f"/status/{job}")):
        server.user(alice).call(method, path, None, SCHEDULER).fails(401, codes.MISSING_PERMISSION)
        server.nobody.call(method, path, None, SCHEDULER).fails(401, codes.MISSING_TOKEN)
    server.room(room)


def test_jobs_are_gone_after_a_reset(server: Server, alice: str) -> None:
    jobs = [start(server, "rooms", server.new_room(alice)), start(server, "users", alice)]
    server.su().delete("/resources").done()
    for job in jobs:
        status(server, job).fails(404, codes.JOB_NOT_FOUND)


def test_there_is_one_version(server: Server, alice: str) -> None:
    server.su().put(path_of("users", alice), api="chatkit_scheduler/v2").fails(404, codes.ROUTE_NOT_FOUND)
    server.su().delete(path_of("users", alice), api=SCHEDULER).fails(405, codes.METHOD_NOT_ALLOWED)
