"""Unread counts and the time of the last message (spec §4.1, §4.9)."""

import pytest

from tests.wire.client import V2, Server, pass_a_second


@pytest.fixture
def shared(server: Server, alice: str, bob: str) -> str:
    """Create a room with both users in it."""
    return server.new_room(alice, bob)


def unread(server: Server, user: str, room: str) -> int:
    count = server.rooms_of(user)[room]["unread_count"]
    assert type(count) is int
    return count


def test_a_new_room_has_nothing_unread(server: Server, alice: str, shared: str) -> None:
    found = server.rooms_of(alice)[shared]
    assert found["unread_count"] == 0
    assert "last_message_at" not in found


def test_without_a_cursor_every_message_is_unread_also_ones_own(
    server: Server, alice: str, bob: str, shared: str
) -> None:
    server.send(shared, alice)
    server.send_text(shared, alice, "hello")
    assert unread(server, alice, shared) == unread(server, bob, shared) == 2


def test_the_count_and_the_time_follow_the_messages(server: Server, alice: str, bob: str, shared: str) -> None:
    times = []
    for count in (2, 4):
        newest = [server.send(shared, bob) for _ in range(2)][-1]
        found = server.rooms_of(alice)[shared]
        assert found["unread_count"] == count
        assert found["last_message_at"] == server.message(shared, newest)["created_at"]
        times.append(found["last_message_at"])
        if len(times) == 1:
            pass_a_second()
    assert times[0] < times[1]


def test_a_cursor_lowers_only_the_count_of_its_user(server: Server, alice: str, bob: str, shared: str) -> None:
    first = server.send(shared, alice)
    assert unread(server, alice, shared) == 1
    server.set_cursor(shared, alice, first)
    assert unread(server, alice, shared) == 0
    server.send(shared, bob)
    assert (unread(server, alice, shared), unread(server, bob, shared)) == (1, 2)


def test_a_cursor_leaves_the_time_of_the_last_message(server: Server, alice: str, shared: str) -> None:
    message = server.send(shared, alice)
    server.set_cursor(shared, alice, message)
    found = server.rooms_of(alice)[shared]
    assert found["last_message_at"] == server.message(shared, message)["created_at"]


@pytest.mark.parametrize(("position", "count"), [(0, 3), (4321, 3), (2**31, 0), (2**53 - 1, 0)])
def test_a_cursor_need_not_be_at_a_message(server: Server, alice: str, shared: str, position: int, count: int) -> None:
    for _ in range(3):
        server.send(shared, alice)
    server.set_cursor(shared, alice, position)
    assert unread(server, alice, shared) == count


def test_a_cursor_may_go_back(server: Server, alice: str, shared: str) -> None:
    first, _, third = (server.send(shared, alice) for _ in range(3))
    server.set_cursor(shared, alice, third)
    server.set_cursor(shared, alice, first)
    assert unread(server, alice, shared) == 2


def test_a_message_in_another_room_does_not_count(server: Server, alice: str, shared: str) -> None:
    other = server.new_room(alice)
    server.set_cursor(shared, alice, server.send(shared, alice))
    server.send(other, alice)
    assert (unread(server, alice, shared), unread(server, alice, other)) == (0, 1)


def test_deleting_a_message_lowers_the_count(server: Server, alice: str, shared: str) -> None:
    first, second, third = (server.send(shared, alice) for _ in range(3))
    server.set_cursor(shared, alice, first)
    server.su().delete(f"/rooms/{shared}/messages/{third}").done()
    assert unread(server, alice, shared) == 1
    server.su().delete(f"/messages/{second}", api=V2).done()
    assert unread(server, alice, shared) == 0


def test_deleting_a_read_message_leaves_the_count(server: Server, alice: str, shared: str) -> None:
    first, second, _ = (server.send(shared, alice) for _ in range(3))
    server.set_cursor(shared, alice, second)
    server.su().delete(f"/rooms/{shared}/messages/{first}").done()
    assert unread(server, alice, shared) == 1


def test_without_live_messages_there_is_no_last_one(server: Server, alice: str, shared: str) -> None:
    message = server.send(shared, alice)
    server.su().delete(f"/rooms/{shared}/messages/{message}").done()
    found = server.rooms_of(alice)[shared]
    assert found["unread_count"] == 0
    assert "last_message_at" not in found


def test_an_edit_does_not_make_a_message_unread(server: Server, alice: str, shared: str) -> None:
    message = server.send(shared, alice)
    server.set_cursor(shared, alice, message)
    body = {"parts": [{"type": "text/plain", "content": "new"}]}
    server.su(alice).put(f"/rooms/{shared}/messages/{message}", body).done()
    assert unread(server, alice, shared) == 0
