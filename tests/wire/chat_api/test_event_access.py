"""Who gets an event stream, and when it ends (spec §7; faults 3, 6, 9, 21)."""

from __future__ import annotations

import time

import pytest

from tests.wire.chat_api.client import UNAUTHORIZED, Api, Person, done, log_in, person, refused
from tests.wire.chat_api.stream import EventStream
from tests.wire.client import Server


def ticket(someone: Api) -> str:
    """A fresh ticket."""
    before = int(time.time() * 1000)
    answer = someone.post("events/ticket").read()
    assert set(answer) == {"ok", "ticket", "expires_at"}
    assert answer["ok"] is True
    assert type(answer["expires_at"]) is int
    assert before < answer["expires_at"] <= int(time.time() * 1000) + 31_000
    assert len(answer["ticket"]) > 100
    return str(answer["ticket"])


def test_strangers_see_nothing(anna: Person, eve: Person, direct: str) -> None:
    with EventStream(eve) as stream:
        anna.say(direct)
        cid = eve.open(anna.id)["id"]
        assert stream.next().data["conversation_id"] == cid


def test_former_members_see_nothing(anna: Person, ben: Person, carl: Person, eve: Person) -> None:
    cid = anna.open(ben.id, carl.id, eve.id)["id"]
    with EventStream(eve) as stream:
        first = anna.say(cid)
        done(eve.post("conversations.leave", cid=cid))
        message = anna.say(cid, "secret")
        anna.post("chat.update", {"content": {"text": "very secret"}}, mid=message["id"]).read()
        anna.post("chat.unsend", mid=first["id"]).read()
        last = eve.open(person(anna.server).id)["id"]
        events = stream.until(lambda event: event.data["conversation_id"] == last)
    assert [event.name for event in events] == ["message.new", "conversation.deleted", "conversation.new"]


@pytest.mark.parametrize("token", [None, "nonsense", "e30.e30.e30"])
def test_a_token_is_needed(server: Server, token: str | None) -> None:
    with EventStream(Api(server, token)) as stream:
        assert refused(stream.reply) == UNAUTHORIZED
    assert refused(Api(server, token).post("events/ticket")) == UNAUTHORIZED


def test_a_cookie_is_not_enough(server: Server, anna: Person) -> None:
    """Any page could have a browser send it."""
    cookie = {"Cookie": f"access_token={anna.access_token}"}
    for headers in (cookie, {**cookie, "Origin": "https://evil.example"}):
        with EventStream(Api(server), headers=headers) as stream:
            assert refused(stream.reply) == UNAUTHORIZED
        assert refused(Api(server).call("POST", "events/ticket", headers=headers)) == UNAUTHORIZED


def test_other_methods_are_refused(anna: Person) -> None:
    assert anna.call("HEAD", "events/conversations").status == 405
    assert refused(anna.post("events/conversations")) == (405, "method_not_allowed")


def test_a_ticket_counts_once(anna: Person, ben: Person, nobody: Api, direct: str) -> None:
    query = {"ticket": ticket(ben)}
    with EventStream(nobody, query=query) as stream:
        message = anna.say(direct)
        assert stream.next().message_id == message["id"]
        with EventStream(nobody, query=query) as again:
            assert refused(again.reply) == UNAUTHORIZED
    with EventStream(nobody, query=query) as again:
        assert refused(again.reply) == UNAUTHORIZED
    with EventStream(nobody, query={"ticket": ticket(ben), "last_event_id": stream.last_id}) as resumed:
        assert resumed.response.status == 200


def test_no_other_ticket_counts(ben: Person, nobody: Api) -> None:
    good = ticket(ben)
    assert good != ticket(ben)
    for bad in ("", "nonsense", "\N{SNOWMAN}", good[:-4], good[:-20] + "A" * 20, ben.access_token):
        with EventStream(nobody, query={"ticket": bad}) as stream:
            assert refused(stream.reply) == UNAUTHORIZED
    # It stands for a token here, and nowhere else.
    assert refused(nobody.get("conversations.list", ticket=good)) == UNAUTHORIZED
    assert refused(Api(nobody.server, good).get("conversations.list")) == UNAUTHORIZED


def test_a_session_that_ends_ends_its_streams(anna: Person, nobody: Api) -> None:
    session = log_in(anna.server, anna.email)
    left = ticket(session)
    with EventStream(anna) as other, EventStream(session) as first:
        with EventStream(nobody, query={"ticket": ticket(session)}) as second:
            done(session.post("auth/logout"))
            assert first.ended() == []
            assert second.ended() == []
        with EventStream(session) as late:
            assert refused(late.reply) == UNAUTHORIZED
        with EventStream(nobody, query={"ticket": left}) as late:
            assert refused(late.reply) == UNAUTHORIZED
        cid = anna.open(person(anna.server).id)["id"]
        assert other.next().data["conversation_id"] == cid


@pytest.mark.thorough
def test_a_token_that_expires_ends_its_streams(server: Server, nobody: Api, anna: Person) -> None:
    soon = Api(server, server.user_token(anna.id, exp=int(time.time()) + 3))
    with EventStream(soon) as first, EventStream(nobody, query={"ticket": ticket(soon)}) as second:
        assert first.ended() == []
        assert second.ended() == []


def test_server_tokens_see_what_their_user_sees(server: Server, anna: Person, ben: Person, direct: str) -> None:
    with EventStream(Api(server, server.server_token(ben.id))) as stream:
        message = anna.say(direct)
        assert stream.next().message_id == message["id"]
    for token in (server.server_token(), server.server_token("nobody"), server.user_token("nobody")):
        with EventStream(Api(server, token)) as stream:
            assert refused(stream.reply) == (403, "operation_not_allowed")
