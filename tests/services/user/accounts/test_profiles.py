"""Users as accounts, and what they change of themselves, over gRPC."""

import asyncio
import sqlite3
from contextlib import closing

from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import (
    BatchGetAccountsRequest,
    ListAccountsRequest,
    UpdateProfileRequest,
)
from roomline.v1.presence_service_pb2 import TrackRequest, TrackResponse
from roomline.v1.user_service_pb2 import GetUserRequest

from tests.services.user.accounts.people import PASSWORD, Device, login, register
from tests.services.user.conftest import House, Metadata, Tenant
from tests.support.refusals import refuses


async def update(house: House, metadata: Metadata, **fields: str) -> Account:
    return (await house.accounts.UpdateProfile(UpdateProfileRequest(**fields), metadata=metadata)).account


# Lists


async def test_users_are_listed_as_accounts(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "bob")
    account = await register(house)
    other = await house.tenant("two")
    await house.create(other, "eve")
    device = await login(house)
    page = await house.accounts.ListAccounts(ListAccountsRequest(page_size=1), metadata=device.metadata)
    (bob,) = page.accounts
    assert (bob.user_id, bob.first_name, bob.last_name) == ("bob", "bob", "")
    assert not bob.HasField("email")
    following = ListAccountsRequest(page_token=page.next_page_token)
    page = await house.accounts.ListAccounts(following, metadata=device.metadata)
    assert (list(page.accounts), page.next_page_token) == ([account], "")
    found = await house.accounts.BatchGetAccounts(
        BatchGetAccountsRequest(user_uids=[account.user_uid, "no"], user_ids=["bob", "eve", account.user_id]),
        metadata=tenant.server(),
    )
    assert list(found.accounts) == [account, bob]
    with refuses("PAGE_TOKEN_INVALID"):
        await house.accounts.ListAccounts(ListAccountsRequest(page_token="x"), metadata=device.metadata)
    house.backend.permissions.clear()
    with refuses("PERMISSION_MISSING", permission="user:get"):
        await device.call()


async def test_accounts_say_when_their_users_were_last_online(house: House, tenant: Tenant) -> None:
    account = await register(house)
    device = await login(house)

    async def seen() -> list[tuple[bool, int]]:
        """In a list, in a selection, and in the answer to a change."""
        listed = await house.accounts.ListAccounts(ListAccountsRequest(), metadata=device.metadata)
        one = BatchGetAccountsRequest(user_ids=[account.user_id])
        found = await house.accounts.BatchGetAccounts(one, metadata=device.metadata)
        changed = await update(house, device.metadata, last_name="Ray")
        answers = [*listed.accounts, *found.accounts, changed]
        return [(one.HasField("last_seen"), one.last_seen.ToMicroseconds()) for one in answers]

    assert await seen() == [(False, 0)] * 3
    gateway = house.presence.Track(metadata=house.service(tenant.id))
    await gateway.write(TrackRequest(sequence=1, registered_user_ids=[account.user_id]))
    assert await gateway.read() == TrackResponse(done_sequence=1)
    house.clock.advance(5)
    assert await seen() == [(True, house.clock())] * 3
    await gateway.write(TrackRequest(sequence=2, unregistered_user_ids=[account.user_id]))
    assert await gateway.read() == TrackResponse(done_sequence=2)
    left_at = house.clock()
    house.clock.advance(5)
    house.timers.advance(60)
    assert await seen() == [(True, left_at)] * 3
    gateway.cancel()


# Profiles


async def test_names_are_changed_by_their_owner(house: House, tenant: Tenant) -> None:
    account = await register(house)
    device = await login(house)
    changed = await update(house, device.metadata, last_name="Ray")
    assert (changed.first_name, changed.last_name) == ("Ann", "Ray")
    user = (await house.users.GetUser(GetUserRequest(id=account.user_id), metadata=device.metadata)).user
    assert user.name == "Ann Ray"
    await device.call()
    await device.refresh()
    assert device.claims["context"]["last_name"] == "Ray"
    with refuses("FIELD_REQUIRED", field="first_name"):
        await update(house, device.metadata, first_name="")
    with refuses("FIELD_INVALID", field="last_name"):
        await update(house, device.metadata, last_name="a" * 80)
    with refuses("ACCOUNT_NOT_FOUND"):
        await update(house, tenant.user("bob"), first_name="Bob")
    with refuses("ACTOR_REQUIRED"):
        await update(house, tenant.server(), first_name="Bob")


