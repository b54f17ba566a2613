"""What is to be told to browsers, on SQLite."""

import sqlite3
from collections.abc import Collection, Sequence

import structlog
from google.protobuf.message import DecodeError

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.notifications import concerns
from services.common.sqlite import Database
from services.message import sqlite_push_reading, sqlite_rooms
from services.message.push_store import (
    GIVE_UP_MICROSECONDS,
    MOST_WAITING,
    STALE_MICROSECONDS,
    Key,
    Notice,
    Push,
    Sent,
)
from services.message.sqlite_access import permits
from services.message.sqlite_membership import is_member
from services.message.sqlite_message_rows import find, to_message
from services.message.sqlite_rooms import RoomRow, to_room

log = structlog.get_logger()

PERMISSION = "room:messages:get"
AT_ONCE = 200
"""Pushes stored in one unit of work, so that no other writer waits long."""
DEARER = 3
"""How many members are looked at in the time of one subscription."""
MOST_FOUND = 20_000
"""Pushes of several messages that are held in memory; of more, those of one message are."""

_SENT = (
    "SELECT x.room_key, x.created_at, x.user_id, r.member_count FROM messages x"
    " CROSS JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
    " WHERE x.instance_id = ? AND x.id = ? AND r.private AND x.unsent_at IS NULL AND x.created_at > ?"
)
_HAS_MORE = (
    "SELECT 1 FROM push_subscriptions INDEXED BY push_subscriptions_by_user WHERE instance_id = ? LIMIT 1 OFFSET ?"
)
_MEMBERS = "members m"
_SUBSCRIBERS = "push_subscriptions s INDEXED BY push_subscriptions_by_user"
_WHOM = (
    "SELECT s.id FROM {} CROSS JOIN {} ON s.instance_id = m.instance_id AND s.user_id = m.user_id"
    " WHERE m.instance_id = :instance_id AND s.instance_id = :instance_id AND m.room_key = :room_key"
    " AND m.user_id != :sender_id AND m.joined_position < :position AND s.created_at < :sent_at LIMIT :most"
)
"""Nobody is told of what was sent before he came."""
_WHOM_OF_MEMBERS = _WHOM.format(_MEMBERS, _SUBSCRIBERS)
_WHOM_OF_SUBSCRIBERS = _WHOM.format(_SUBSCRIBERS, _MEMBERS)
# The subscription may have gone meanwhile, or the log is told again, from before what it has got.
_TAKE = (
    "UPDATE push_subscriptions SET due_at = coalesce(due_at, :now), taken_position = :position"
    " WHERE instance_id = :instance_id AND id = :id AND taken_position < :position RETURNING failures"
)
_ADD = "INSERT INTO pushes VALUES (:instance_id, :id, :position, :room_key, :message_id, :sent_at)"
_IS_BEHIND = (
    "SELECT 1 FROM pushes WHERE instance_id = :instance_id AND subscription_id = :id ORDER BY position"
    f" LIMIT 1 OFFSET {MOST_WAITING}"
)
_KEEP_NEWEST = (
    "DELETE FROM pushes WHERE instance_id = :instance_id AND subscription_id = :id AND position NOT IN"
    " (SELECT max(position) FROM pushes WHERE instance_id = :instance_id AND subscription_id = :id GROUP BY room_key)"
)
_DUE = (
    "SELECT s.instance_id, s.id, p.position, s.endpoint, s.p256dh, s.auth, s.failures,"
    " s.user_id, s.expires_at, p.room_key, p.message_id, p.sent_at FROM push_subscriptions s"
    " CROSS JOIN pushes p ON p.instance_id = s.instance_id AND p.subscription_id = s.id AND p.position ="
    " (SELECT min(q.position) FROM pushes q WHERE q.instance_id = s.instance_id AND q.subscription_id = s.id)"
    " WHERE (s.failures > 0) = ? AND s.due_at <= ? ORDER BY s.due_at LIMIT ?"
)
_ROOM = f"SELECT {sqlite_rooms.COLUMNS}, r.member_count FROM rooms r WHERE r.instance_id = ? AND r.key = ?"

