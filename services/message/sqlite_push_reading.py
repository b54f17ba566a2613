"""Whose log is read for web push, on SQLite: that of each instance which has subscriptions, and of no other."""

import sqlite3

from services.message import sqlite_log_readers
from services.message.push_store import CONSUMER


def begin(connection: sqlite3.Connection, instance_id: str) -> None:
    """Has the log read from here on; nothing changes if it is read already."""
    sqlite_log_readers.begin(connection, instance_id, CONSUMER)


def end_if_unused(connection: sqlite3.Connection, instance_id: str) -> None:
    """Has the log read no more if no subscription is left. Whoever removes subscriptions calls it."""
    left = connection.execute("SELECT 1 FROM push_subscriptions WHERE instance_id = ? LIMIT 1", (instance_id,))
    if left.fetchone() is None:
        sqlite_log_readers.end(connection, instance_id, CONSUMER)
