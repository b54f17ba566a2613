"""The subscription to a room's messages (spec §10.9, §10.4)."""

import pytest

from tests.wire import codes
from tests.wire.client import V2, V6, Server, fresh, inline, link, pass_a_second, path_of
from tests.wire.files import attach
from tests.wire.live.client import Subscriber, Subscription

V3 = "chatkit/v3"
V7 = "chatkit/v7"


def room_path(room: str, query: str = "") -> str:
    return path_of("rooms", room) + query


def ids_of(subscription: Subscription, count: int) -> list[int]:
    """The ids of the next messages; their event ids are the same numbers as text."""
    events = [subscription.event("new_message") for _ in range(count)]
    assert [event.id for event in events] == [str(event.data["id"]) for event in events]
    return [event.data["id"] for event in events]


def type_in(server: Server, room: str, user: str) -> None:
    server.user(user).post(path_of("rooms", room, "typing_indicators")).done()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 20),
        ("?message_limit=", 20),
        ("?message_limit=2", 2),
        ("?message_limit=0", 0),
        ("?message_limit=101", 22),
        ("?message_limit=many", 20),
        ("?message_limit=-1", 20),
    ],
)
def test_the_newest_messages_come_first_oldest_first(
    server: Server, websocket: Subscriber, alice: str, room: str, query: str, count: int
) -> None:
    sent = [server.send(room, alice) for _ in range(22)]
    with websocket.user(room_path(room, query), alice) as subscription:
        assert ids_of(subscription, count) == sent[len(sent) - count :]
        later = server.send(room, alice)
        assert ids_of(subscription, 1) == [later]


def test_at_most_a_hundred_messages_come_first(server: Server, websocket: Subscriber, alice: str, room: str) -> None:
    sent = [server.send(room, alice) for _ in range(102)]
    with websocket.user(room_path(room, "?message_limit=1000"), alice) as subscription:
        assert ids_of(subscription, 100) == sent[2:]
        later = server.send(room, alice)
        assert ids_of(subscription, 1) == [later]
    with websocket.user(room_path(room), alice, headers={"Last-Event-Id": str(sent[0])}) as subscription:
        assert ids_of(subscription, 100) == [*sent[3:], later]


def test_messages_have_the_shape_of_the_version(server: Server, live: Subscriber, alice: str, room: str) -> None:
    parts = [inline("look"), link("https://pictures.example/pics/dog", "image/png")]
    first = server.send(room, alice, *parts)
    subscriptions = {api: live.user(room_path(room), alice, api=api) for api in ("chatkit/v1", V2, V3, V6, V7)}
    second = server.send(room, alice, *parts)
    third = server.send_text(room, alice, "hello")
    for api, subscription in subscriptions.items():
        with subscription:
            for message in (first, second, third):
                event = subscription.event("new_message")
                known = server.message(room, message, api)
                assert event.data == known
                assert event.timestamp == known["created_at"]
                assert ("text" in event.data) == (api in {"chatkit/v1", V2})


@pytest.mark.parametrize("api", [V2, V3, V6, V7])
def test_only_parts_subscriptions_hear_of_deletions(
    server: Server, live: Subscriber, alice: str, room: str, api: str
) -> None:
    with live.user(room_path(room, "?message_limit=0"), alice, api=api) as subscription:
        kept, deleted = server.send(room, alice), server.send(room, alice)
        assert ids_of(subscription, 2) == [kept, deleted]
        server.su().delete(path_of("rooms", room, "messages", str(deleted))).done()
        if api != V2:
            event = subscription.event("message_deleted")
            assert event.data == {"message_id": deleted}
            assert event.id == str(deleted)
        later = server.send(room, alice)
        assert ids_of(subscription, 1) == [later]


def test_an_edit_is_no_event(server: Server, live: Subscriber, alice: str, room: str) -> None:
    message = server.send(room, alice)
    with live.user(room_path(room, "?message_limit=0"), alice) as subscription:
        body = {"parts": [inline("changed")]}
        server.su(alice).put(path_of("rooms", room, "messages", str(message)), body).done()
        later = server.send(room, alice)
        assert ids_of(subscription, 1) == [later]


@pytest.mark.parametrize("api", [V2, V6, V7])
def test_typing_reaches_everybody_in_the_room(
    server: Server, live: Subscriber, alice: str, bob: str, room: str, api: str
) -> None:
    server.user(bob).post(path_of("users", bob, "rooms", room, "join")).read(201)
    with live.user(room_path(room), alice, api=api) as other, live.user(room_path(room), bob, api=api) as own:
        type_in(server, room, bob)
        for subscription in (other, own):
            event = subscription.event("is_typing")
            assert (event.id, event.data) == ("0", {"user_id": bob})
        message = server.send(room, alice)
        assert ids_of(other, 1) == [message]
        type_in(server, room, bob)
        assert other.event("is_typing").id == str(message)


def test_typing_is_told_even_if_the_typist_leaves_at_once(
    server: Server, live: Subscriber, alice: str, bob: str
) -> None:
    room = server.new_room(alice, bob)
    with live.user(room_path(room), alice) as other:
        with live.user(room_path(room), bob):
            type_in(server, room, bob)
        assert other.data("is_typing") == {"user_id": bob}


