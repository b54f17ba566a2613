"""Event streams that are lost and resumed: nothing is missed, nothing comes twice (spec §7, fault 25)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from tests.wire.chat_api.client import Api, Person
from tests.wire.chat_api.stream import Event, EventStream
from tests.wire.client import Server
from tests.wire.conftest import Target

pytestmark = pytest.mark.thorough


MESSAGES = 300


def test_a_lost_stream_goes_on_where_it_was(anna: Person, ben: Person, direct: str) -> None:
    with EventStream(ben) as stream:
        seen = stream.last_id
        first = anna.say(direct, "first")
        assert stream.next().message_id == first["id"]
    missed = [anna.say(direct, "missed")["id"] for _ in range(3)]
    with EventStream(ben, stream.last_id) as stream:
        assert [stream.next().message_id for _ in missed] == missed
        last = anna.say(direct, "last")
        assert stream.next().message_id == last["id"]
    with EventStream(ben, seen) as stream:
        events = [stream.next().message_id for _ in range(5)]
        assert events == [first["id"], *missed, last["id"]]
    with EventStream(ben, query={"last_event_id": seen}) as stream:
        assert stream.next().message_id == first["id"]


def test_nothing_is_lost_or_repeated_whenever_the_connection_is_cut(target: Target, anna: Person, ben: Person) -> None:
    cid = anna.open(ben.id)["id"]
    stream = EventStream(ben)
    sent: list[str] = []

    def send(server: Server) -> None:
        with server:
            author = Api(server, anna.access_token)
            sent.extend(author.say(cid, str(number))["id"] for number in range(MESSAGES))

    sending = threading.Thread(target=send, args=(target.connect(target.url),))
    sending.start()
    chance = random.Random(25)  # noqa: S311 - where it is cut is no secret
    received: list[Event] = []
    try:
        while len(received) < MESSAGES:
            taken = min(chance.randrange(1, 25), MESSAGES - len(received))
            received += [stream.next() for _ in range(taken)]
            stream.close()
            stream = EventStream(ben, stream.last_id)
    finally:
        sending.join()
        stream.close()
    assert [event.message_id for event in received] == sent
    positions = [int(event.id.partition(":")[2]) for event in received]
    assert positions == sorted(set(positions))


def test_what_cannot_be_resumed_begins_anew(anna: Person, ben: Person, direct: str) -> None:
    with EventStream(ben) as stream:
        place = stream.last_id
    epoch, _, position = place.partition(":")
    elsewhere = ("0" * 32, "f" * 32)
    for last_id in (
        *(f"{one}:{position}" for one in elsewhere),
        *(f"{epoch}:{int(position) + 10**6}", f"{epoch}:{10**17}", f"{epoch}:{10**30}", f"{epoch}:-1"),
        *(f":{position}", position, "nonsense", "-:0"),
    ):
        with EventStream(ben, last_id) as stream:
            event = stream.next()
            assert event.name == "resync", last_id
            assert event.data == {"conversation_id": None, "message": None, "ts": event.data["ts"]}
            assert event.id.startswith(epoch)
            message = anna.say(direct)
            assert stream.next().message_id == message["id"]


def test_messages_come_as_they_are_now(anna: Person, ben: Person, direct: str) -> None:
    with EventStream(ben) as stream:
        place = stream.last_id
    unsent, removed, edited, kept = [anna.say(direct, word) for word in ("unsent", "removed", "edited", "kept")]
    expired = anna.say(direct, "expired", expires_in=1)
    anna.post("chat.unsend", mid=unsent["id"]).read()
    ben.post("chat.remove", mid=removed["id"]).read()
    edited = anna.post("chat.update", {"content": {"text": "new"}}, mid=edited["id"]).read()
    until(lambda: all(one["id"] != expired["id"] for one in ben.replies(direct)))
    last = anna.say(direct, "last")
    with EventStream(ben, place) as stream:
        events = stream.until(lambda event: event.message_id == last["id"])
    texts = [(event.name, event.data["message"]["content"]) for event in events]
    assert texts == [
        *(("message.new", None), ("message.new", {"text": "new"}), ("message.new", {"text": "kept"})),
        *(("message.unsent", None), ("message.removed", None), ("message.edited", {"text": "new"})),
        ("message.new", {"text": "last"}),
    ]
    assert [event.message_id for event in events[:3]] == [unsent["id"], edited["id"], kept["id"]]
    assert type(events[0].data["message"]["unsent_at"]) is int


def test_only_what_one_may_still_see_is_told_again(anna: Person, ben: Person, carl: Person, eve: Person) -> None:
    cid = anna.open(ben.id, carl.id)["id"]
    anna.post("conversations.invite", {"conversation_id": cid, "users": [eve.id]}).read()
    with EventStream(eve) as stream:
        place = stream.last_id
    anna.say(cid, "secret")
    eve.post("conversations.leave", cid=cid).read()
    anna.say(cid, "later")
    with EventStream(eve, place) as stream:
        event = stream.next()
        assert (event.name, event.data["conversation_id"]) == ("conversation.deleted", cid)
        again = eve.open(anna.id)["id"]
        assert stream.next().data["conversation_id"] == again


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so."""
    for _ in range(1000):
        if condition():
            return
    raise AssertionError("never")
