"""The keys that sign the access tokens of accounts: made when they are needed first, and renewed.

Every 30 days there is a new key. It verifies everywhere for a day before it signs anything, so that no service meets a
token whose key it does not know; an old one goes when the last token that it can have signed is over.
"""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import orjson
import structlog
from joserfc.jwk import RSAKey
from roomline.v1.account_pb2 import Account
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.account_tokens import ALGORITHM, account_token
from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.user.account_store import AccountKeyStore, StoredKey
from services.user.directory import Directory

log = structlog.get_logger()

KEY_BITS = 2048
RENEW_SECONDS = 30 * 86_400
AHEAD_SECONDS = 86_400
"""How long a new key is known before it signs, unless it is the only one."""


def new_rsa_key() -> RSAKey:
    """A new private key. Takes a good part of a second."""
    return RSAKey.generate_key(KEY_BITS)


class _Key(NamedTuple):
    id: str
    private: RSAKey
    created_at: int


class AccountKeys:
    """The keys of one instance. `new_id` names them."""

    def __init__(
        self,
        instance_id: str,
        store: AccountKeyStore,
        directory: Directory,
        *,
        issuer: str,
        token_seconds: int,
        clock: Clock,
        new_id: Callable[[], str],
        new_key: Callable[[], RSAKey] = new_rsa_key,
    ) -> None:
        self._instance_id = instance_id
        self._store = store
        self._directory = directory
        self._issuer = issuer
        self._token_seconds = token_seconds
        self._clock = clock
        self._new_id = new_id
        self._new_key = new_key
        self._keys: list[_Key] = []
        self._renewing = asyncio.Lock()

    async def renew(self, instance_id: str) -> None:
        """Makes a key if the instance has none that is young enough, and drops what is not needed any longer.

        Does nothing for another instance, or if there is none. Only the store knows of it until the directory takes it
        over. Does not raise: whoever needs a key and finds none tries again.
        """
        if instance_id != self._instance_id:
            return
        try:
            async with self._renewing:
                await self._renew()
        except Exception as error:
            log.error("account_keys_not_renewed", instance=instance_id, exc_info=error)

    async def prepare(self) -> None:
        """As `renew`, for our instance, and takes effect in every service."""
        await self._directory.after(self.renew(self._instance_id), lambda _: self._instance_id)

    async def sign(self, account: Account, session_id: str, begins: int) -> str:
        """An access token that begins at that time, in seconds since the Unix epoch."""
        if not self._keys:
            await self.prepare()
        if not self._keys:
            raise RoomlineError(ErrorReason.ERROR_REASON_INTERNAL)
        known_long = self._clock() - AHEAD_SECONDS * MICROSECONDS
        key = next((key for key in self._keys if key.created_at <= known_long), self._keys[-1])
        return account_token(
            self._issuer,
            self._instance_id,
            account,
            session_id,
            begins,
            begins + self._token_seconds,
            (key.id, key.private),
        )

    def key_set(self) -> str:
        """The public keys as a JSON Web Key Set (RFC 7517)."""
        keys = [
            {**key.private.as_dict(private=False), "kid": key.id, "alg": ALGORITHM, "use": "sig"} for key in self._keys
        ]
        return orjson.dumps({"keys": keys}).decode()

    async def _renew(self) -> None:
        stored = await self._store.keys(self._instance_id)
        if stored is None:
            return
        now = self._clock()
        if not stored or stored[0].created_at <= now - RENEW_SECONDS * MICROSECONDS:
            await self._store.add(self._instance_id, await asyncio.to_thread(self._make))
            stored = await self._store.keys(self._instance_id) or []
        # What signed before the key after it did may still be in use for as long as a token lives.
        over = now - (AHEAD_SECONDS + self._token_seconds) * MICROSECONDS
        dropped = {old.id for new, old in pairwise(stored) if new.created_at < over}
        if dropped:
            await self._store.drop(self._instance_id, dropped)
        self._keys = [
            _Key(key.id, RSAKey.import_key(key.private_key), key.created_at) for key in stored if key.id not in dropped
        ]

    def _make(self) -> StoredKey:
        key = self._new_key()
        return StoredKey(self._new_id(), _pem(key, private=True), _pem(key, private=False))


def _pem(key: RSAKey, *, private: bool) -> str:
    return key.as_pem(private=private).decode()
