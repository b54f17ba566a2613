"""Logins over gRPC: who gets in, and how often somebody may try (chat API spec §1, §8)."""

import asyncio
import sqlite3
from contextlib import closing

import grpc
import pytest
from argon2 import PasswordHasher
from roomline.v1.account_pb2 import Account
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import failure_of
from services.user import passwords
from tests.services.user.accounts.people import PASSWORD, login, register
from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses


async def test_unknown_addresses_and_wrong_passwords_are_told_apart(house: House, tenant: Tenant) -> None:
    await register(house)
    with refuses("ACCOUNT_NOT_FOUND"):
        await login(house, "bob@example.org")
    for wrong in (PASSWORD + " ", PASSWORD.upper(), "x"):
        with refuses("PASSWORD_INVALID"):
            await login(house, password=wrong)
    await login(house)


async def test_strict_logins_do_not_tell_who_has_an_account(house: House, tenant: Tenant) -> None:
    await house.stop()
    house.settings = house.settings.model_copy(update={"login_strict": True})
    await house.start()
    await register(house)
    for email in ("ann@example.org", "bob@example.org"):
        with refuses("PASSWORD_INVALID"):
            await login(house, email, "a wrong password")


async def test_hashes_follow_the_parameters(house: House, tenant: Tenant) -> None:
    await register(house)

    def stored() -> str:
        with closing(sqlite3.connect(house.settings.data_dir / "user.db")) as database:
            return str(database.execute("SELECT password FROM accounts").fetchone()[0])

    before = stored()
    assert before.startswith("$argon2id$")
    await login(house)
    assert stored() == before
    await house.stop()
    house.hasher = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    await house.start()
    # At once: each finds the old hash, and only one of them replaces it.
    devices = await asyncio.gather(*(login(house) for _ in range(3)))
    assert "m=16,t=2,p=1" in stored()
    await asyncio.gather(*(device.call() for device in devices))


async def test_five_wrong_passwords_are_enough(house: House, tenant: Tenant) -> None:
    await register(house)
    await register(house, "bob@example.org")
    outcomes = await asyncio.gather(*(login(house, password="wrong") for _ in range(20)), return_exceptions=True)
    failures = [failure_of(outcome) for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    reasons = [failure.reason for failure in failures]
    assert reasons.count(ErrorReason.ERROR_REASON_PASSWORD_INVALID) == 5
    assert reasons.count(ErrorReason.ERROR_REASON_RATE_LIMITED) == 15
    with refuses("RATE_LIMITED", retry_after="900"):
        await login(house)
    await login(house, "bob@example.org")
    house.clock.advance(899.5)
    with refuses("RATE_LIMITED", retry_after="1"):
        await login(house)
    house.clock.advance(0.5)
    await login(house)


async def test_a_login_forgets_the_failures_before_it(house: House, tenant: Tenant) -> None:
    await register(house)
    for _ in range(3):
        for _ in range(4):
            with refuses("PASSWORD_INVALID"):
                await login(house, password="wrong")
        await login(house)


async def test_the_address_counts_that_our_own_processes_name(house: House, tenant: Tenant) -> None:
    await register(house)
    for _ in range(5):
        with refuses("PASSWORD_INVALID"):
            await login(house, password="wrong", metadata=house.service(), remote_address="192.0.2.1")
    with refuses("RATE_LIMITED"):
        await login(house, metadata=house.service(), remote_address="192.0.2.1")
    await login(house, metadata=house.service(), remote_address="192.0.2.2")
    for number in range(5):  # everybody else could name any
        with refuses("PASSWORD_INVALID"):
            await login(house, password="wrong", metadata=tenant.server(), remote_address=f"192.0.2.{number}")
    with refuses("RATE_LIMITED"):
        await login(house, remote_address="192.0.2.77")


async def test_too_many_hashes_at_once_are_refused(
    house: House, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 0)
    monkeypatch.setattr(passwords, "AT_ONCE", 1)
    await house.stop()
    house.hasher = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
    await house.start()
    addresses = [f"{number}@example.org" for number in range(20)]
    outcomes = await asyncio.gather(*(register(house, email) for email in addresses), return_exceptions=True)
    registered = {email for email, outcome in zip(addresses, outcomes, strict=True) if isinstance(outcome, Account)}
    refused = [failure_of(outcome).reason for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert set(refused) == {ErrorReason.ERROR_REASON_OVERLOADED}
    assert registered
    for email in addresses:
        if email not in registered:
            await register(house, email)
        await login(house, email)
