"""Webhooks whose deliveries fail: what becomes of the events (fault 24)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.message import log_reader
from services.message.sqlite_webhooks import SqliteWebhooks
from services.message.webhook_store import Target
from tests.services.message.hooked import Hooked, failing, hooked, idle, texts_of
from tests.support.receiver import accept, refuse

pytestmark = pytest.mark.thorough


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooked]:
    async with hooked(tmp_path) as running:
        yield running


async def test_with_other_kinds_it_is_another_delivery(hooks: Hooked) -> None:
    """Whoever has taken it already, though we have not heard of that, has not seen what is wanted only now."""
    hooks.target.reply = refuse(500)
    webhook = await hooks.create(event_kinds=["message_sent"])
    await hooks.send("one")
    await hooks.target.until(lambda posted: len(posted) >= 2)
    await hooks.update(webhook, event_kinds=["message_sent", "message_deleted"])
    hooks.target.reply = accept
    await hooks.until(webhook, idle)
    first, *_, last = hooks.deliveries()
    assert texts_of(first.events) == texts_of(last.events) == ["one"]
    assert first.id != last.id


async def test_a_failure_of_our_own_is_no_reason_to_leave_anything_out(
    hooks: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failures = SqliteWebhooks.target, iter(range(log_reader.TRIES + 2))

    async def fail(store: SqliteWebhooks, instance_id: str, webhook_id: str) -> Target | None:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("disk I/O error")
        return await read(store, instance_id, webhook_id)

    monkeypatch.setattr(SqliteWebhooks, "target", fail)
    webhook = await hooks.create()
    await hooks.send("one")
    found = await hooks.until(webhook, failing)
    assert found.status.last_error == "the server failed"
    await hooks.until_told("one")


async def test_a_receiver_that_talks_nonsense_gets_everything_later(hooks: Hooked) -> None:
    hooks.target.reply = refuse(503, Retry_After="Tue, 14 Nov 99999999999 22:14:20 GMT")
    await hooks.create()
    await hooks.send("one")
    await hooks.target.until(lambda posted: len(posted) > log_reader.TRIES)
    hooks.target.reply = accept
    await hooks.send("two")
    await hooks.target.until(lambda posted: b"two" in posted[-1].body)
    assert {*texts_of(hooks.events())} == {"one", "two"}
    assert len({delivery.id for delivery in hooks.deliveries()}) == 2
