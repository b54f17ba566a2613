"""Registration over gRPC (chat API spec §8)."""

import asyncio

import grpc
import pytest
from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import (
    GetPublicKeysRequest,
    ListAccountsRequest,
    RefreshRequest,
    RegisterRequest,
)
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.user_service_pb2 import GetUserRequest

from services.common.errors import failure_of
from services.common.settings import Settings
from services.user.server import build_server
from tests.services.user.accounts.people import PASSWORD, login, register
from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses


async def test_who_registers_is_a_user_and_can_log_in(house: House, tenant: Tenant) -> None:
    account = await register(house)
    assert account.user_id == account.user_uid
    device = await login(house)
    user = (await house.users.GetUser(GetUserRequest(id=account.user_id), metadata=device.metadata)).user
    assert (user.id, user.uid, user.name) == (account.user_id, account.user_uid, "Ann Lee")
    await login(house, "ANN@example.ORG")
    with refuses("EMAIL_TAKEN"):
        await register(house, "Ann@Example.org")


async def test_two_registrations_of_one_address_at_once_make_one_user(house: House, tenant: Tenant) -> None:
    outcomes = await asyncio.gather(*(register(house) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, Account) for outcome in outcomes) == 1
    for outcome in outcomes:
        if not isinstance(outcome, Account):
            assert isinstance(outcome, grpc.aio.AioRpcError)
            assert failure_of(outcome).reason == ErrorReason.ERROR_REASON_EMAIL_TAKEN
    listed = await house.accounts.ListAccounts(ListAccountsRequest(), metadata=tenant.server())
    assert len(listed.accounts) == 1


async def test_a_repeated_registration_gets_the_first_answer(house: House, tenant: Tenant) -> None:
    first = await register(house, request_id="once")
    assert await register(house, request_id="once") == first
    # Not even a fingerprint of the password is kept that would tell this one from the first.
    assert await register(house, request_id="once", password="another password") == first
    with refuses("REQUEST_ID_REUSED"):
        await register(house, request_id="once", first_name="Anna")
    assert await register(house, "bob@example.org", request_id="once") != first
    await login(house)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("email", "", "FIELD_REQUIRED"),
        *(("email", email, "FIELD_INVALID") for email in ("a", "@", "a@", "@b", "a@b@c", "a @b", "a@b\n", "\0a@b")),
        ("email", "a@" + "b" * 253, "FIELD_INVALID"),
        ("first_name", "", "FIELD_REQUIRED"),
        ("first_name", "a" * 80, "FIELD_INVALID"),
        ("last_name", "a" * 80, "FIELD_INVALID"),
        ("password", "", "FIELD_REQUIRED"),
        ("password", "seven77", "FIELD_INVALID"),
        ("password", "a" * 129, "FIELD_INVALID"),
    ],
)
async def test_what_breaks_a_rule_is_refused(house: House, tenant: Tenant, field: str, value: str, reason: str) -> None:
    values = {"first_name": "Ann", "email": "ann@example.org", "password": PASSWORD, field: value}
    with refuses(reason, field=field):
        await house.accounts.Register(RegisterRequest(**values))


async def test_names_and_passwords_of_the_greatest_length_are_taken(house: House, tenant: Tenant) -> None:
    email = "a" * 242 + "@example.org"
    account = await register(house, email, first_name="é" * 79, last_name="ß" * 79, password="🔑" * 128)
    device = await login(house, email, "🔑" * 128)
    user = (await house.users.GetUser(GetUserRequest(id=account.user_id), metadata=device.metadata)).user
    assert user.name == "é" * 79 + " " + "ß" * 79


async def test_a_password_is_the_same_however_its_characters_are_composed(house: House, tenant: Tenant) -> None:
    await register(house, password="caf\u00e9 au lait")
    await login(house, password="cafe\u0301 au lait")
    with refuses("PASSWORD_INVALID"):
        await login(house, password="cafe au lait")


async def test_without_an_instance_there_are_no_accounts(house: House) -> None:
    for attempt in (
        register(house),
        login(house),
        house.accounts.Refresh(RefreshRequest(refresh_token="x")),
    ):
        with refuses("ACCOUNTS_DISABLED"):
            await attempt
    assert (await house.accounts.GetPublicKeys(GetPublicKeysRequest())).jwks == '{"keys":[]}'


async def test_closed_registration_is_for_servers_alone(house: House, tenant: Tenant) -> None:
    other = await house.tenant("two")
    await house.stop()
    house.settings = house.settings.model_copy(update={"registration_open": False})
    await house.start()
    for metadata in ((), tenant.user("bob"), other.server(), house.service("one"), house.operator):
        with refuses("REGISTRATION_CLOSED"):
            await register(house, metadata=metadata)
    await register(house, metadata=tenant.server())
    await login(house)


@pytest.mark.parametrize("issuer", ["roomline/service", "roomline/operator", "api_keys/", "api_keys/k"])
def test_the_issuer_of_accounts_is_theirs_alone(settings: Settings, issuer: str) -> None:
    with pytest.raises(ValueError, match="ROOMLINE_TOKEN_ISSUER"):
        build_server(settings.model_copy(update={"token_issuer": issuer}))
