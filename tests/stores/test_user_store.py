"""The promises of `services/user/store.py` about users and deletions, on every backend."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.archive_pb2 import UserRecord
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import CreateUserRequest

from services.common.call import Caller, Level
from services.common.idempotency import request_key
from services.common.ids import MICROSECONDS
from services.common.timestamps import from_proto, to_proto
from services.user import sqlite_deletions
from services.user.sqlite_archive import SqliteArchive
from services.user.store import Age, Deletion, DeletionKind
from tests.stores.user_stores import FIRST, UserStores, new, repeatable, struct, user_stores
from tests.support.plans import looking_at_all, plans_of_writing
from tests.support.refusals import refuses


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[UserStores]:
    async with user_stores(tmp_path) as opened:
        yield opened


async def test_a_user_comes_back_as_it_was_created(stores: UserStores) -> None:
    created = (await stores.users.create("one", new("a", avatar_url="", custom_data=struct(n=[1, None])), None)).user
    assert await stores.users.get("one", ["a"]) == [created]
    assert (created.id, created.name, created.avatar_url) == ("a", "a's name", "")
    assert created.HasField("avatar_url")
    assert created.custom_data == struct(n=[1, None])
    assert from_proto(created.created_at) == from_proto(created.updated_at) == stores.clock.now
    assert created.uid[14] == "7"


@pytest.mark.parametrize(
    "user_id", ["a b", "Ⓐ", "e\u0301", "\u00e9", "👩🏽‍🚀", "a/b+c%2F", "'\"\\", "nul\0nul", "007", "x" * 160]
)
async def test_ids_are_kept_to_the_byte(stores: UserStores, user_id: str) -> None:
    await stores.users.create("one", new(user_id), None)
    assert [user.id for user in await stores.users.get("one", [user_id])] == [user_id]
    assert await stores.ids() == [user_id]


async def test_unset_fields_stay_unset_and_empty_custom_data_stays_empty(stores: UserStores) -> None:
    bare, empty = (await stores.users.create_all("one", [new("bare"), new("empty", custom_data=Struct())], None)).users
    assert not bare.HasField("avatar_url")
    assert not bare.HasField("custom_data")
    assert empty.HasField("custom_data")
    assert await stores.users.get("one", ["bare", "empty"]) == [bare, empty]


async def test_a_batch_keeps_its_order_and_creates_all_or_none(stores: UserStores) -> None:
    batch = await stores.users.create_all("one", [new("c"), new("a"), new("b")], None)
    assert [user.id for user in batch.users] == ["c", "a", "b"]
    with refuses("USER_ALREADY_EXISTS", id="a"):
        await stores.users.create_all("one", [new("d"), new("a")], None)
    with refuses("USER_ALREADY_EXISTS", id="e"):
        await stores.users.create_all("one", [new("e"), new("e")], None)
    assert await stores.ids() == ["c", "a", "b"]


async def test_an_instance_does_not_see_the_users_of_another(stores: UserStores) -> None:
    await stores.users.create("one", new("same"), None)
    await stores.users.create("two", new("same", avatar_url="two"), None)
    await stores.users.create("two", new("other"), None)
    assert [user.avatar_url for user in await stores.users.get("one", ["same", "other"])] == [""]
    assert await stores.ids("one") == ["same"]
    await stores.users.delete("two", "same", None)
    assert await stores.ids("one") == ["same"]
    with refuses("USER_NOT_FOUND"):
        await stores.users.update("one", User(id="other", name="x"), ["name"], None)
    with refuses("USER_NOT_FOUND"):
        await stores.users.delete("one", "other", None)


async def test_users_need_an_instance(stores: UserStores) -> None:
    with refuses("INSTANCE_NOT_FOUND"):
        await stores.users.create("three", new("a"), None)


async def test_get_keeps_the_order_of_the_ids_and_gives_each_user_once(stores: UserStores) -> None:
    await stores.users.create_all("one", [new("a"), new("b")], None)
    assert [user.id for user in await stores.users.get("one", ["b", "no", "a", "b"])] == ["b", "a"]
    assert await stores.users.get("one", []) == []


async def test_the_list_is_by_age_and_ties_by_insertion(stores: UserStores) -> None:
    await stores.users.create("one", new("z"), None)
    await stores.users.create_all("one", [new("y"), new("b")], None)
    await stores.users.create("one", new("a"), None)
    second = stores.clock.now + 2 * MICROSECONDS
    stores.clock.now = second
    await stores.users.create("one", new("0"), None)
    assert await stores.ids() == ["z", "y", "b", "a", "0"]
    assert await stores.ids(after=Age(second, 0)) == ["0"]
    assert await stores.ids(after=Age(second + 1, 0)) == []


async def test_pages_join_without_gap_or_overlap(stores: UserStores) -> None:
    for name in "abcdefg":
        await stores.users.create("one", new(name), None)
    found: list[str] = []
    after: Age | None = FIRST
    while after is not None:
        users, after = await stores.users.page("one", after, 3)
        found += [user.id for user in users]
        await stores.users.delete("one", found[-1], None)  # the place of a user that is gone is still a place
    assert found == list("abcdefg")
    users, after = await stores.users.page("one", FIRST, 4)
    assert ([user.id for user in users], after) == (list("abde"), None)


async def test_an_update_changes_what_is_named(stores: UserStores) -> None:
    created = (await stores.users.create("one", new("a", avatar_url="old", custom_data=struct(x=1)), None)).user
    stores.clock.advance(1)
    values = User(id="a", name="New", avatar_url="new", custom_data=struct(y=2))
    updated = (await stores.users.update("one", values, ["custom_data"], None)).user
    assert updated.custom_data == struct(y=2)
    assert (updated.name, updated.avatar_url) == (created.name, "old")
    assert updated.updated_at == to_proto(stores.clock.now)
    assert updated.created_at == created.created_at
    assert await stores.users.get("one", ["a"]) == [updated]
    cleared = (await stores.users.update("one", User(id="a"), ["avatar_url", "custom_data"], None)).user
    assert not cleared.HasField("avatar_url")
    assert not cleared.HasField("custom_data")
    assert await stores.users.get("one", ["a"]) == [cleared]


async def test_an_update_of_nothing_changes_nothing(stores: UserStores) -> None:
    created = (await stores.users.create("one", new("a"), None)).user
    stores.clock.advance(1)
    assert (await stores.users.update("one", User(id="a", name="x"), [], None)).user == created


async def test_a_repeated_request_gets_the_first_answer(stores: UserStores) -> None:
    first = await stores.users.create("one", new("a"), repeatable("1", "a"))
    stores.clock.advance(1)
    assert await stores.users.create("one", new("a"), repeatable("1", "a")) == first
    with refuses("REQUEST_ID_REUSED"):
        await stores.users.create("one", new("b"), repeatable("1", "b"))
    await stores.users.delete("one", "a", repeatable("2"))
    await stores.users.delete("one", "a", repeatable("2"))
    assert await stores.ids() == []


async def test_two_repeats_at_once_have_one_effect(stores: UserStores) -> None:
    request = CreateUserRequest(user=new("a"), request_id="1")
    key = request_key(Caller(Level.SERVER, "one"), request)
    answers = await asyncio.gather(*(stores.users.create("one", request.user, key) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)


async def test_a_deleted_user_leaves_a_deletion_that_blocks_its_id(stores: UserStores) -> None:
    deletion = Deletion("one", DeletionKind.USER, "a")
    await stores.users.create("one", new("a"), None)
    assert not await stores.deletions.is_pending(deletion)
    await stores.users.delete("one", "a", None)
    assert await stores.deletions.pending() == [deletion]
    assert await stores.deletions.is_pending(deletion)
    with refuses("DELETION_PENDING", kind="user"):
        await stores.users.create_all("one", [new("b"), new("a")], None)
    await stores.users.create("two", new("a"), None)
    await stores.deletions.finished(deletion)
    assert await stores.deletions.pending() == []
    await stores.users.create("one", new("a"), None)


async def test_deletions_come_oldest_first(stores: UserStores) -> None:
    for user_id in ("b", "a", "c"):
        await stores.users.create("one", new(user_id), None)
    for user_id in ("b", "a", "c"):
        stores.clock.advance(1)
        await stores.users.delete("one", user_id, None)
    assert [deletion.id for deletion in await stores.deletions.pending()] == ["b", "a", "c"]


async def test_a_wipe_empties_one_instance(stores: UserStores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_deletions, "WIPE_ROWS", 2)
    for instance_id in ("one", "two"):
        await stores.users.create_all(instance_id, [new(str(number)) for number in range(5)], None)
        await stores.users.delete(instance_id, "0", None)
    await stores.users.create("one", new("again"), repeatable("1"))
    await stores.deletions.wipe("one")
    assert await stores.ids("one") == []
    assert len(await stores.ids("two")) == 4
    assert len(await stores.deletions.pending()) == 2
    await stores.deletions.drop_user_deletions("one")
    assert await stores.deletions.pending() == [Deletion("two", DeletionKind.USER, "0")]
    await stores.users.create("one", new("again"), repeatable("1"))
    assert await stores.ids("one") == ["again"]


async def test_taking_a_user_does_not_look_at_all_others(stores: UserStores) -> None:
    now = to_proto(stores.clock.now)
    user = User(id="a", uid="01890000-0000-7000-8000-000000000001", created_at=now, updated_at=now)
    async with plans_of_writing(stores.database) as plans:
        for _ in range(2):
            await SqliteArchive(stores.database).take("one", [UserRecord(user=user)])
    assert any("SEARCH users" in plan for plan in plans)
    assert looking_at_all("users", plans) == []
