"""Sessions of accounts: an access token for a while, and a refresh token for the next one."""

import os
from collections.abc import Callable
from typing import NamedTuple

import structlog
from roomline.v1.account_pb2 import Account
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.user.account_keys import AccountKeys
from services.user.account_store import NewSession, Reused, SessionStore, StoredPassword
from services.user.directory import Directory
from services.user.refresh_tokens import SECRET_BYTES, RefreshToken

log = structlog.get_logger()

DAY_SECONDS = 86_400


class TokenPair(NamedTuple):
    """What a login or a refresh gives."""

    access_token: str
    refresh_token: str
    expires_in: int
    """How long the access token is valid, in seconds."""


class Sessions:
    """Starts, refreshes and ends them. `new_id` makes UUIDs."""

    def __init__(
        self,
        store: SessionStore,
        keys: AccountKeys,
        directory: Directory,
        *,
        token_seconds: int,
        refresh_days: int,
        clock: Clock,
        new_id: Callable[[], str],
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._keys = keys
        self._directory = directory
        self._token_seconds = token_seconds
        self._refresh_seconds = refresh_days * DAY_SECONDS
        self._clock = clock
        self._new_id = new_id
        self._entropy = entropy

    async def start(self, instance_id: str, verified: StoredPassword, rehashed: str | None) -> TokenPair | None:
        """A new session; None if the account was deleted, or its hash changed, since the password was verified."""
        begins = self._clock() // MICROSECONDS
        seal_key = self._entropy(SECRET_BYTES)
        token = RefreshToken.make(self._new_id(), self._entropy(SECRET_BYTES), seal_key)
        new = NewSession(token, seal_key, *self._ends(begins))
        account = await self._directory.ending(self._store.start(instance_id, verified, new, rehashed))
        return None if account is None else await self._pair(account, token, begins)

    async def refresh(self, instance_id: str, text: str) -> TokenPair:
        """The next tokens. Raises REFRESH_TOKEN_INVALID."""
        presented = RefreshToken.parse(text)
        if presented is None:
            raise _invalid()
        begins = self._clock() // MICROSECONDS
        outcome = await self._directory.ending(self._store.refresh(instance_id, presented, *self._ends(begins)))
        if isinstance(outcome, Reused):
            # Somebody else has, or had, the same token. Which of the two is the thief, nobody can tell.
            log.warning("refresh_token_reused", instance=instance_id, user=outcome.user_id)
        if not outcome or isinstance(outcome, Reused):
            raise _invalid()
        return await self._pair(outcome.account, outcome.token, begins)

    async def end(self, instance_id: str, session_id: str) -> None:
        """Ends a session, everywhere at once."""
        await self._directory.ending(self._store.end(instance_id, session_id))

    def _ends(self, begins: int) -> tuple[int, int]:
        """When the refresh token and the access token end that begin then."""
        return (begins + self._refresh_seconds) * MICROSECONDS, (begins + self._token_seconds) * MICROSECONDS

    async def _pair(self, account: Account, token: RefreshToken, begins: int) -> TokenPair:
        access_token = await self._keys.sign(account, token.session_id, begins)
        return TokenPair(access_token, token.text, self._token_seconds)


def _invalid() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_REFRESH_TOKEN_INVALID)
