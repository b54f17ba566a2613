"""Keeps the sessions of accounts in SQLite."""

import hmac
import os
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from roomline.v1.account_pb2 import Account
from roomline.v1.instance_service_pb2 import EndedSession

from services.common.ids import MICROSECONDS, Clock
from services.common.sqlite import Database
from services.common.timestamps import to_proto
from services.user.account_store import NewSession, Refreshed, Reused, StoredPassword
from services.user.refresh_tokens import SECRET_BYTES, RefreshToken
from services.user.sqlite_accounts import account_of

REPEAT_SECONDS = 10
"""How long the refresh token that was spent last gets the same next one again."""
MAX_SESSIONS = 100
"""How many sessions an account has at most; the ones longest silent end for new ones."""
SWEEP_ROWS = 5000

_SELECT = (
    "SELECT user_id, seal, salt, present, previous, refreshed_at, expires_at FROM sessions"
    " WHERE instance_id = ? AND id = ?"
)
_END_SILENT = (
    "DELETE FROM sessions WHERE instance_id = ?1 AND id IN"
    " (SELECT id FROM sessions WHERE instance_id = ?1 AND user_id = ?2"
    " ORDER BY refreshed_at DESC, created_at DESC, id DESC LIMIT -1 OFFSET ?3)"
)
_DELETE = "DELETE FROM sessions WHERE instance_id = ? AND id = ?"
_SWEEP_SESSIONS = (
    "DELETE FROM sessions WHERE (instance_id, id) IN"
    " (SELECT instance_id, id FROM sessions WHERE expires_at <= ?1 AND tokens_end <= ?1 LIMIT ?2)"
)
_SWEEP_ENDED = (
    "DELETE FROM ended_sessions WHERE sequence IN (SELECT sequence FROM ended_sessions WHERE tokens_end <= ? LIMIT ?)"
)


class _Session(NamedTuple):
    """A row; see the migration."""

    user_id: str
    seal: bytes
    salt: bytes
    present: bytes
    previous: bytes | None
    refreshed_at: int
    expires_at: int


class SqliteSessions:
    """A `SessionStore`. Whatever deletes a session, a trigger keeps it as an ended one."""

    def __init__(self, database: Database, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy

    async def start(
        self, instance_id: str, verified: StoredPassword, new: NewSession, rehashed: str | None = None
    ) -> Account | None:
        """See `SessionStore`."""

        def work(connection: sqlite3.Connection) -> Account | None:
            user_id = verified.user_id
            still = connection.execute(
                "SELECT 1 FROM accounts WHERE instance_id = ? AND user_id = ? AND password = ?",
                (instance_id, user_id, verified.hash),
            )
            if still.fetchone() is None:
                return None
            if rehashed is not None:
                connection.execute(
                    "UPDATE accounts SET password = ? WHERE instance_id = ? AND user_id = ?",
                    (rehashed, instance_id, user_id),
                )
            now, salt = self._clock(), self._entropy(SECRET_BYTES)
            connection.execute(
                "INSERT INTO sessions (instance_id, id, user_id, seal, salt, present, refreshed_at, expires_at,"
                " tokens_end, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(instance_id, new.token.session_id, user_id, new.seal_key, salt, new.token.digest),
                    *(now, new.expires, new.tokens_end, now),
                ),
            )
            connection.execute(_END_SILENT, (instance_id, user_id, MAX_SESSIONS))
            return account_of(connection, instance_id, user_id)

        return await self._database.write(work)

    async def refresh(
        self, instance_id: str, token: RefreshToken, expires: int, tokens_end: int
    ) -> Refreshed | Reused | None:
        """See `SessionStore`."""

        def work(connection: sqlite3.Connection) -> Refreshed | Reused | None:
            name = (instance_id, token.session_id)
            row = connection.execute(_SELECT, name).fetchone()
            if row is None:
                return None
            session, now = _Session(*row), self._clock()
            if session.expires_at <= now:
                return None
            if hmac.compare_digest(token.digest, session.present):
                salt = self._entropy(SECRET_BYTES)
                following = token.following(salt, session.seal)
                connection.execute(
                    "UPDATE sessions SET salt = ?, present = ?, previous = ?, refreshed_at = ?, expires_at = ?"
                    " WHERE instance_id = ? AND id = ?",
                    (salt, following.digest, token.digest, now, expires, *name),
                )
            elif _may_repeat(session, token, now):
                following = token.following(session.salt, session.seal)
            elif token.is_sealed(session.seal):
                connection.execute(_DELETE, name)
                return Reused(session.user_id)
            else:
                return None
            connection.execute(
                "UPDATE sessions SET tokens_end = max(tokens_end, ?) WHERE instance_id = ? AND id = ?",
                (tokens_end, *name),
            )
            return Refreshed(account_of(connection, instance_id, session.user_id), following)

        return await self._database.write(work)

    async def end(self, instance_id: str, session_id: str) -> None:
        """See `SessionStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_DELETE, (instance_id, session_id))

        await self._database.write(work)

    async def end_all(self) -> None:
        """See `SessionStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions")
            connection.execute("DELETE FROM account_keys")

        await self._database.write(work)

    async def ended_after(self, sequence: int) -> list[tuple[int, EndedSession]]:
        """See `SessionStore`."""

        def work(connection: sqlite3.Connection) -> list[tuple[int, EndedSession]]:
            rows = connection.execute(
                "SELECT sequence, instance_id, session_id, tokens_end FROM ended_sessions"
                " WHERE sequence > ? AND tokens_end > ? ORDER BY sequence",
                (sequence, self._clock()),
            )
            return [
                (number, EndedSession(instance_id=instance_id, id=session_id, tokens_end=to_proto(tokens_end)))
                for number, instance_id, session_id, tokens_end in rows
            ]

        return await self._database.read(work)

    async def sweep(self) -> None:
        """See `SessionStore`."""
        now = self._clock()
        for statement in (_SWEEP_SESSIONS, _SWEEP_ENDED):
            while await self._database.write(
                lambda connection: connection.execute(statement, (now, SWEEP_ROWS)).rowcount  # noqa: B023
            ):
                pass


def _may_repeat(session: _Session, token: RefreshToken, now: int) -> bool:
    """Whether this is the token that was spent last, shown again because the answer was lost."""
    if session.previous is None or now - session.refreshed_at > REPEAT_SECONDS * MICROSECONDS:
        return False
    return hmac.compare_digest(token.digest, session.previous)
