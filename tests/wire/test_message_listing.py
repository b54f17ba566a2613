"""The messages of a room, page by page (spec §5.4, M2)."""

from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import V2, V6, Server, fresh, path_of

COUNT = 101


@pytest.fixture(scope="module")
def long_room(server: Server) -> str:
    """Create a room of more messages than the largest page holds."""
    return server.new_room(server.new_user())


@pytest.fixture(scope="module")
def sent(server: Server, long_room: str) -> list[int]:
    """Send the messages of the long room, oldest first."""
    sender = server.room(long_room)["created_by_id"]
    return [server.send(long_room, sender) for _ in range(COUNT)]


def listed(server: Server, room: str, query: str = "", api: str = V6) -> list[int]:
    messages: list[Any] = server.su().get(f"/rooms/{room}/messages{query}", api=api).read()
    return [message["id"] for message in messages]


@pytest.mark.parametrize("query", ["", "?direction=older", "?direction=", "?initial_id="])
def test_the_newest_come_first(server: Server, long_room: str, sent: list[int], query: str) -> None:
    assert listed(server, long_room, query) == sent[:-21:-1]


def test_newer_starts_at_the_oldest(server: Server, long_room: str, sent: list[int]) -> None:
    assert listed(server, long_room, "?direction=newer") == sent[:20]


@pytest.mark.parametrize(("limit", "count"), [("2", 2), ("100", 100), ("1000", 100), ("0", 20), ("", 20)])
def test_limit_has_a_default_and_a_maximum(
    server: Server, long_room: str, sent: list[int], limit: str, count: int
) -> None:
    assert listed(server, long_room, f"?limit={limit}") == sent[: -count - 1 : -1]


def test_initial_id_is_exclusive_going_back(server: Server, long_room: str, sent: list[int]) -> None:
    first = listed(server, long_room, "?limit=2")
    second = listed(server, long_room, f"?limit=2&initial_id={first[-1]}")
    assert first + second == sent[:-5:-1]


def test_initial_id_is_exclusive_going_forward(server: Server, long_room: str, sent: list[int]) -> None:
    assert listed(server, long_room, f"?direction=newer&limit=2&initial_id={sent[1]}") == sent[2:4]


def test_initial_id_need_not_be_a_message(server: Server, long_room: str, sent: list[int]) -> None:
    assert listed(server, long_room, "?initial_id=5") == []
    assert listed(server, long_room, "?initial_id=5&direction=newer&limit=1") == sent[:1]
    assert listed(server, long_room, f"?initial_id={2**31 - 1}&limit=1") == sent[-1:]


def test_paging_back_reaches_every_message_once(server: Server, long_room: str, sent: list[int]) -> None:
    seen = listed(server, long_room, "?limit=40")
    while page := listed(server, long_room, f"?limit=40&initial_id={seen[-1]}"):
        seen += page
    assert seen == sent[::-1]


def test_both_dialects_list_the_same_messages(server: Server, long_room: str, sent: list[int]) -> None:
    query = f"?limit=3&initial_id={sent[50]}"
    assert listed(server, long_room, query, V2) == listed(server, long_room, query) == sent[49:46:-1]


@pytest.mark.parametrize(
    "query",
    [
        "direction=sideways",
        "direction=NEWER",
        "limit=many",
        "limit=-1",
        "limit=1.5",
        "initial_id=first",
        "initial_id=1.5",
    ],
)
@pytest.mark.parametrize("api", [V2, V6])
def test_a_bad_parameter_is_refused(server: Server, room: str, query: str, api: str) -> None:
    reply = server.su().get(f"/rooms/{room}/messages?{query}", api=api)
    reply.fails(422, codes.VALIDATION_FAILED)


def test_deleted_messages_do_not_appear_and_do_not_shorten_a_page(server: Server, alice: str, room: str) -> None:
    messages = [server.send(room, alice) for _ in range(5)]
    for message in messages[1:4]:
        server.su().delete(f"/rooms/{room}/messages/{message}").done()
    assert listed(server, room, "?limit=2") == [messages[4], messages[0]]
    assert listed(server, room, f"?limit=2&initial_id={messages[2]}") == [messages[0]]


def test_a_room_without_messages_has_an_empty_list(server: Server, room: str) -> None:
    assert listed(server, room) == []


def test_an_unknown_room_is_not_found(server: Server, alice: str) -> None:
    for caller in (server.su(), server.user(alice)):
        caller.get(f"/rooms/{fresh()}/messages").fails(404, codes.ROOM_NOT_FOUND)


def test_a_stranger_reads_a_public_room(server: Server, alice: str, bob: str, room: str) -> None:
    message = server.send(room, alice)
    (found,) = server.user(bob).get(path_of("rooms", room, "messages")).read()
    assert found["id"] == message


@pytest.mark.parametrize("api", [V2, V6])
def test_a_private_room_is_read_by_members_and_superusers_only(
    server: Server, alice: str, bob: str, private_room: str, api: str
) -> None:
    message = server.send(private_room, alice)
    path = f"/rooms/{private_room}/messages"
    for caller in (server.user(alice), server.su(), server.su(bob)):
        assert caller.get(path, api=api).read()[0]["id"] == message
    refused = server.user(bob).get(path, api=api)
    refused.fails(403)
    assert refused.json["error"].startswith(codes.FORBIDDEN)


def test_a_former_member_reads_nothing_of_a_private_room(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob, private=True)
    server.send(room, alice)
    server.user(bob).post(f"/users/{bob}/rooms/{room}/leave").done()
    server.user(bob).get(f"/rooms/{room}/messages").fails(403)
