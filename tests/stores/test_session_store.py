"""What the user service's stores promise about sessions, and the keys of their tokens."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import EndedSession

from services.common.ids import MICROSECONDS
from services.common.timestamps import to_proto
from services.user import sqlite_sessions
from services.user.account_store import (
    NewSession,
    Reused,
    StoredKey,
    StoredPassword,
)
from services.user.refresh_tokens import RefreshToken
from services.user.sqlite_sessions import REPEAT_SECONDS
from tests.stores.account_stores import QUARTER, SEAL_KEY, WEEK, at, ended, next_of, refresh, register, start
from tests.stores.user_stores import UserStores, user_stores


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[UserStores]:
    """Stores on SQLite, with the instances `one` and `two`."""
    async with user_stores(tmp_path) as opened:
        yield opened


# Sessions


async def test_a_session_starts_with_its_account(stores: UserStores) -> None:
    account = await register(stores)
    token = RefreshToken.make("01900000-0000-7000-8000-000000000000", b"s" * 32, SEAL_KEY)
    session = NewSession(token, SEAL_KEY, at(stores, WEEK), at(stores, QUARTER))
    verified = StoredPassword(account.user_id, "", "hash")
    assert await stores.sessions.start("one", verified, session, "a better hash") == account
    stored = await stores.accounts.password_of_user("one", account.user_id)
    assert stored is not None
    assert stored.hash == "a better hash"
    assert await stores.sessions.start("two", verified, session) is None


async def test_of_too_many_sessions_the_most_silent_end(stores: UserStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_sessions, "MAX_SESSIONS", 3)
    account, other = await register(stores), await register(stores, "bob@example.org")
    kept = await start(stores, other, 9)
    tokens = []
    for number in (1, 2, 3):
        tokens.append(await start(stores, account, number))
        stores.clock.advance(1)
    await next_of(stores, tokens[0])
    await start(stores, account, 4)
    assert await ended(stores) == [tokens[1].session_id]
    await start(stores, account, 5)
    assert await ended(stores) == [tokens[1].session_id, tokens[2].session_id]
    await next_of(stores, kept)


async def test_each_refresh_token_counts_once(stores: UserStores) -> None:
    account = await register(stores)
    first = await start(stores, account)
    second = await next_of(stores, first)
    third = await next_of(stores, second)
    assert len({first.text, second.text, third.text}) == 3
    assert await refresh(stores, first) == Reused(account.user_id)
    assert await refresh(stores, third) is None
    assert await ended(stores) == [first.session_id]


async def test_all_sessions_of_all_instances_end_at_once(stores: UserStores) -> None:
    token = await start(stores, await register(stores))
    for instance in ("one", "two"):
        await stores.keys.add(instance, StoredKey("k", "private", "public"))
    await stores.sessions.end_all()
    assert await refresh(stores, token) is None
    assert await ended(stores) == [token.session_id]
    assert [await stores.keys.keys(instance) for instance in ("one", "two")] == [[], []]


async def test_a_refresh_whose_answer_was_lost_gets_the_same_again(stores: UserStores) -> None:
    first = await start(stores, await register(stores))
    second = await next_of(stores, first)
    stores.clock.advance(REPEAT_SECONDS)
    assert await next_of(stores, first) == second
    third = await next_of(stores, second)
    assert await next_of(stores, second) == third
    stores.clock.advance(REPEAT_SECONDS + 1)
    assert isinstance(await refresh(stores, second), Reused)
    assert await refresh(stores, third) is None


async def test_two_refreshes_at_once_give_the_same_token(stores: UserStores) -> None:
    first = await start(stores, await register(stores))
    tokens = await asyncio.gather(*(next_of(stores, first) for _ in range(5)))
    assert len(set(tokens)) == 1
    await next_of(stores, tokens[0])


async def test_a_made_up_token_of_a_session_does_not_end_it(stores: UserStores) -> None:
    first = await start(stores, await register(stores))
    for forged in (
        first._replace(secret=b"x" * 32),
        RefreshToken.make(first.session_id, b"x" * 32, b"another key"),
        first._replace(seal=b"x" * 16),
        first._replace(session_id="01900000-0000-7000-8000-000000000000"),
    ):
        assert await refresh(stores, forged) is None
    assert await refresh(stores, first, "two") is None
    await next_of(stores, first)
    assert await ended(stores) == []


async def test_a_session_that_nobody_refreshes_is_over(stores: UserStores) -> None:
    first = await start(stores, await register(stores))
    stores.clock.advance(WEEK - 1)
    second = await next_of(stores, first)
    stores.clock.advance(WEEK)
    assert await refresh(stores, second) is None
    await stores.sessions.sweep()
    stores.clock.advance(-WEEK)
    assert await refresh(stores, second) is None


async def test_an_ended_session_is_told_until_its_access_tokens_are_over(stores: UserStores) -> None:
    account = await register(stores)
    tokens = [await start(stores, account, number) for number in (1, 2)]
    stores.clock.advance(60)
    second = await next_of(stores, tokens[0])
    for token in tokens:
        await stores.sessions.end("one", token.session_id)
        await stores.sessions.end("one", token.session_id)
        await stores.sessions.end("two", token.session_id)
    assert await refresh(stores, second) is None
    (number, first), (_, other) = await stores.sessions.ended_after(0)
    end = to_proto(at(stores, QUARTER))
    assert first == EndedSession(instance_id="one", id=tokens[0].session_id, tokens_end=end)
    assert await ended(stores, number) == [tokens[1].session_id]
    stores.clock.advance(QUARTER - 60)  # the other session's access token ends
    assert await ended(stores) == [tokens[0].session_id]
    assert other.tokens_end == to_proto(stores.clock.now)


async def test_a_sweep_forgets_what_is_over_and_nothing_else(
    stores: UserStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_sessions, "SWEEP_ROWS", 2)
    account = await register(stores)
    old = [await start(stores, account, number) for number in range(1, 6)]
    stores.clock.advance(WEEK)
    token, gone = await start(stores, account, 8), await start(stores, account, 9)
    await stores.sessions.end("one", gone.session_id)
    await stores.sessions.sweep()
    assert await ended(stores) == [gone.session_id]
    stores.clock.advance(-WEEK)
    assert [await refresh(stores, one) for one in old] == [None] * 5
    stores.clock.advance(WEEK)
    await next_of(stores, token)

    rows = await stores.database.read(
        lambda connection: connection.execute(
            "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM ended_sessions)"
        ).fetchone()
    )
    assert rows == (1, 1)


async def test_no_refresh_token_is_stored(stores: UserStores) -> None:
    first = await start(stores, await register(stores))
    second = await next_of(stores, first)
    dump = await stores.database.read(lambda connection: "\n".join(connection.iterdump()))
    assert first.digest.hex() in dump.lower()
    for token in (first, second):
        assert token.text not in dump
        assert token.secret.hex() not in dump.lower()


# Keys


async def test_keys_come_newest_first_and_go_with_their_instance(stores: UserStores) -> None:
    for number in range(3):
        await stores.keys.add("one", StoredKey(f"k{number}", f"private {number}", f"public {number}"))
        stores.clock.advance(1)
    await stores.keys.add("three", StoredKey("k", "private", "public"))
    await stores.keys.drop("two", {"k0"})
    await stores.keys.drop("one", {"k1", "no"})
    keys = await stores.keys.keys("one")
    assert keys is not None
    assert [(key.id, key.private_key, key.public_key) for key in keys] == [
        ("k2", "private 2", "public 2"),
        ("k0", "private 0", "public 0"),
    ]
    assert keys[0].created_at - keys[1].created_at == 2 * MICROSECONDS
    assert (await stores.keys.keys("two"), await stores.keys.keys("three")) == ([], None)
    credentials = await stores.instances.credentials("one")
    assert credentials is not None
    assert [(key.id, key.public_key) for key in credentials.account_keys] == [("k2", "public 2"), ("k0", "public 0")]
    await stores.instances.delete("one", None)
    await stores.deletions.wipe("one")
    for deletion in await stores.deletions.pending():
        await stores.deletions.finished(deletion)
    await stores.instances.create(Instance(id="one"), InstanceKey(id="k"), None)
    assert await stores.keys.keys("one") == []
