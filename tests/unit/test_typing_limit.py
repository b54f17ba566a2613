"""How often a user is said to be typing."""

from services.message.typing_limit import MOST_PER_SECOND, TypingLimit
from tests.support.clock import ManualClock


def test_a_user_is_not_said_to_be_typing_all_the_time() -> None:
    clock = ManualClock()
    limit = TypingLimit(clock)
    passed = []
    for _ in range(3 * MOST_PER_SECOND):
        passed.append(limit.passes("one", "bob"))
        clock.advance(0.01)
    assert passed.count(True) == MOST_PER_SECOND
    assert limit.passes("one", "ann")
    assert limit.passes("two", "bob")
    clock.advance(1)
    assert limit.passes("one", "bob")


def test_a_clock_that_is_set_back_stops_nobody() -> None:
    clock = ManualClock()
    limit = TypingLimit(clock)
    while limit.passes("one", "bob"):
        pass
    clock.advance(-3600)
    assert limit.passes("one", "bob")