@pytest.mark.parametrize("api", [V2, V6, V7])
def test_ones_own_messages_of_all_kinds_come_in_order(
    server: Server, live: Subscriber, alice: str, room: str, api: str
) -> None:
    uploaded = attach(server, room, alice)
    with live.user(room_path(room), alice, api=api) as subscription:
        sent = [
            server.send(room, alice, inline("one")),
            server.send_text(room, alice, "two"),
            server.send(room, alice, inline("three"), link()),
            server.send(room, alice, inline("four"), uploaded.part),
            server.send_text(room, alice, "five", resource_link="https://pictures.example/dog", type="image"),
            server.send(room, alice, inline("six"), inline("seven")),
        ]
        assert ids_of(subscription, len(sent)) == sent


def test_only_members_type(server: Server, bob: str, room: str) -> None:
    server.user(bob).post(path_of("rooms", room, "typing_indicators")).fails(403, codes.NOT_A_MEMBER)


def test_resuming_goes_on_after_the_last_event(server: Server, live: Subscriber, alice: str, room: str) -> None:
    sent = [server.send(room, alice) for _ in range(4)]
    last = {"Last-Event-Id": str(sent[1])}
    with live.user(room_path(room, "?message_limit=1"), alice, headers=last) as subscription:
        assert ids_of(subscription, 2) == sent[2:]
        sent.append(server.send(room, alice))
        assert ids_of(subscription, 1) == sent[-1:]


def test_resuming_with_nothing_missed_sends_nothing(server: Server, live: Subscriber, alice: str, room: str) -> None:
    sent = [server.send(room, alice) for _ in range(2)]
    server.su().delete(path_of("rooms", room, "messages", str(sent[1]))).done()
    with live.user(room_path(room), alice, headers={"last-event-id": str(sent[1])}) as subscription:
        later = server.send(room, alice)
        assert ids_of(subscription, 1) == [later]


def test_resuming_from_zero_sends_all(server: Server, live: Subscriber, alice: str, room: str) -> None:
    sent = [server.send(room, alice) for _ in range(2)]
    with live.user(room_path(room, "?message_limit=0"), alice, headers={"Last-Event-ID": "0"}) as subscription:
        assert ids_of(subscription, 2) == sent


@pytest.mark.parametrize("last", ["nonsense", "-4", "2000000000", "1e3"])
def test_an_unknown_last_event_counts_as_none(
    server: Server, live: Subscriber, alice: str, room: str, last: str
) -> None:
    sent = [server.send(room, alice) for _ in range(3)]
    with live.user(room_path(room, "?message_limit=2"), alice, headers={"Last-Event-Id": last}) as subscription:
        assert ids_of(subscription, 2) == sent[1:]


def test_deleted_messages_are_not_sent_first(server: Server, live: Subscriber, alice: str, room: str) -> None:
    sent = [server.send(room, alice) for _ in range(3)]
    server.su().delete(path_of("rooms", room, "messages", str(sent[1]))).done()
    with live.user(room_path(room), alice) as subscription:
        assert ids_of(subscription, 2) == [sent[0], sent[2]]


def test_a_stranger_reads_public_rooms_only(
    server: Server, live: Subscriber, alice: str, bob: str, room: str, private_room: str
) -> None:
    message = server.send(room, alice)
    with live.user(room_path(room), bob) as subscription:
        assert ids_of(subscription, 1) == [message]
    token = server.user_token(bob)
    with live.subscribe(room_path(private_room), token) as subscription:
        subscription.refuses(403, codes.NOT_A_MEMBER)
    with live.subscribe(room_path(fresh()), token) as subscription:
        subscription.refuses(404, codes.ROOM_NOT_FOUND)


def test_a_room_that_becomes_private_ends_for_strangers_only(
    server: Server, live: Subscriber, alice: str, bob: str, room: str
) -> None:
    with live.user(room_path(room), bob) as stranger, live.user(room_path(room), alice) as member:
        server.su().put(path_of("rooms", room), {"private": True}).done()
        message = server.send(room, alice)
        stranger.ends(403, codes.NOT_A_MEMBER)
        assert ids_of(member, 1) == [message]


def test_servers_may_subscribe(server: Server, live: Subscriber, alice: str, private_room: str) -> None:
    message = server.send(private_room, alice)
    with live.subscribe(room_path(private_room), server.server_token()) as subscription:
        assert ids_of(subscription.opened(), 1) == [message]


def test_a_text_reader_gets_the_fixed_string(server: Server, live: Subscriber, alice: str, room: str) -> None:
    with live.user(room_path(room), alice, api=V2) as subscription:
        server.send(room, alice, inline("one"), inline("two"))
        text = subscription.data("new_message")["text"]
    assert text.startswith("You have received a message which can't be represented")


def test_timestamps_are_those_of_the_messages(server: Server, websocket: Subscriber, alice: str, room: str) -> None:
    message = server.send(room, alice)
    pass_a_second()
    with websocket.user(room_path(room), alice) as subscription:
        event = subscription.event("new_message")
        assert event.timestamp == server.message(room, message)["created_at"]
