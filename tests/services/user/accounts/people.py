"""People with accounts, as the tests of the user service need them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import orjson
from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import (
    GetPublicKeysRequest,
    ListAccountsRequest,
    LoginRequest,
    LogoutRequest,
    RefreshRequest,
    RegisterRequest,
)

from tests.services.user.conftest import House, Metadata

PASSWORD = "correct horse battery"


@dataclass
class Device:
    """A session, with its newest tokens."""

    house: House
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @property
    def metadata(self) -> Metadata:
        """The metadata of its calls."""
        return (("authorization", f"Bearer {self.access_token}"),)

    @property
    def claims(self) -> dict[str, Any]:
        """What its access token says."""
        return parts_of(self.access_token)[1]

    async def call(self) -> None:
        """Makes some call."""
        await self.house.accounts.ListAccounts(ListAccountsRequest(), metadata=self.metadata)

    async def refresh(self) -> None:
        """Gets the next tokens."""
        pair = await self.house.accounts.Refresh(RefreshRequest(refresh_token=self.refresh_token))
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token

    async def logout(self) -> None:
        """Ends the session."""
        await self.house.accounts.Logout(LogoutRequest(), metadata=self.metadata)


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT."""
    header, claims, _ = token.split(".")
    decoded = (orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims))
    return next(decoded), next(decoded)


async def public_keys(house: House) -> list[dict[str, str]]:
    """The key set that anybody may have."""
    answer = await house.accounts.GetPublicKeys(GetPublicKeysRequest())
    keys: list[dict[str, str]] = orjson.loads(answer.jwks)["keys"]
    return keys


async def register(house: House, email: str = "ann@example.org", *, metadata: Metadata = (), **fields: str) -> Account:
    """A new account."""
    values = {"first_name": "Ann", "last_name": "Lee", "password": PASSWORD, **fields}
    return (await house.accounts.Register(RegisterRequest(email=email, **values), metadata=metadata)).account


async def login(
    house: House,
    email: str = "ann@example.org",
    password: str = PASSWORD,
    metadata: Metadata = (),
    remote_address: str = "",
) -> Device:
    """A new session."""
    request = LoginRequest(email=email, password=password, remote_address=remote_address)
    pair = await house.accounts.Login(request, metadata=metadata)
    return Device(house, pair.access_token, pair.refresh_token)
