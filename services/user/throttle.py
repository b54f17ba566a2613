"""How often somebody may try: passwords, and registrations.

| what is counted | at most |
|---|---|
| failed tries for one account from one address | 5 in 15 minutes |
| failed tries for one account from anywhere | 50 in 15 minutes |
| failed tries from one address | 100 in 15 minutes |
| registrations from one address, which a school or an office may share | 1,000 in 15 minutes |

An address is an IPv4 address or the first 64 bits of an IPv6 one. Where an account has logged in before, failed tries
from elsewhere do not shut it out. All is kept in memory: a restart forgets it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

WINDOW_SECONDS = 15 * 60
ACCOUNT_AND_ADDRESS = 5
ACCOUNT = 50
ADDRESS = 100
REGISTRATIONS = 1000
MOST_KEYS = 20_000
"""How many accounts or addresses are remembered at most, of each kind; the ones longest silent are forgotten first."""

FAILED = {ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND, ErrorReason.ERROR_REASON_PASSWORD_INVALID}
"""How a try ends that was judged and failed."""


class Window:
    """Counts per key, over a sliding window."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._times: dict[str, deque[float]] = {}

    def seconds_left(self, key: str) -> float:
        """How long until the key is below its limit; 0 if it is."""
        times = self._times.get(key)
        if times is None:
            return 0
        now = self._now()
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        return max(0.0, times[0] + WINDOW_SECONDS - now) if len(times) >= self._limit else 0

    def add(self, key: str) -> None:
        """Counts one more."""
        times = self._times.pop(key, None) or deque()
        self._times[key] = times  # last: the order is that of silence
        times.append(self._now())
        while len(self._times) > MOST_KEYS or self._is_over(next(iter(self._times))):
            del self._times[next(iter(self._times))]

    def take_back(self, key: str) -> None:
        """Counts one less."""
        if times := self._times.get(key):
            times.pop()

    def clear(self, key: str) -> None:
        """Counts from nothing again."""
        self._times.pop(key, None)

    def _is_over(self, key: str) -> bool:
        times = self._times[key]
        return not times or times[-1] <= self._now() - WINDOW_SECONDS


class Throttle:
    """Refuses tries that come too often. `now` is in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._pairs = Window(ACCOUNT_AND_ADDRESS, now)
        self._accounts = Window(ACCOUNT, now)
        self._addresses = Window(ADDRESS, now)
        self._registrations = Window(REGISTRATIONS, now)
        self._at_home: dict[str, None] = {}
        """Pairs of account and address that have logged in, the latest last."""

    @contextmanager
    def attempt(self, account: str, address: str) -> Iterator[None]:
        """A try with a password. Raises RATE_LIMITED before it, if there were too many.

        It counts from its beginning, so that tries at once are no way around, and as failed if it ends with one of
        `FAILED`, or nobody waits for its end. If it succeeds, its account starts afresh at this address.
        An empty address, which nobody knows, is not counted by itself.
        """
        account = hashlib.blake2b(account.encode(), digest_size=16).hexdigest()  # anybody can name long ones
        pair = f"{account} {address}"
        counted = [(self._pairs, pair), (self._accounts, account)]
        if address:
            counted.append((self._addresses, address))
        at_home = pair in self._at_home
        _refuse_if_too_many([one for one in counted if not (at_home and one[0] is self._accounts)])
        for window, key in counted:
            window.add(key)
        try:
            yield
        except Exception as error:
            if not isinstance(error, RoomlineError) or error.reason not in FAILED:
                _take_back(counted)
            raise
        _take_back(counted)
        self._pairs.clear(pair)
        self._at_home.pop(pair, None)
        self._at_home[pair] = None
        if len(self._at_home) > MOST_KEYS:
            del self._at_home[next(iter(self._at_home))]

    def registration(self, address: str) -> None:
        """Counts a registration. Raises RATE_LIMITED if there were too many."""
        if address:
            _refuse_if_too_many([(self._registrations, address)])
            self._registrations.add(address)


def _refuse_if_too_many(counted: list[tuple[Window, str]]) -> None:
    left = max(window.seconds_left(key) for window, key in counted)
    if left > 0:
        raise RoomlineError(ErrorReason.ERROR_REASON_RATE_LIMITED, retry_after=math.ceil(left))


def _take_back(counted: list[tuple[Window, str]]) -> None:
    for window, key in counted:
        window.take_back(key)


def address_of_peer(peer: str) -> str:
    """The address in gRPC's name for the other end, such as `ipv4:127.0.0.1:1234`; empty if it has none."""
    kind, _, rest = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return counted_address(unquote(rest).rpartition(":")[0].strip("[]"))


def counted_address(address: str) -> str:
    """What stands for an address: of IPv6 the first 64 bits, for the rest is the holder's own choice.

    Text that is no address stands for itself.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False).network_address)
