"""Accounts and sessions, as the tests of their stores need them."""

from roomline.v1.account_pb2 import Account

from services.common.ids import MICROSECONDS
from services.user.account_store import (
    NewAccount,
    NewSession,
    Refreshed,
    Reused,
    StoredPassword,
)
from services.user.refresh_tokens import RefreshToken
from tests.stores.user_stores import UserStores

SEAL_KEY = b"k" * 32
WEEK = 7 * 86_400
QUARTER = 900


async def register(stores: UserStores, email: str = "ann@example.org", instance_id: str = "one") -> Account:
    account = NewAccount(email, "Ann", "Lee", "hash")
    return (await stores.accounts.register(instance_id, account, None)).account


async def start(stores: UserStores, account: Account, number: int = 1, instance_id: str = "one") -> RefreshToken:
    """Starts a session, and gives its first refresh token."""
    token = RefreshToken.make(f"{number:032x}"[:8] + f"-0000-7000-8000-{number:012x}", bytes([number]) * 32, SEAL_KEY)
    verified = StoredPassword(account.user_id, "", "hash")
    new = NewSession(token, SEAL_KEY, at(stores, WEEK), at(stores, QUARTER))
    assert await stores.sessions.start(instance_id, verified, new) is not None
    return token


def at(stores: UserStores, seconds: int) -> int:
    """The time so many seconds from now."""
    return stores.clock.now + seconds * MICROSECONDS


async def refresh(stores: UserStores, token: RefreshToken, instance_id: str = "one") -> Refreshed | Reused | None:
    return await stores.sessions.refresh(instance_id, token, at(stores, WEEK), at(stores, QUARTER))


async def next_of(stores: UserStores, token: RefreshToken) -> RefreshToken:
    """Spends a token that must be good."""
    outcome = await refresh(stores, token)
    assert isinstance(outcome, Refreshed)
    return outcome.token


async def ended(stores: UserStores, after: int = 0) -> list[str]:
    """The ids of the sessions that have ended."""
    return [session.id for _, session in await stores.sessions.ended_after(after)]
