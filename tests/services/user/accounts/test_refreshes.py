"""Refresh tokens over gRPC: each counts once (chat API spec §1)."""

import asyncio

from roomline.v1.account_service_pb2 import (
    ListAccountsRequest,
    RefreshRequest,
)

from services.user.refresh_tokens import RefreshToken
from services.user.sqlite_sessions import REPEAT_SECONDS
from tests.services.user.accounts.people import Device, login
from tests.services.user.conftest import House
from tests.support.refusals import refuses

WEEK = 7 * 86_400


async def test_a_refresh_gives_the_next_pair(house: House, device: Device) -> None:
    first, claims = device.refresh_token, device.claims
    house.clock.advance(900)
    await device.refresh()
    await device.call()
    assert device.refresh_token != first
    assert device.claims["sid"] == claims["sid"]
    assert device.claims["iat"] == claims["iat"] + 900


async def test_a_spent_token_ends_its_session_everywhere(house: House, device: Device) -> None:
    thief = Device(house, device.access_token, device.refresh_token)
    other = await login(house)
    await device.refresh()
    house.clock.advance(REPEAT_SECONDS + 1)
    await device.call()
    with refuses("REFRESH_TOKEN_INVALID"):
        await thief.refresh()
    for metadata in (device.metadata, thief.metadata):
        with refuses("SESSION_ENDED"):
            await house.accounts.ListAccounts(ListAccountsRequest(), metadata=metadata)
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()
    await other.call()


async def test_a_refresh_may_be_repeated_for_a_moment(house: House, device: Device) -> None:
    lost = Device(house, device.access_token, device.refresh_token)
    await device.refresh()
    house.clock.advance(REPEAT_SECONDS)
    await lost.refresh()
    assert lost.refresh_token == device.refresh_token
    await asyncio.gather(lost.call(), device.call())
    await lost.refresh()
    await device.refresh()
    assert lost.refresh_token == device.refresh_token


async def test_refreshes_at_once_leave_the_session_alive(house: House, device: Device) -> None:
    twins = [Device(house, device.access_token, device.refresh_token) for _ in range(10)]
    await asyncio.gather(*(twin.refresh() for twin in twins))
    assert len({twin.refresh_token for twin in twins}) == 1
    house.clock.advance(REPEAT_SECONDS + 1)
    await twins[0].refresh()
    await twins[0].call()


async def test_what_is_no_refresh_token_is_invalid(house: House, device: Device) -> None:
    token = RefreshToken.parse(device.refresh_token)
    assert token is not None
    forged = [
        *("", "x", "é", "!" * 86, "A" * 86, "A" * 85, "A" * 4096, device.access_token, device.refresh_token + "A"),
        *(RefreshToken.make(token.session_id, b"x" * 32, b"y").text, token._replace(seal=b"\0" * 16).text),
        token._replace(secret=b"\0" * 32).text,
    ]
    for text in forged:
        with refuses("REFRESH_TOKEN_INVALID"):
            await house.accounts.Refresh(RefreshRequest(refresh_token=text))
    with refuses("TOKEN_INVALID"):
        await house.accounts.ListAccounts(
            ListAccountsRequest(), metadata=(("authorization", f"Bearer {device.refresh_token}"),)
        )
    await device.refresh()


async def test_a_session_ends_that_nobody_refreshes(house: House, device: Device) -> None:
    house.clock.advance(WEEK - 1)
    await device.refresh()
    house.clock.advance(WEEK)
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()