_FORGET = "DELETE FROM pushes WHERE instance_id = ? AND subscription_id = ? AND position = ?"
_GO_ON = (
    "UPDATE push_subscriptions SET due_at = (SELECT :now FROM pushes p WHERE p.instance_id = :instance_id"
    " AND p.subscription_id = :id LIMIT 1) WHERE instance_id = :instance_id AND id = :id"
)
_WORKS = "UPDATE push_subscriptions SET failures = ?, failing_since = NULL WHERE instance_id = ? AND id = ?"
_FAILS = (
    "UPDATE push_subscriptions SET failures = failures + 1, failing_since = coalesce(failing_since, ?), due_at = ?"
    " WHERE instance_id = ? AND id = ? RETURNING failing_since"
)
_REMOVE = "DELETE FROM push_subscriptions WHERE instance_id = ? AND id = ?"


_Row = tuple[str, int, int, int, int]
"""Subscription, position, room, message and its time."""


class SqlitePushQueue:
    """Keeps the promises of `PushQueue`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def instances(self) -> list[str]:
        """See `PushQueue`."""
        rows = await self._database.read(
            lambda connection: connection.execute("SELECT DISTINCT instance_id FROM push_subscriptions").fetchall()
        )
        return [instance_id for (instance_id,) in rows]

    async def add(self, instance_id: str, sent: Sequence[Sent]) -> bool:
        """See `PushQueue`."""
        oldest, most = self._clock() - STALE_MICROSECONDS, -1 if len(sent) == 1 else MOST_FOUND + 1

        def work(connection: sqlite3.Connection) -> list[_Row]:
            rows: list[_Row] = []
            for one in sent:
                rows += _to_tell(connection, instance_id, one, oldest, most)
                if 0 <= most <= len(rows):
                    break
            return rows

        rows = await self._database.read(work)
        if len(rows) > MOST_FOUND and len(sent) > 1:
            half = len(sent) // 2
            return any([await self.add(instance_id, sent[:half]), await self.add(instance_id, sent[half:])])
        for start in range(0, len(rows), AT_ONCE):
            piece = rows[start : start + AT_ONCE]
            await self._database.write(lambda connection: self._add(connection, instance_id, piece))  # noqa: B023
        return bool(rows)

    def _add(self, connection: sqlite3.Connection, instance_id: str, rows: Sequence[_Row]) -> None:
        now = self._clock()
        for subscription_id, position, room_key, message_id, sent_at in rows:
            values = {
                "instance_id": instance_id,
                "id": subscription_id,
                "position": position,
                "room_key": room_key,
                "message_id": message_id,
                "sent_at": sent_at,
                "now": now,
            }
            taken = connection.execute(_TAKE, values).fetchall()
            for (failures,) in taken:
                connection.execute(_ADD, values)
                if failures or connection.execute(_IS_BEHIND, values).fetchone():
                    connection.execute(_KEEP_NEWEST, values)

    async def due(self, now: int, *, failing: bool, busy: Collection[Key], size: int) -> list[Push]:
        """See `PushQueue`."""

        def work(connection: sqlite3.Connection) -> list[Push]:
            found = connection.execute(_DUE, (failing, now, size + len(busy))).fetchall()
            free = [row for row in found if Key(*row[:2]) not in busy][:size]
            return [_push(connection, now, *row) for row in free]

        return await self._database.read(work)

    async def next_due(self, now: int) -> int | None:
        """See `PushQueue`."""

        def work(connection: sqlite3.Connection) -> int | None:
            # Of those that have not failed, everything is due at once.
            row = connection.execute(
                "SELECT min(due_at) FROM push_subscriptions WHERE (failures > 0) = 1 AND due_at > ?", (now,)
            ).fetchone()
            due_at: int | None = row[0]
            return due_at

        return await self._database.read(work)

    async def told(self, push: Push, *, slow: bool = False) -> None:
        """See `PushQueue`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_WORKS, (int(slow), *push.key))
            self._forget(connection, push)

        await self._database.write(work)

    async def dropped(self, push: Push) -> None:
        """See `PushQueue`."""
        await self._database.write(lambda connection: self._forget(connection, push))

    def _forget(self, connection: sqlite3.Connection, push: Push) -> None:
        connection.execute(_FORGET, (*push.key, push.position))
        connection.execute(_GO_ON, {"now": self._clock(), **push.key._asdict()})

    async def failed(self, push: Push, retry_at: int) -> bool:
        """See `PushQueue`."""

        def work(connection: sqlite3.Connection) -> bool:
            return self._fails(connection, push, retry_at)

        return await self._database.write(work)

    async def refused(self, push: Push) -> bool:
        """See `PushQueue`."""

        def work(connection: sqlite3.Connection) -> bool:
            is_left = self._fails(connection, push, self._clock())
            self._forget(connection, push)
            return is_left

        return await self._database.write(work)

    def _fails(self, connection: sqlite3.Connection, push: Push, due_at: int) -> bool:
        """Counts a failure; False if the subscription is removed, for it was one too many."""
        now = self._clock()
        row = connection.execute(_FAILS, (now, due_at, *push.key)).fetchone()
        if row is not None and row[0] <= now - GIVE_UP_MICROSECONDS:
            _remove(connection, push.key)
            return False
        connection.execute(_KEEP_NEWEST, push.key._asdict())
        return True

    async def gone(self, push: Push) -> None:
        """See `PushQueue`."""
        await self._database.write(lambda connection: _remove(connection, push.key))


