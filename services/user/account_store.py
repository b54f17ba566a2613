"""What the user service keeps of accounts, and what it promises about it; see `store`.

An account belongs to a user whose id and `uid` are the same. It goes with the user, and its sessions with it.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import RegisterResponse, UpdateProfileResponse
from roomline.v1.instance_service_pb2 import EndedSession

from services.common.idempotency import RequestKey
from services.user.refresh_tokens import RefreshToken
from services.user.store import Age

REGISTRATION_ACTOR = "register:"
"""Before an e-mail address's key: the actor of `RequestKey`s of registrations, of whom there is no user yet."""


class NewAccount(NamedTuple):
    """An account to create."""

    email: str
    first_name: str
    last_name: str
    password: str
    """The hash."""


class StoredPassword(NamedTuple):
    """What a password is checked against."""

    user_id: str
    email_key: str
    hash: str


class ProfileChange(NamedTuple):
    """What shall change of an account; None stays."""

    first_name: str | None = None
    last_name: str | None = None
    password: str | None = None
    """The new hash."""
    verified: str | None = None
    """The hash that the change of the password was allowed by; None if it needs none."""


class AccountStore(Protocol):
    """The accounts of all instances."""

    async def register(self, instance_id: str, new: NewAccount, key: RequestKey | None) -> RegisterResponse:
        """Creates a user with an account. Raises EMAIL_TAKEN and INSTANCE_NOT_FOUND."""

    async def registered(self, key: RequestKey | None) -> RegisterResponse | None:
        """The first answer to a repeated registration. Raises REQUEST_ID_REUSED."""

    async def password_of_email(self, instance_id: str, email_key: str) -> StoredPassword | None:
        """What a login with this e-mail address is checked against; None if there is no such account."""

    async def password_of_user(self, instance_id: str, user_id: str) -> StoredPassword | None:
        """What this user's password is checked against; None if the user has no account."""

    async def get(self, instance_id: str, uids: Sequence[str], user_ids: Sequence[str]) -> list[Account]:
        """Users as accounts, by `uid` and then by id, in this order and each once; unknown ones are left out."""

    async def page(self, instance_id: str, after: Age, limit: int) -> tuple[list[Account], Age | None]:
        """Users as accounts, as `UserStore.page`."""

    async def update(
        self, instance_id: str, user_id: str, change: ProfileChange, keep_session: str, key: RequestKey | None
    ) -> UpdateProfileResponse:
        """Changes an account and, with its names, the user's name. A new password ends all sessions but `keep_session`.

        Raises ACCOUNT_NOT_FOUND, and PASSWORD_INVALID if the password is not the verified one any longer.
        """

    async def updated(self, key: RequestKey | None) -> UpdateProfileResponse | None:
        """The first answer to a repeated change. Raises REQUEST_ID_REUSED."""


class NewSession(NamedTuple):
    """A session to start."""

    token: RefreshToken
    seal_key: bytes
    expires: int
    """Of the refresh token. Microseconds, like all stored times."""
    tokens_end: int
    """When the access token ends that is given out with it."""


class Refreshed(NamedTuple):
    """A refresh that was granted."""

    account: Account
    token: RefreshToken
    """The next refresh token."""


class Reused(NamedTuple):
    """A refresh token that was spent before was shown again; its session has ended."""

    user_id: str


class SessionStore(Protocol):
    """The sessions of all accounts."""

    async def start(
        self, instance_id: str, verified: StoredPassword, new: NewSession, rehashed: str | None = None
    ) -> Account | None:
        """Starts a session; `rehashed` is a new hash of the same password. Of very many sessions the most silent end.

        None if the account has gone or has another hash than was verified.
        """

    async def refresh(
        self, instance_id: str, token: RefreshToken, expires: int, tokens_end: int
    ) -> Refreshed | Reused | None:
        """Spends a refresh token; None if it is invalid.

        The token that was spent last gets the same next one again for `REPEAT_SECONDS`; any other that was spent
        before ends its session.
        """

    async def end(self, instance_id: str, session_id: str) -> None:
        """Ends a session, if it has not ended."""

    async def end_all(self) -> None:
        """Ends all sessions of all instances, for a database restored from a backup.

        Which have ended since then, or begun, is unknown here. So the keys that sign access tokens go, too: tokens of
        sessions that are not known here must not count.
        """

    async def ended_after(self, sequence: int) -> list[tuple[int, EndedSession]]:
        """The sessions that ended after that one and still have access tokens, with their sequence numbers."""

    async def sweep(self) -> None:
        """Forgets sessions that nobody refreshed in time, and ended ones without access tokens, piece by piece."""


class StoredKey(NamedTuple):
    """A key that signs access tokens."""

    id: str
    private_key: str
    public_key: str
    """Both PEM."""
    created_at: int = 0


class AccountKeyStore(Protocol):
    """The keys that sign access tokens."""

    async def keys(self, instance_id: str) -> list[StoredKey] | None:
        """The keys of an instance, newest first; None if there is no such instance."""

    async def add(self, instance_id: str, key: StoredKey) -> None:
        """Adds a key, if the instance exists."""

    async def drop(self, instance_id: str, key_ids: Collection[str]) -> None:
        """Removes keys."""
