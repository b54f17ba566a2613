"""Hashes of passwords."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from argon2 import PasswordHasher, Type

from services.user.passwords import AT_ONCE, MAX_WAITING, Passwords, default_hasher
from tests.support.account_parts import CHEAP_HASHER
from tests.support.refusals import refuses


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    async with Passwords(CHEAP_HASHER) as opened:
        yield opened


async def test_a_password_matches_its_hash_alone(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert await passwords.matches("correct horse", stored)
    assert not await passwords.matches("correct house", stored)
    assert not await passwords.matches("", stored)
    assert stored != await passwords.hash("correct horse")


async def test_without_a_hash_nothing_matches_and_it_takes_as_long() -> None:
    hashed: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002 - its parents' name
            hashed.append(str(hash).rpartition("$")[0].rpartition("$")[0])
            return super().verify(hash, password)

    hasher = Watched(time_cost=2, memory_cost=16, parallelism=1)
    async with Passwords(hasher) as passwords:
        stored = await passwords.hash("correct horse")
        assert not await passwords.matches("correct horse", None)
        assert await passwords.matches("correct horse", stored)
    assert hashed == ["$argon2id$v=19$m=16,t=2,p=1"] * 2


async def test_a_hash_is_made_anew_if_the_parameters_changed(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert await passwords.rehash("correct horse", stored) is None
    async with Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)) as stronger:
        assert await stronger.matches("correct horse", stored)
        better = await stronger.rehash("correct horse", stored)
        assert better is not None
        assert await stronger.rehash("correct horse", better) is None
        assert await stronger.matches("correct horse", better)


def test_the_default_is_as_strong_as_rfc_9106_says() -> None:
    hasher = default_hasher()
    assert hasher.type is Type.ID
    assert (hasher.time_cost, hasher.memory_cost) == (3, 65536)


@pytest.mark.parametrize(("password", "good"), [("seven77", False), ("eight888", True), ("🔑" * 8, True)])
def test_new_passwords_have_eight_characters(password: str, good: bool) -> None:
    if good:
        Passwords.check_length(password, "password")
    else:
        with refuses("FIELD_INVALID", field="password"):
            Passwords.check_length(password, "password")


async def test_few_at_once_and_not_too_many_waiting() -> None:
    go, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            go.wait(30)
            with lock:
                running -= 1
            return super().hash(password, salt=salt)

    async with Passwords(Slow(time_cost=1, memory_cost=8, parallelism=1)) as passwords:
        waiting = [asyncio.ensure_future(passwords.hash("x")) for _ in range(AT_ONCE + MAX_WAITING)]
        await asyncio.sleep(0)
        with refuses("OVERLOADED"):
            await passwords.hash("x")
        waiting[-1].cancel()
        await asyncio.gather(waiting.pop(), return_exceptions=True)
        waiting.append(asyncio.ensure_future(passwords.hash("x")))
        await asyncio.sleep(0)
        with refuses("OVERLOADED"):
            await passwords.hash("x")
        go.set()
        await asyncio.gather(*waiting)
        await passwords.hash("x")
    assert most == AT_ONCE
