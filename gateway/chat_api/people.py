"""The users that one answer names: shown as accounts and by their `uid`s, stored by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from roomline.v1.account_service_pb2 import BatchGetAccountsRequest
from roomline.v1.account_service_pb2_grpc import AccountServiceStub

if TYPE_CHECKING:
    import grpc
    from roomline.v1.account_pb2 import Account
    from roomline.v1.account_service_pb2_grpc import AccountServiceAsyncStub

    from gateway.request import Request

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The `uid` of a user who was deleted."""

BATCH = 1000
"""Users in one call."""


class Named(Protocol):
    """Users whose `uid`s are known."""

    def uid(self, user_id: str) -> str:
        """The user's `uid`; `NOBODY` if there is no such user (any more)."""


class People:
    """Accounts by user id, from `Accounts.people`."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        """The id of the user who gets the answer."""
        self._by_id: dict[str, Account] = {}
        self._by_uid: dict[str, Account] = {}

    def add(self, accounts: Iterable[Account]) -> None:
        """Takes accounts in."""
        for account in accounts:
            self._by_id[account.user_id] = account
            self._by_uid[account.user_uid] = account

    def get(self, user_id: str) -> Account | None:
        """The account of a user; None if there is no such user (any more)."""
        return self._by_id.get(user_id)

    def by_uid(self, uid: str) -> Account | None:
        """The account with that `uid`, if any."""
        return self._by_uid.get(uid)

    def uid(self, user_id: str) -> str:
        """The user's `uid`; `NOBODY` if there is no such user (any more)."""
        account = self._by_id.get(user_id)
        return account.user_uid if account else NOBODY

    def known(self, user_ids: Iterable[str]) -> list[Account]:
        """The accounts of those users that there are, in this order."""
        return [account for user_id in user_ids if (account := self._by_id.get(user_id))]


class Accounts:
    """Looks users up with the client's own token."""

    def __init__(self, user: grpc.aio.Channel) -> None:
        self._stub: AccountServiceAsyncStub = AccountServiceStub(user)

    async def people(
        self, request: Request, reader: str, user_ids: Iterable[str] = (), uids: Iterable[str] = ()
    ) -> People:
        """The users with these ids and `uid`s, in one call for each thousand; unknown ones are left out."""
        people = People(reader)
        await self.learn(request, people, user_ids, uids)
        return people

    async def learn(
        self, request: Request, people: People, user_ids: Iterable[str] = (), uids: Iterable[str] = ()
    ) -> None:
        """Adds those that are not known yet."""
        ids = [one for one in dict.fromkeys(user_ids) if one and people.get(one) is None]
        others = [one for one in dict.fromkeys(uids) if people.by_uid(one) is None]
        calls = [BatchGetAccountsRequest(user_ids=part, user_uids=rest) for part, rest in _batches(ids, others)]
        for answer in await asyncio.gather(*(request.call(self._stub.BatchGetAccounts, call) for call in calls)):
            people.add(answer.accounts)


def _batches(ids: Sequence[str], uids: Sequence[str]) -> list[tuple[Sequence[str], Sequence[str]]]:
    most = max(len(ids), len(uids))
    return [(ids[start : start + BATCH], uids[start : start + BATCH]) for start in range(0, most, BATCH)]
