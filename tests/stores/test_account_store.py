"""What the user service's store promises about accounts."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.account_pb2 import Account
from roomline.v1.user_pb2 import User

from services.common.idempotency import RequestKey
from services.common.timestamps import to_proto
from services.user import sqlite_deletions
from services.user.account_store import (
    REGISTRATION_ACTOR,
    NewAccount,
    NewSession,
    ProfileChange,
    Refreshed,
    StoredPassword,
)
from services.user.store import Age
from tests.stores.account_stores import QUARTER, SEAL_KEY, WEEK, at, ended, refresh, register, start
from tests.stores.user_stores import UserStores, new, repeatable, user_stores
from tests.support.refusals import refuses


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[UserStores]:
    """Stores on SQLite, with the instances `one` and `two`."""
    async with user_stores(tmp_path) as opened:
        yield opened


async def test_an_account_is_a_user_with_one_id_and_both_names(stores: UserStores) -> None:
    account = await register(stores)
    assert account.user_id == account.user_uid
    assert account.user_id[14] == "7"
    assert (account.first_name, account.last_name, account.email) == ("Ann", "Lee", "ann@example.org")
    assert not account.HasField("last_seen")
    (user,) = await stores.users.get("one", [account.user_id])
    assert (user.id, user.uid, user.name) == (account.user_id, account.user_uid, "Ann Lee")
    bare = NewAccount("bob@example.org", "Bob", "", "hash")
    bob = (await stores.accounts.register("one", bare, None)).account
    assert [user.name for user in await stores.users.get("one", [bob.user_id])] == ["Bob"]


@pytest.mark.parametrize("email", ["straße@example.org", "STRASSE@Example.ORG", "\uff33trasse@example.org"])
async def test_an_address_is_taken_however_it_is_written(stores: UserStores, email: str) -> None:
    await register(stores, "Strasse@example.org")
    with refuses("EMAIL_TAKEN"):
        await register(stores, email)
    await register(stores, email, "two")


async def test_an_instance_that_is_not_there_has_no_accounts(stores: UserStores) -> None:
    with refuses("INSTANCE_NOT_FOUND"):
        await register(stores, instance_id="three")


async def test_two_registrations_of_one_address_at_once_make_one_account(stores: UserStores) -> None:
    outcomes = await asyncio.gather(*(register(stores) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    assert len(await stores.ids()) == 1


async def test_a_repeated_registration_gets_the_first_answer(stores: UserStores) -> None:
    key = repeatable("1", "ann")
    account = NewAccount("ann@example.org", "Ann", "Lee", "hash")
    assert await stores.accounts.registered(key) is None
    first = await stores.accounts.register("one", account, key)
    assert await stores.accounts.register("one", account._replace(password="another"), key) == first
    assert await stores.accounts.registered(key) == first
    with refuses("REQUEST_ID_REUSED"):
        await stores.accounts.registered(repeatable("1", "bob"))


async def test_passwords_are_found_by_address_and_by_user(stores: UserStores) -> None:
    account = await register(stores, "Ann@Example.org")
    stored = await stores.accounts.password_of_email("one", "ann@example.org")
    assert stored == StoredPassword(account.user_id, "ann@example.org", "hash")
    assert await stores.accounts.password_of_user("one", account.user_id) == stored
    assert await stores.accounts.password_of_email("one", "Ann@Example.org") is None
    assert await stores.accounts.password_of_email("two", "ann@example.org") is None
    assert await stores.accounts.password_of_user("two", account.user_id) is None


async def test_users_without_an_account_are_shown_by_their_name(stores: UserStores) -> None:
    account = await register(stores)
    (bob,) = (await stores.users.create_all("one", [new("bob")], None)).users
    await stores.users.create("two", new("eve"), None)
    of_bob = Account(user_id="bob", user_uid=bob.uid, first_name="bob's name")
    assert await stores.accounts.get("one", [bob.uid, "no"], []) == [of_bob]
    assert await stores.accounts.get("one", [bob.uid], [account.user_id, "bob", "eve"]) == [of_bob, account]
    assert await stores.accounts.get("two", [bob.uid], ["bob"]) == []
    assert await stores.accounts.get("one", [], []) == []
    page, following = await stores.accounts.page("one", Age(0, 0), 1)
    assert page == [account]
    assert following is not None
    assert await stores.accounts.page("one", following, 1) == ([of_bob], None)


async def test_names_change_with_the_users_name(stores: UserStores) -> None:
    account = await register(stores)
    stores.clock.advance(5)
    changed = await stores.accounts.update("one", account.user_id, ProfileChange(last_name="Ray"), "", None)
    assert (changed.account.first_name, changed.account.last_name) == ("Ann", "Ray")
    (user,) = await stores.users.get("one", [account.user_id])
    assert (user.name, user.updated_at) == ("Ann Ray", to_proto(stores.clock.now))
    cleared = await stores.accounts.update("one", account.user_id, ProfileChange("Anna", ""), "", None)
    assert (cleared.account.first_name, cleared.account.last_name) == ("Anna", "")
    assert [user.name for user in await stores.users.get("one", [account.user_id])] == ["Anna"]
    assert (await stores.accounts.update("one", account.user_id, ProfileChange(), "", None)) == cleared
    renamed = User(id=account.user_id, name="Known as Al")
    await stores.users.update("one", renamed, ["name"], None)
    assert await stores.accounts.get("one", [], [account.user_id]) == [cleared.account]


async def test_a_user_without_an_account_has_no_profile(stores: UserStores) -> None:
    await stores.users.create("one", new("bob"), None)
    for user_id in ("bob", "no"):
        with refuses("ACCOUNT_NOT_FOUND"):
            await stores.accounts.update("one", user_id, ProfileChange("B"), "", None)


async def test_a_new_password_ends_all_sessions_but_one(stores: UserStores) -> None:
    account, other = await register(stores), await register(stores, "bob@example.org")
    tokens = [await start(stores, account, number) for number in (1, 2, 3)]
    await start(stores, other, 4)
    change = ProfileChange(password="new", verified="hash")
    await stores.accounts.update("one", account.user_id, change, tokens[1].session_id, None)
    assert await ended(stores) == [tokens[0].session_id, tokens[2].session_id]
    assert isinstance(await refresh(stores, tokens[1]), Refreshed)
    stored = await stores.accounts.password_of_user("one", account.user_id)
    assert stored is not None
    assert stored.hash == "new"
    with refuses("PASSWORD_INVALID"):  # it was verified before, and is not the password now
        await stores.accounts.update("one", account.user_id, change, "", None)
    verified = StoredPassword(account.user_id, "", "hash")
    late = NewSession(tokens[0], SEAL_KEY, at(stores, WEEK), at(stores, QUARTER))
    assert await stores.sessions.start("one", verified, late) is None


async def test_a_repeated_change_gets_the_first_answer(stores: UserStores) -> None:
    account, key = await register(stores), repeatable("1", "change")
    assert await stores.accounts.updated(key) is None
    change = ProfileChange("Anna", password="new", verified="hash")
    first = await stores.accounts.update("one", account.user_id, change, "", key)
    assert await stores.accounts.update("one", account.user_id, change, "", key) == first
    assert await stores.accounts.updated(key) == first


# Deleting


async def test_a_deleted_users_account_goes_and_its_sessions_end(stores: UserStores) -> None:
    account, other = await register(stores), await register(stores, "bob@example.org")
    token, kept = await start(stores, account), await start(stores, other, 2)
    await stores.users.delete("one", account.user_id, None)
    assert await ended(stores) == [token.session_id]
    assert await refresh(stores, token) is None
    assert isinstance(await refresh(stores, kept), Refreshed)
    assert await stores.accounts.password_of_email("one", "ann@example.org") is None
    assert (await register(stores)).user_id != account.user_id


async def test_what_is_remembered_of_a_registration_goes_with_its_user(stores: UserStores) -> None:
    key = RequestKey("one", REGISTRATION_ACTOR + "ann@example.org", "1", b"")
    account = NewAccount("Ann@example.org", "Ann", "Lee", "hash")
    first = await stores.accounts.register("one", account, key)
    await stores.users.delete("one", first.account.user_id, None)
    assert await stores.accounts.registered(key) is None
    assert await stores.accounts.register("one", account, key) != first


async def test_a_wipe_takes_accounts_and_ends_sessions(stores: UserStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_deletions, "WIPE_ROWS", 2)
    accounts = [await register(stores, f"{number}@example.org") for number in range(5)]
    tokens = [await start(stores, account, number) for number, account in enumerate(accounts, 1)]
    kept = await start(stores, await register(stores, instance_id="two"), 9, "two")
    await stores.deletions.wipe("one")
    assert await stores.ids() == []
    assert sorted(await ended(stores)) == [token.session_id for token in tokens]
    assert isinstance(await refresh(stores, kept, "two"), Refreshed)
