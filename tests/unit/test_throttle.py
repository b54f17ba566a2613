"""How often somebody may try to log in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.user import throttle
from services.user.throttle import (
    ACCOUNT,
    ACCOUNT_AND_ADDRESS,
    ADDRESS,
    REGISTRATIONS,
    WINDOW_SECONDS,
    Throttle,
    Window,
    address_of_peer,
    counted_address,
)
from tests.support.refusals import refuses


class Tries:
    """A throttle whose clock tests move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.throttle = Throttle(lambda: self.now)

    def fail(self, account: str = "a", address: str = "1", reason: str = "PASSWORD_INVALID") -> None:
        """A try that fails."""
        with refuses(reason), self.throttle.attempt(account, address):
            raise RoomlineError(ErrorReason.Value(f"ERROR_REASON_{reason}"))

    def succeed(self, account: str = "a", address: str = "1") -> None:
        """A try that succeeds."""
        with self.throttle.attempt(account, address):
            pass

    def is_limited(self, account: str = "a", address: str = "1") -> bool:
        """Whether a try is refused. Leaves nothing behind."""
        try:
            with self.throttle.attempt(account, address):
                raise KeyError
        except RoomlineError:
            return True
        except KeyError:
            return False


@pytest.fixture
def tries() -> Tries:
    return Tries()


@pytest.mark.parametrize("reason", ["PASSWORD_INVALID", "ACCOUNT_NOT_FOUND"])
def test_an_account_has_five_tries_from_an_address(tries: Tries, reason: str) -> None:
    for _ in range(ACCOUNT_AND_ADDRESS):
        assert not tries.is_limited()
        tries.fail(reason=reason)
        tries.now += 60
    assert tries.is_limited()
    assert not tries.is_limited("b")
    assert not tries.is_limited("a", "2")
    tries.now += WINDOW_SECONDS - 60 * ACCOUNT_AND_ADDRESS - 0.5
    with refuses("RATE_LIMITED", retry_after="1"):
        tries.succeed()
    tries.now += 0.5
    tries.succeed()


def test_tries_at_once_are_no_way_around(tries: Tries) -> None:
    attempts = [tries.throttle.attempt("a", "1") for _ in range(ACCOUNT_AND_ADDRESS)]
    for attempt in attempts:
        attempt.__enter__()
    assert tries.is_limited()
    error = RoomlineError(ErrorReason.ERROR_REASON_PASSWORD_INVALID)
    for attempt in attempts:
        attempt.__exit__(RoomlineError, error, None)
    assert tries.is_limited()


def test_success_forgets_the_accounts_failures_here(tries: Tries) -> None:
    for _ in range(3 * ACCOUNT_AND_ADDRESS):
        for _ in range(ACCOUNT_AND_ADDRESS - 1):
            tries.fail()
        tries.succeed()


@pytest.mark.parametrize("reason", ["OVERLOADED", "STORAGE_FULL", "INTERNAL"])
def test_what_is_not_judged_does_not_count(tries: Tries, reason: str) -> None:
    for _ in range(ADDRESS + 1):
        tries.fail(reason=reason)
    assert not tries.is_limited()


def test_a_try_that_nobody_waits_for_counts(tries: Tries) -> None:
    for _ in range(ACCOUNT_AND_ADDRESS):
        with pytest.raises(GeneratorExit), tries.throttle.attempt("a", "1"):
            raise GeneratorExit
    assert tries.is_limited()


def test_guesses_from_many_addresses_are_stopped(tries: Tries) -> None:
    tries.succeed("a", "home")
    for number in range(ACCOUNT):
        tries.fail("a", str(number))
    assert tries.is_limited("a", "elsewhere")
    assert not tries.is_limited("b", "elsewhere")
    tries.succeed("a", "home")  # whoever logged in from there is not shut out by others
    for _ in range(ACCOUNT_AND_ADDRESS):
        tries.fail("a", "home")
    assert tries.is_limited("a", "home")


def test_guesses_at_many_accounts_are_stopped(tries: Tries) -> None:
    for number in range(ADDRESS):
        tries.fail(str(number))
    assert tries.is_limited("z")
    assert not tries.is_limited("z", "2")
    tries.now += WINDOW_SECONDS
    assert not tries.is_limited("z")


def test_an_unknown_address_is_not_counted_by_itself(tries: Tries) -> None:
    for number in range(ADDRESS + 1):
        tries.fail(str(number), "")
    assert not tries.is_limited("z", "")
    for _ in range(ACCOUNT_AND_ADDRESS):
        tries.fail("z", "")
    assert tries.is_limited("z", "")


def test_registrations_are_counted_by_address(tries: Tries) -> None:
    for _ in range(REGISTRATIONS):
        tries.throttle.registration("1")
        tries.throttle.registration("")
    with refuses("RATE_LIMITED", retry_after="900"):
        tries.throttle.registration("1")
    tries.throttle.registration("2")
    tries.throttle.registration("")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST_KEYS", 3)
    window = Window(1, lambda: 0.0)
    for key in ("a", "b", "c", "a", "d"):
        window.add(key)
    assert [bool(window.seconds_left(key)) for key in "abcd"] == [True, False, True, True]
    tries = Tries()
    for number in range(10):
        tries.succeed(str(number))
    assert len(tries.throttle._at_home) == 3


def test_who_is_silent_for_the_whole_window_is_forgotten(tries: Tries) -> None:
    for address, seconds in (("1", WINDOW_SECONDS - 1), ("2", 1), ("3", 0)):
        tries.throttle.registration(address)
        tries.now += seconds
    assert list(tries.throttle._registrations._times) == ["2", "3"]


@pytest.mark.parametrize(
    ("name", "function", "expected"),
    [
        ("192.0.2.1", counted_address, "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", counted_address, "2001:db8:1:2::"),
        ("2001:DB8:1:2::1", counted_address, "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", counted_address, "192.0.2.1"),
        ("fe80::1%eth0", counted_address, "fe80::"),
        ("", counted_address, ""),
        ("no address", counted_address, "no address"),
        ("ipv4:127.0.0.1:50123", address_of_peer, "127.0.0.1"),
        ("ipv6:[::1]:50123", address_of_peer, "::"),
        ("ipv6:%5B2001:db8::1%5D:50123", address_of_peer, "2001:db8::"),
        ("unix:/tmp/socket", address_of_peer, ""),
        ("", address_of_peer, ""),
    ],
)
def test_addresses(name: str, function: Callable[[str], str], expected: str) -> None:
    assert function(name) == expected
