"""The log of an instance: one number orders everything (see docs/architecture.md)."""

import sqlite3
from typing import NamedTuple

from roomline.v1.event_pb2 import Event

from services.common import timestamps
from services.common.sqlite import announce, shared_rows
from services.message.event_store import ROLES

FIRST_MESSAGE_ID = 1_000_000
"""Test suites use smaller numbers as cursor positions and as ids that must not exist (spec §5.1)."""
SKIPPED_MESSAGE_IDS = 10_000_000
"""More than an instance gets between two backups; and 200 restores fit into the 32 bits that old clients have."""
SKIPPED_A_SECOND = 10
"""So that a backup that is restored again skips what it got after it was restored first."""
MOST_LOST_SECONDS = 366 * 86_400
"""Longer ago was no backup, but a clock was wrong; ids would not fit into 32 bits."""

_LAST = "SELECT position, message_id, room_key FROM logs WHERE instance_id = ?"
_KEEP = "INSERT OR REPLACE INTO logs (instance_id, position, message_id, room_key) VALUES (?, ?, ?, ?)"


class Numbers(NamedTuple):
    """Numbers drawn for one change."""

    position: int
    message_id: int
    """New only if a message was asked for."""
    room_key: int
    """New only if a room was asked for."""


def draw(connection: sqlite3.Connection, instance_id: str, *, messages: int = 0, rooms: int = 0) -> Numbers:
    """Takes the next position, and ids for a new message or room if asked for.

    There is one writer, so positions are handed out in commit order; a rolled-back change gives its numbers back. What
    was taken last is written once for all changes that are committed together.
    """
    last = _last(connection, instance_id)
    numbers = Numbers(last.position + 1, last.message_id + messages, last.room_key + rooms)
    shared_rows(connection)[_KEEP, instance_id] = numbers
    return numbers


def draw_message_id(connection: sqlite3.Connection, instance_id: str, imported: int = 0) -> int:
    """The id of an imported message, of which the log says nothing: its own if it has one, or else the next.

    The next one to be drawn is greater than both.
    """
    last = _last(connection, instance_id)
    message_id = imported or last.message_id + 1
    kept = last._replace(message_id=max(last.message_id, message_id))
    shared_rows(connection)[_KEEP, instance_id] = kept
    return message_id


def _last(connection: sqlite3.Connection, instance_id: str) -> Numbers:
    """What was taken last."""
    known = shared_rows(connection).get((_KEEP, instance_id)) or connection.execute(_LAST, (instance_id,)).fetchone()
    return Numbers(*(known or (0, FIRST_MESSAGE_ID - 1, 0)))


def skip_message_ids(connection: sqlite3.Connection, lost_seconds: int) -> None:
    """Leaves out ids in all instances, which may have been given out in histories of that time, not known here."""
    skipped = SKIPPED_MESSAGE_IDS + SKIPPED_A_SECOND * min(max(lost_seconds, 0), MOST_LOST_SECONDS)
    connection.execute("UPDATE logs SET message_id = message_id + ?", (skipped,))


def position(connection: sqlite3.Connection, instance_id: str) -> int:
    """The last place in the log, 0 if there is none; while writing, what is committed together counts too."""
    last = shared_rows(connection).get((_KEEP, instance_id)) or connection.execute(_LAST, (instance_id,)).fetchone()
    return 0 if last is None else int(last[0])


def roles_changed(connection: sqlite3.Connection, instance_id: str) -> None:
    """Has whoever watches looked at again, whether it still may: roles have no events."""
    announce(connection, ROLES + instance_id)


def append(connection: sqlite3.Connection, instance_id: str, position: int, event: Event, now: int) -> None:
    """Writes the event of a change, in the transaction that makes it; whoever watches the instance is woken then."""
    event.position = position
    timestamps.fill(event.created_at, now)
    connection.execute(
        "INSERT INTO events VALUES (?, ?, ?, ?)", (instance_id, position, event.SerializeToString(), now)
    )
    announce(connection, instance_id)