async def test_a_password_is_changed_with_the_old_one(house: House, tenant: Tenant) -> None:
    await register(house)
    device = await login(house)
    for fields, missing in (
        ({"new_password": "a new password"}, "old_password"),
        ({"old_password": PASSWORD}, "new_password"),
    ):
        with refuses("FIELD_REQUIRED", field=missing):
            await update(house, device.metadata, **fields)
    with refuses("FIELD_INVALID", field="new_password"):
        await update(house, device.metadata, old_password=PASSWORD, new_password="short")
    with refuses("PASSWORD_INVALID"):
        await update(house, device.metadata, old_password="wrong", new_password="a new password")
    await update(house, device.metadata, old_password=PASSWORD, new_password="a new password")
    with refuses("PASSWORD_INVALID"):
        await login(house)
    await login(house, password="a new password")


async def test_a_new_password_ends_the_other_sessions(house: House, tenant: Tenant) -> None:
    await register(house)
    device, stolen = await login(house), await login(house)
    await asyncio.gather(device.call(), stolen.call())
    await update(house, device.metadata, old_password=PASSWORD, new_password="a new password")
    await device.call()
    await device.refresh()
    with refuses("SESSION_ENDED"):
        await stolen.call()
    with refuses("REFRESH_TOKEN_INVALID"):
        await stolen.refresh()


async def test_a_server_sets_a_password_without_the_old_one(house: House, tenant: Tenant) -> None:
    account = await register(house)
    device = await login(house)
    await update(house, tenant.server(account.user_id), new_password="a new password")
    with refuses("SESSION_ENDED"):
        await device.call()
    await login(house, password="a new password")
    with refuses("FIELD_REQUIRED", field="old_password"):
        await update(house, tenant.user(account.user_id), new_password="another password")


async def test_a_repeated_change_of_the_password_gets_the_first_answer(house: House, tenant: Tenant) -> None:
    await register(house)
    device = await login(house)
    change = {"old_password": PASSWORD, "new_password": "a new password", "request_id": "once"}
    first = await update(house, device.metadata, **change)
    assert await update(house, device.metadata, **change) == first
    with refuses("PASSWORD_INVALID"):
        await update(house, device.metadata, **{**change, "request_id": "twice"})


async def test_of_two_changes_of_the_password_at_once_one_wins(house: House, tenant: Tenant) -> None:
    await register(house)
    device = await login(house)
    new = [f"new password {number}" for number in range(5)]
    outcomes = await asyncio.gather(
        *(update(house, device.metadata, old_password=PASSWORD, new_password=password) for password in new),
        return_exceptions=True,
    )
    winners = [password for password, outcome in zip(new, outcomes, strict=True) if isinstance(outcome, Account)]
    assert len(winners) == 1
    await login(house, password=winners[0])


async def test_guesses_at_the_old_password_are_throttled(house: House, tenant: Tenant) -> None:
    await register(house)
    device = await login(house)
    for _ in range(5):
        with refuses("PASSWORD_INVALID"):
            await update(house, device.metadata, old_password="wrong", new_password="a new password")
    with refuses("RATE_LIMITED"):
        await update(house, device.metadata, old_password=PASSWORD, new_password="a new password")
    await update(house, device.metadata, first_name="Anna")
    await login(house)


async def test_no_password_is_stored_in_any_form_that_can_be_guessed_at(house: House, tenant: Tenant) -> None:
    """With the same names and address, requests with two passwords leave the same fingerprint."""
    fingerprints: list[bytes] = []
    for password in ("one password", "two password"):
        account = await register(house, request_id="once", password=password)
        device: Device = await login(house, password=password)
        await update(house, device.metadata, old_password=password, new_password=PASSWORD, request_id="change")
        with closing(sqlite3.connect(house.settings.data_dir / "user.db")) as database:
            rows = database.execute("SELECT fingerprint FROM requests ORDER BY request_id").fetchall()
            fingerprints += [row[0] for row in rows]
            database.execute("DELETE FROM requests")
            database.execute("DELETE FROM accounts WHERE user_id = ?", (account.user_id,))
            database.commit()
    assert len(fingerprints) == 4
    assert fingerprints[:2] == fingerprints[2:]
