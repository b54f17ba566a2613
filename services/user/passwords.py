"""Hashes of passwords: Argon2id (RFC 9106), a few at a time, away from the event loop."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar
from unicodedata import normalize

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.rules import invalid

T = TypeVar("T")

MIN_LENGTH = 8
"""Characters; the field rules have the most."""
AT_ONCE = 2
"""Hashes that are computed at the same time. Each takes a core, and the hasher's memory."""
MAX_WAITING = 64
"""Hashes that wait for their turn; more are refused."""


NO_PASSWORD = ""
"""Stands for a hash that no password has: nobody logs in before a password has been set."""
MAX_MEMORY_COST = 1024 * 1024
"""KiB that a hash made elsewhere may take to be checked."""
MAX_TIME_COST = 64
"""Passes that it may take."""
MAX_PARALLELISM = 16


def default_hasher() -> PasswordHasher:
    """RFC 9106's second choice, 64 MiB and three passes, but on one core: others have work to do as well."""
    return PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)


def is_usable(hashed: str) -> bool:
    """Whether that is an Argon2 hash (PHC string format) that can be checked at a cost that is not absurd."""
    try:
        made_with = extract_parameters(hashed)
    except InvalidHashError:
        return False
    return (
        made_with.memory_cost <= MAX_MEMORY_COST
        and made_with.time_cost <= MAX_TIME_COST
        and made_with.parallelism <= MAX_PARALLELISM
    )


class Passwords:
    """Makes and checks hashes, for the time that it is entered. All but `check_length` may raise OVERLOADED."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._pool = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._begun = 0
        self._nobodys = _unverifiable(hasher)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leaves alone what still waits: nobody waits for it any longer."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def check_length(password: str, field: str) -> None:
        """Raises FIELD_INVALID for a new password that is too short."""
        if len(password) < MIN_LENGTH:
            raise invalid(field, f"at least {MIN_LENGTH} characters")

    async def hash(self, password: str) -> str:
        """The hash of a new password."""
        return await self._run(lambda: self._hasher.hash(_canonical(password)))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one with that hash. Takes the same time if there is no hash, and says no."""

        def verify() -> bool:
            try:
                self._hasher.verify(stored or self._nobodys, _canonical(password))
            except VerificationError:
                return False
            return stored is not None

        return await self._run(verify)

    async def rehash(self, password: str, stored: str) -> str | None:
        """A new hash of the same password, if the old one was made with other parameters than ours now."""
        return await self.hash(password) if self._hasher.check_needs_rehash(stored) else None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._begun >= AT_ONCE + MAX_WAITING:
            raise RoomlineError(ErrorReason.ERROR_REASON_OVERLOADED)
        self._begun += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._ended)
        return await future

    def _ended(self, _: object) -> None:
        self._begun -= 1


def _canonical(password: str) -> bytes:
    """What is hashed: keyboards differ in how they compose the same characters."""
    return normalize("NFKC", password).encode()


def _unverifiable(hasher: PasswordHasher) -> str:
    """A hash with the hasher's parameters, of which nobody knows the password."""
    parts = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len))
    parameters = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return "$".join(("", "argon2id", f"v={ARGON2_VERSION}", parameters, *parts))
