"""Access tokens of accounts and the keys that sign them, over gRPC (chat API spec §1)."""

import asyncio

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from roomline.v1.account_service_pb2 import (
    ListAccountsRequest,
)

from services.common.ids import MICROSECONDS
from services.user.account_keys import AHEAD_SECONDS, RENEW_SECONDS
from services.user.maintenance import Maintenance
from tests.services.user.accounts.people import Device, login, parts_of, public_keys
from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses

# Access tokens


async def test_an_access_token_says_what_the_spec_wants(house: House, device: Device) -> None:
    now = house.clock.now // MICROSECONDS
    header, claims = parts_of(device.access_token)
    (key,) = await public_keys(house)
    assert header == {"typ": "JWT", "alg": "RS256", "kid": key["kid"]}
    (account,) = (await house.accounts.ListAccounts(ListAccountsRequest(), metadata=device.metadata)).accounts
    assert claims == {
        "iss": "roomline",
        "sub": account.user_id,
        "instance": "one",
        "sid": claims["sid"],
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "context": {"email": "ann@example.org", "roles": [], "first_name": "Ann", "last_name": "Lee"},
    }
    house.clock.advance(899)
    await device.call()
    house.clock.advance(1)
    with refuses("TOKEN_EXPIRED"):
        await device.call()


async def test_anybody_can_verify_tokens_with_the_public_keys(house: House, device: Device) -> None:
    (key,) = await public_keys(house)
    assert key.keys() == {"kty", "n", "e", "kid", "alg", "use"}
    assert (key["kty"], key["alg"], key["use"], key["e"]) == ("RSA", "RS256", "sig", "AQAB")
    assert len(key["n"]) >= 342  # 2048 bits
    keys = KeySet.import_key_set({"keys": [dict(key)]})
    verified = jws.deserialize_compact(device.access_token, keys, algorithms=["RS256"])
    assert orjson.loads(verified.payload) == device.claims


async def test_issuer_and_lifetimes_are_settings(house: House, ann: Tenant) -> None:
    await house.stop()
    changes = {"token_issuer": "https://chat.example.org", "access_token_seconds": 60, "refresh_token_days": 1}
    house.settings = house.settings.model_copy(update=changes)
    await house.start()
    device = await login(house)
    claims = device.claims
    assert (claims["iss"], claims["exp"] - claims["iat"]) == ("https://chat.example.org", 60)
    await device.call()
    house.clock.advance(86_400)
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()


async def test_tokens_outlive_a_restart(house: House, device: Device) -> None:
    await house.stop()
    await house.start()
    await device.call()
    await device.refresh()
    await device.call()


# Keys


async def test_keys_are_renewed_and_known_a_day_before_they_sign(house: House, device: Device) -> None:
    async def restart(seconds: float) -> None:
        """Lets time pass, and the work be done that is done every hour."""
        house.clock.advance(seconds)
        await house.stop()
        await house.start()

    (first,) = [key["kid"] for key in await public_keys(house)]
    await restart(RENEW_SECONDS - 1)
    assert [key["kid"] for key in await public_keys(house)] == [first]
    await restart(1)
    second, again = [key["kid"] for key in await public_keys(house)]
    assert again == first
    device = await login(house)
    assert parts_of(device.access_token)[0]["kid"] == first
    await restart(AHEAD_SECONDS - 1)
    last = await login(house)
    assert parts_of(last.access_token)[0]["kid"] == first
    await restart(1)
    new = await login(house)
    assert parts_of(new.access_token)[0]["kid"] == second
    await restart(898)
    await asyncio.gather(last.call(), new.call())
    await restart(3)
    assert [key["kid"] for key in await public_keys(house)] == [second]
    with refuses("TOKEN_EXPIRED"):
        await new.call()
    await new.refresh()
    await new.call()


async def test_the_hourly_work_renews_keys_and_forgets_sessions(
    house: House, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a restart does for the keys happens without one, too."""
    rounds: list[Maintenance] = []
    run = Maintenance.run

    async def caught(self: Maintenance) -> None:
        rounds.append(self)
        await run(self)

    monkeypatch.setattr(Maintenance, "run", caught)
    monkeypatch.setattr("services.user.maintenance.INTERVAL_SECONDS", 0.01)
    await house.stop()
    await house.start()
    house.clock.advance(RENEW_SECONDS)
    async with asyncio.timeout(30):
        while len(await public_keys(house)) < 2:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert rounds
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()
