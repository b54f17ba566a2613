"""Server-sent events: each kind, and to whom it comes (spec §7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.chat_api.client import NOBODY, Person, done, person
from tests.wire.chat_api.stream import Event, EventStream
from tests.wire.client import Server, path_of


@pytest.fixture
def hers(anna: Person) -> Iterator[EventStream]:
    """Anna's events from now on."""
    with EventStream(anna) as stream:
        yield stream


@pytest.fixture
def his(ben: Person) -> Iterator[EventStream]:
    """Ben's."""
    with EventStream(ben) as stream:
        yield stream


def about(event: Event, name: str, cid: str, **more: object) -> None:
    """Check an event that is about no message."""
    assert event.name == name
    assert event.data == {"conversation_id": cid, "message": None, "ts": event.data["ts"], **more}


def test_a_stream_begins_at_once(anna: Person) -> None:
    with EventStream(anna) as stream:
        headers = stream.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert "no-store" in headers["Cache-Control"]
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in headers


def test_the_life_of_a_message(
    anna: Person, ben: Person, direct: str, hers: EventStream, his: EventStream, picture: bytes
) -> None:
    events, also = [], []

    def told() -> None:
        """Read what both are told. A stream that lags would tell of a message as it has become since."""
        events.append(hers.next())
        also.append(his.next())

    message = anna.show(direct, anna.file(picture), content={"text": "one"})
    told()
    edited = anna.post("chat.update", {"content": {"text": "two"}}, mid=message["id"]).read()
    told()
    removed = anna.say(direct, "removed")
    told()
    done(ben.post("chat.remove", mid=removed["id"]), id=removed["id"])
    hidden = his.next()
    done(anna.post("chat.unsend", mid=message["id"]), id=message["id"])
    told()
    tombstone, removed = anna.replies(direct)[-2:]
    assert [event.name for event in events] == ["message.new", "message.edited", "message.new", "message.unsent"]
    assert [event.data["message"] for event in events] == [message, edited, removed, tombstone]
    for event in events:
        assert set(event.data) == {"conversation_id", "message", "ts"}
        assert event.data["conversation_id"] == direct
    assert events[0].data["ts"] == message["created_at"]
    assert events[3].data["ts"] == tombstone["unsent_at"]
    assert also == events
    assert hidden.name == "message.removed"
    assert hidden.data["message"] == {**removed, "content": None, "attachments": None}


def test_what_is_removed_is_over_for_oneself(anna: Person, ben: Person, direct: str) -> None:
    message = anna.say(direct)
    ben.post("chat.remove", mid=message["id"]).read()
    with EventStream(anna) as hers, EventStream(ben) as his:
        anna.post("chat.unsend", mid=message["id"]).read()
        last = anna.say(direct, "last")
        assert [event.name for event in hers.until(lambda event: event.message_id == last["id"])] == [
            *("message.unsent", "message.new")
        ]
        assert his.next().message_id == last["id"]


def test_conversations_come_and_go(
    server: Server, anna: Person, ben: Person, carl: Person, eve: Person, hers: EventStream, his: EventStream
) -> None:
    before = server.rooms_of(anna.id)
    cid = anna.open(ben.id, carl.id)["id"]
    (room,) = server.rooms_of(anna.id).keys() - before.keys()
    about(hers.next(), "conversation.new", cid)
    about(his.next(), "conversation.new", cid)
    with EventStream(eve) as theirs:
        anna.post("conversations.invite", {"conversation_id": cid, "users": [eve.id]}).read()
        about(hers.next(), "member.joined", cid, users=[eve.id])
        about(his.next(), "member.joined", cid, users=[eve.id])
        about(theirs.next(), "conversation.new", cid)
        done(eve.post("conversations.leave", cid=cid))
        about(hers.next(), "member.left", cid, users=[eve.id])
        about(his.next(), "member.left", cid, users=[eve.id])
        about(theirs.next(), "conversation.deleted", cid)
    message = anna.say(cid)
    assert his.next().message_id == hers.next().message_id == message["id"]
    done(ben.post("conversations.mark", cid=cid, mid=message["id"]))
    about(his.next(), "conversation.updated", cid)
    server.su().put(path_of("rooms", room), {"name": "new"}).done()
    about(hers.next(), "conversation.updated", cid)
    done(anna.post("conversations.delete", cid=cid))
    about(hers.next(), "conversation.deleted", cid)
    about(his.next(), "conversation.updated", cid)
    about(his.next(), "conversation.deleted", cid)


def test_a_direct_conversation_is_deleted_for_oneself_alone(anna: Person, ben: Person, carl: Person) -> None:
    cid = carl.open(ben.id)["id"]
    carl.say(cid)
    with EventStream(carl) as mine, EventStream(ben) as his:
        done(carl.post("conversations.delete", cid=cid))
        message = ben.say(cid)
        about(mine.next(), "conversation.deleted", cid)
        assert mine.next().message_id == his.next().message_id == message["id"]


def test_a_user_who_is_deleted_leaves_every_conversation(server: Server, anna: Person, ben: Person) -> None:
    gone = person(server, "Gone")
    cids = [gone.open(anna.id)["id"], gone.open(anna.id, ben.id)["id"]]
    with EventStream(anna) as hers, EventStream(ben) as his, EventStream(gone) as theirs:
        server.su().delete(path_of("users", gone.id)).done()
        events = [hers.next(), hers.next()]
        assert {event.data["conversation_id"] for event in events} == set(cids)
        for event in events:
            about(event, "member.left", event.data["conversation_id"], users=[NOBODY])
        about(his.next(), "member.left", cids[1], users=[NOBODY])
        assert theirs.ended() == []