def _to_tell(connection: sqlite3.Connection, instance_id: str, sent: Sent, oldest: int, most: int) -> list[_Row]:
    """Whom a message is to be told. Looks at each member or at each subscription, whatever is quicker."""
    row = connection.execute(_SENT, (instance_id, sent.message_id, oldest)).fetchone()
    if row is None:
        return []
    room_key, sent_at, sender_id, members = row
    has_many = connection.execute(_HAS_MORE, (instance_id, members // DEARER)).fetchone() is not None
    values = {
        "instance_id": instance_id,
        "room_key": room_key,
        "sender_id": sender_id,
        "position": sent.position,
        "sent_at": sent_at,
        "most": most,
    }
    found = connection.execute(_WHOM_OF_MEMBERS if has_many else _WHOM_OF_SUBSCRIBERS, values)
    return [(subscription_id, sent.position, room_key, sent.message_id, sent_at) for (subscription_id,) in found]


def _remove(connection: sqlite3.Connection, key: Key) -> None:
    """Removes a subscription, with everything that was to be sent to it."""
    connection.execute(_REMOVE, key)
    sqlite_push_reading.end_if_unused(connection, key.instance_id)


def _push(
    connection: sqlite3.Connection,
    now: int,
    instance_id: str,
    subscription_id: str,
    position: int,
    endpoint: str,
    p256dh: bytes,
    auth: bytes,
    failures: int,
    user_id: str,
    expires_at: int | None,
    room_key: int,
    message_id: int,
    sent_at: int,
) -> Push:
    """A row of `_DUE`, with what is to be told."""
    key, expired = Key(instance_id, subscription_id), expires_at is not None and expires_at <= now
    is_stale = sent_at <= now - STALE_MICROSECONDS
    notice = None
    try:
        if not is_stale:
            notice = _notice(connection, now, instance_id, user_id, room_key, message_id)
    except DecodeError as error:  # one that is damaged holds up no other (fault 24)
        log.error("message_unreadable", instance=instance_id, message=message_id, exc_info=error)
    return Push(key, position, endpoint, p256dh, auth, failures, expired, notice)


def _notice(
    connection: sqlite3.Connection, now: int, instance_id: str, user_id: str, room_key: int, message_id: int
) -> Notice | None:
    """The message as the user finds it in the room at this moment."""
    found = connection.execute(_ROOM, (instance_id, room_key)).fetchone()
    if found is None:
        return None
    row, members = RoomRow(*found[:-1]), found[-1]
    room = to_room(row)
    if not concerns(room) or not is_member(connection, instance_id, room_key, user_id):
        return None
    if not permits(connection, instance_id, user_id, PERMISSION, room.id):
        return None
    try:
        message = to_message(find(connection, instance_id, row, now, message_id=message_id, viewer=user_id), row)
    except RoomlineError:
        return None
    return Notice(room, members, message)
