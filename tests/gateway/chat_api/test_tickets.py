"""Tickets for event streams (spec §7)."""

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.chat_api.tickets import TICKET_SECONDS, Tickets
from services.common.errors import RoomlineError

SECRET = "a secret of some length"
BEARER = "Bearer a.b.c"


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1_000_000.9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(clock: Clock) -> Tickets:
    return Tickets(SECRET, clock)


def refused(tickets: Tickets, text: str) -> None:
    with pytest.raises(RoomlineError) as error:
        tickets.redeem(text)
    assert error.value.reason == ErrorReason.ERROR_REASON_TOKEN_INVALID


def test_a_ticket_stands_for_its_token_once(tickets: Tickets) -> None:
    first, second = tickets.issue(BEARER), tickets.issue("Bearer d")
    assert first.expires_at == 1_000_030_000
    assert tickets.redeem(second.text) == "Bearer d"
    assert tickets.redeem(first.text) == BEARER
    refused(tickets, first.text)
    refused(tickets, second.text)


def test_the_same_ticket_in_other_words_is_used_too(tickets: Tickets) -> None:
    text = tickets.issue(BEARER).text
    tickets.redeem(text)
    last = text[-1]
    for other in (
        text + "=",
        text + "==",
        text[:10] + "\n" + text[10:],
        *(text[:-1] + one for one in "ABEIMQUYcgkosw048"),
    ):
        if other[-1] != last or len(other) != len(text):
            refused(tickets, other)


def test_a_ticket_ends_by_itself(tickets: Tickets, clock: Clock) -> None:
    kept, late = tickets.issue(BEARER), tickets.issue(BEARER)
    clock.now += TICKET_SECONDS
    assert tickets.redeem(kept.text) == BEARER
    clock.now += 1
    refused(tickets, late.text)


def test_used_tickets_are_remembered_as_long_as_they_count(tickets: Tickets, clock: Clock) -> None:
    ahead = Clock()
    ahead.now += 60
    text = Tickets(SECRET, ahead).issue(BEARER).text
    assert tickets.redeem(text) == BEARER
    for _ in range(100):
        clock.now += 1
        tickets.redeem(tickets.issue(BEARER).text)
        refused(tickets, text)


def test_nothing_else_is_a_ticket(tickets: Tickets) -> None:
    text = tickets.issue(BEARER).text
    for bad in ("", "x", "\0", "\N{SNOWMAN}", text[:-5], text + text, "A" + text[1:], text[:50] + "AAAA" + text[54:]):
        refused(tickets, bad)
    assert BEARER not in text


def test_every_gateway_with_the_secret_takes_it(tickets: Tickets, clock: Clock) -> None:
    text = tickets.issue(BEARER).text
    refused(Tickets("another secret", clock), text)
    refused(Tickets("", clock), text)
    assert Tickets(SECRET, clock).redeem(text) == BEARER


def test_without_a_secret_each_process_has_its_own(clock: Clock) -> None:
    alone = Tickets("", clock)
    text = alone.issue(BEARER).text
    refused(Tickets("", clock), text)
    assert alone.redeem(text) == BEARER
