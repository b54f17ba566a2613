"""Sessions that end before their tokens, and who is told (chat API spec §1; faults 9, 27)."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from roomline.v1.account_service_pb2 import (
    LogoutRequest,
    UpdateProfileRequest,
)
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_service_pb2 import (
    DeleteInstanceRequest,
    EndedSession,
    GetCredentialsRequest,
    ResetInstanceRequest,
    WatchCredentialsRequest,
    WatchCredentialsResponse,
)
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.errors import failure_of
from services.user import directory
from tests.services.user.accounts.people import PASSWORD, Device, login, public_keys, register
from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses


async def test_a_logout_ends_its_session_and_no_other(house: House, device: Device) -> None:
    other = await login(house)
    await asyncio.gather(device.call(), other.call())
    await device.logout()
    with refuses("SESSION_ENDED"):
        await device.call()
    with refuses("SESSION_ENDED"):
        await device.logout()
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()
    await other.call()
    await other.refresh()


async def test_an_ended_session_stays_ended_after_a_restart(house: House, device: Device) -> None:
    await device.logout()
    await house.stop()
    await house.start()
    with refuses("SESSION_ENDED"):
        await device.call()


async def test_a_token_without_a_session_cannot_log_out(house: House, ann: Tenant) -> None:
    for metadata in (ann.user("bob"), ann.server("bob"), house.service("one")):
        with refuses("TOKEN_INVALID"):
            await house.accounts.Logout(LogoutRequest(), metadata=metadata)


async def test_a_logout_wins_against_a_refresh_at_the_same_time(house: House, ann: Tenant) -> None:
    for _ in range(10):
        device = await login(house)
        refreshed = Device(house, device.access_token, device.refresh_token)
        outcomes = await asyncio.gather(refreshed.refresh(), device.logout(), return_exceptions=True)
        assert outcomes[1] is None
        for one in (device, refreshed):  # also the tokens of a refresh that came first
            with refuses("SESSION_ENDED"):
                await one.call()
            with refuses("REFRESH_TOKEN_INVALID"):
                await one.refresh()


async def test_a_cancelled_logout_ends_the_session_all_the_same(house: House, device: Device) -> None:
    call = house.accounts.Logout(LogoutRequest(), metadata=device.metadata)
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.002)  # it may have got anywhere by then
    call.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await house.stop()
    await house.start()
    outcome = await asyncio.gather(device.call(), device.refresh(), return_exceptions=True)
    reasons = {failure_of(one).reason for one in outcome if isinstance(one, grpc.aio.AioRpcError)}
    # Both or none: no access token outlives its session.
    assert reasons in (
        set(),
        {ErrorReason.ERROR_REASON_SESSION_ENDED, ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID},
    )


async def test_a_deleted_user_is_out_at_once(house: House, ann: Tenant, device: Device) -> None:
    await device.call()
    user_id = device.claims["sub"]
    await house.users.DeleteUser(DeleteUserRequest(id=user_id), metadata=ann.server())
    with refuses("SESSION_ENDED"):
        await device.call()
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()
    with refuses("ACCOUNT_NOT_FOUND"):
        await login(house)
    await register(house)
    await login(house)


async def test_a_reset_ends_all_sessions(house: House, ann: Tenant, device: Device) -> None:
    await house.instances.ResetInstance(ResetInstanceRequest(), metadata=ann.server())
    with refuses("SESSION_ENDED"):
        await device.call()
    with refuses("ACCOUNT_NOT_FOUND"):
        await login(house)


async def test_nothing_of_a_deleted_instance_counts_in_a_new_one_of_the_id(house: House, device: Device) -> None:
    await house.instances.DeleteInstance(DeleteInstanceRequest(instance_id="one"), metadata=house.operator)
    with refuses("TOKEN_INVALID"):
        await device.call()
    with refuses("ACCOUNTS_DISABLED"):
        await login(house)
    await house.tenant("one")
    with refuses("TOKEN_INVALID"):
        await device.call()
    with refuses("REFRESH_TOKEN_INVALID"):
        await device.refresh()
    with refuses("ACCOUNT_NOT_FOUND"):
        await login(house)
    await register(house)
    await (await login(house)).call()


async def test_a_login_while_the_password_changes_does_not_outlive_it(house: House, ann: Tenant) -> None:
    """Fault 27: whoever knows the old password alone is out, whichever came first."""
    old = PASSWORD
    for number in range(10):
        owner, new = await login(house, password=old), f"new password {number}"
        tries = [asyncio.ensure_future(login(house, password=old)) for _ in range(3)]
        change = asyncio.ensure_future(_change_password(owner, old, new))
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        await change
        old = new
        for device in outcomes:
            if isinstance(device, Device):
                with refuses("SESSION_ENDED"):
                    await device.call()
        await owner.call()


async def _change_password(device: Device, old: str, new: str) -> None:
    request = UpdateProfileRequest(old_password=old, new_password=new)
    await device.house.accounts.UpdateProfile(request, metadata=device.metadata)


# What the other services are told


async def watch(house: House) -> AsyncIterator[WatchCredentialsResponse]:
    call = house.instances.WatchCredentials(WatchCredentialsRequest(), metadata=house.service())
    async for news in call:
        yield news


async def snapshot(news: AsyncIterator[WatchCredentialsResponse]) -> WatchCredentialsResponse:
    """All that a stream says before it is complete, as one message."""
    merged = WatchCredentialsResponse()
    while not merged.complete:
        merged.MergeFrom(await anext(news))
    return merged


async def test_watchers_are_told_of_keys_and_ended_sessions(house: House, device: Device) -> None:
    other = await house.tenant("two")
    (key,) = await public_keys(house)
    stream = watch(house)
    credentials = {one.instance.id: one for one in (await snapshot(stream)).changed}
    assert credentials["one"].account_issuer == "roomline"
    assert [one.id for one in credentials["one"].account_keys] == [key["kid"]]
    assert credentials[other.id].account_issuer == ""
    assert not credentials[other.id].account_keys
    await device.logout()
    async with asyncio.timeout(2):
        news = await anext(stream)
    assert [(one.instance_id, one.id) for one in news.ended_sessions] == [("one", device.claims["sid"])]
    assert news.ended_sessions[0].tokens_end.seconds == device.claims["exp"]
    assert not news.changed  # the tokens of everybody else stay in the caches
    again = await snapshot(watch(house))
    assert again.ended_sessions == news.ended_sessions
    request = GetCredentialsRequest(instance_id="one")
    answer = await house.instances.GetCredentials(request, metadata=house.service())
    assert answer.ended_sessions == news.ended_sessions
    assert answer.credentials == credentials["one"]
    request = GetCredentialsRequest(instance_id="two")
    assert not (await house.instances.GetCredentials(request, metadata=house.service())).ended_sessions


async def test_ended_sessions_come_in_pieces_and_before_the_keys(
    house: House, ann: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "ENDED_BATCH", 2)
    devices = [await login(house) for _ in range(5)]
    for device in devices:
        await device.logout()
    seen: list[EndedSession] = []
    async for news in watch(house):
        assert len(news.ended_sessions) <= 2
        seen += news.ended_sessions
        if news.changed:
            break
    assert [session.id for session in seen] == [device.claims["sid"] for device in devices]
