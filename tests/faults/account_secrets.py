"""An account's life on a running server, in which everything is a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from roomline.v1.account_service_pb2 import (
    GetPublicKeysRequest,
    LoginRequest,
    LogoutRequest,
    RefreshRequest,
    RegisterRequest,
    UpdateProfileRequest,
)
from roomline.v1.account_service_pb2_grpc import AccountServiceStub

from tests.faults.actors import outcome
from tests.faults.markers import Markers
from tests.faults.sensitive import Site

if TYPE_CHECKING:
    from roomline.v1.account_service_pb2_grpc import AccountServiceAsyncStub


async def live(site: Site) -> None:
    """Registers, logs in, changes the profile and the password, has a token stolen, and logs out."""
    mark = site.mark
    async with grpc.aio.insecure_channel(site.running.grpc["user"]) as channel:
        stub: AccountServiceAsyncStub = AccountServiceStub(channel)
        email, password = f"{mark('an address')}@{mark('a domain')}", mark("a password")
        names = {"first_name": mark("a first name"), "last_name": mark("a last name")}
        register = RegisterRequest(email=email, password=password, request_id=mark("a request id"), **names)
        first = await stub.Register(register)
        assert await stub.Register(register) == first
        register.first_name = mark("another first name")
        assert await outcome(stub.Register(register)) == "REQUEST_ID_REUSED"
        register.request_id = ""
        assert await outcome(stub.Register(register)) == "EMAIL_TAKEN"
        for wrong in (mark("a wrong password"), "short"):
            assert await outcome(stub.Login(LoginRequest(email=email, password=wrong))) == "PASSWORD_INVALID"
        nobody = LoginRequest(email=mark("nobody's address"), password=mark("nobody's password"))
        assert await outcome(stub.Login(nobody)) == "ACCOUNT_NOT_FOUND"

        pair = await stub.Login(LoginRequest(email=email, password=password))
        access, refresh = keep(mark, pair.access_token, pair.refresh_token)
        metadata = (("authorization", "Bearer " + access),)
        new = mark("a new password")
        for old, new_password, reason in (
            (mark("a wrong old password"), new, "PASSWORD_INVALID"),
            (password, "short", "FIELD_INVALID"),
            (password, new, "OK"),
        ):
            change = UpdateProfileRequest(old_password=old, new_password=new_password, first_name=mark("a name"))
            assert await outcome(stub.UpdateProfile(change, metadata=metadata)) == reason

        spent = refresh  # and of no use after the next but one, not even for a moment
        for _ in range(2):
            pair_ = await stub.Refresh(RefreshRequest(refresh_token=refresh))
            access, refresh = keep(mark, pair_.access_token, pair_.refresh_token)
        assert await outcome(stub.Refresh(RefreshRequest(refresh_token=spent))) == "REFRESH_TOKEN_INVALID"
        assert await outcome(stub.Logout(LogoutRequest(), metadata=metadata)) == "SESSION_ENDED"

        pair = await stub.Login(LoginRequest(email=email, password=new))
        access, _ = keep(mark, pair.access_token, pair.refresh_token)
        await stub.Logout(LogoutRequest(), metadata=(("authorization", "Bearer " + access),))
        await stub.GetPublicKeys(GetPublicKeysRequest())


def keep(mark: Markers, access_token: str, refresh_token: str) -> tuple[str, str]:
    """Looks for the tokens in the log."""
    return mark.keep("an access token", access_token), mark.keep("a refresh token", refresh_token)
