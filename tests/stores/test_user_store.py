"""The promises of `services/user/store.py`, on every backend."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import CreateUserRequest, NewUser

from services.common.call import Caller, Level
from services.common.idempotency import RequestKey, request_key
from services.common.ids import MICROSECONDS, Uuid7
from services.common.sqlite import Database, migrate
from services.common.timestamps import from_proto, to_proto
from services.user import sqlite_deletions
from services.user.server import MIGRATIONS
from services.user.sqlite_deletions import SqliteDeletions
from services.user.sqlite_instances import SqliteInstances
from services.user.sqlite_users import SqliteUsers
from services.user.store import Age, Deletion, DeletionKind, DeletionStore, InstanceStore, UserStore
from tests.support.clock import ManualClock
from tests.support.refusals import refuses

FIRST = Age(0, 0)
"""Before the oldest user."""


@dataclass
class UserStores:
    """All stores over one database, with a clock that tests move."""

    database: Database
    clock: ManualClock
    users: UserStore
    instances: InstanceStore
    deletions: DeletionStore

    async def ids(self, instance_id: str = "one", after: Age = FIRST) -> list[str]:
        """The ids of the users, in the order of the list."""
        return [user.id for user in (await self.users.page(instance_id, after, 100))[0]]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[UserStores]:
    """Stores on SQLite, with two instances."""
    path = tmp_path / "user.db"
    await asyncio.to_thread(migrate, path, MIGRATIONS)
    database = Database(path)
    await database.open()
    clock = ManualClock()
    stores = UserStores(
        database,
        clock,
        SqliteUsers(database, clock, Uuid7(clock)),
        SqliteInstances(database, clock),
        SqliteDeletions(database),
    )
    for instance_id in ("one", "two"):
        await stores.instances.create(
            Instance(id=instance_id, cluster="local"), InstanceKey(id="key", secret="hush"), None
        )
    yield stores
    await database.close()


def new(user_id: str, **fields: object) -> NewUser:
    return NewUser(id=user_id, name=f"{user_id}'s name", **fields)  # type: ignore[arg-type]


def struct(**values: Any) -> Struct:
    result = Struct()
    result.update(values)
    return result


def repeatable(request_id: str, *content: object) -> RequestKey:
    return RequestKey("one", "", request_id, repr(content).encode())


# Users


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


# Deletions


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


# Instances and keys


async def test_an_instance_comes_back_as_it_was_created(stores: UserStores) -> None:
    instance = Instance(
        id="x", cluster="us1", flags=InstanceFlags(allow_reset=True), limits=InstanceLimits(batch_users=3)
    )
    created = await stores.instances.create(instance, InstanceKey(id="k", secret="s"), None)
    assert created.instance.locator == "v1:us1:x"
    assert created.instance.flags == InstanceFlags(allow_reset=True)
    assert created.instance.limits == InstanceLimits(batch_users=3)
    assert created.key == InstanceKey(id="k", secret="s", created_at=to_proto(stores.clock.now))
    assert await stores.instances.get("x") == created.instance
    credentials = await stores.instances.credentials("x")
    assert credentials is not None
    assert (credentials.instance, list(credentials.keys)) == (created.instance, [created.key])
    assert credentials in await stores.instances.all_credentials()
    with refuses("INSTANCE_ALREADY_EXISTS", id="x"):
        await stores.instances.create(instance, InstanceKey(id="k2", secret="s"), None)


async def test_instances_are_listed_by_id(stores: UserStores) -> None:
    assert [instance.id for instance in await stores.instances.page("", 10)] == ["one", "two"]
    assert [instance.id for instance in await stores.instances.page("", 1)] == ["one"]
    assert [instance.id for instance in await stores.instances.page("ooo", 10)] == ["two"]


async def test_an_instance_update_changes_what_is_named(stores: UserStores) -> None:
    stores.clock.advance(1)
    values = Instance(
        id="one",
        flags=InstanceFlags(allow_reset=True, test_token_provider=True),
        limits=InstanceLimits(batch_users=5),
    )
    updated = (await stores.instances.update(values, ["flags.allow_reset", "limits"], None)).instance
    assert updated.flags == InstanceFlags(allow_reset=True)
    assert updated.limits == InstanceLimits(batch_users=5)
    assert updated.updated_at == to_proto(stores.clock.now)
    cleared = (await stores.instances.update(Instance(id="one"), ["flags", "limits.batch_users"], None)).instance
    assert cleared.flags == InstanceFlags()
    assert cleared.limits == InstanceLimits()
    assert await stores.instances.get("one") == cleared


async def test_a_deleted_instance_leaves_a_deletion_that_blocks_its_id(stores: UserStores) -> None:
    await stores.users.create("one", new("a"), None)
    await stores.users.create("one", new("b"), None)
    await stores.users.delete("one", "a", None)
    await stores.instances.delete("one", None)
    assert await stores.instances.credentials("one") is None
    assert await stores.deletions.pending() == [Deletion("one", DeletionKind.INSTANCE)]
    with refuses("INSTANCE_NOT_FOUND"):
        await stores.users.create("one", new("c"), None)
    with refuses("DELETION_PENDING", kind="instance"):
        await stores.instances.create(Instance(id="one"), InstanceKey(id="k", secret="s"), None)
    await stores.deletions.wipe("one")
    await stores.deletions.drop_user_deletions("one")
    assert await stores.deletions.is_pending(Deletion("one", DeletionKind.INSTANCE))
    await stores.deletions.finished(Deletion("one", DeletionKind.INSTANCE))
    await stores.instances.create(Instance(id="one"), InstanceKey(id="k", secret="s"), None)
    assert await stores.ids("one") == []


async def _ends(stores: UserStores) -> dict[str, int | None]:
    credentials = await stores.instances.credentials("one")
    assert credentials is not None
    return {key.id: from_proto(key.revoked_at) if key.HasField("revoked_at") else None for key in credentials.keys}


async def test_keys_are_added_rotated_and_revoked(stores: UserStores) -> None:
    now = stores.clock.now
    await stores.instances.create_key("one", InstanceKey(id="a", secret="1"), None)
    with refuses("KEY_ALREADY_EXISTS", id="a"):
        await stores.instances.create_key("one", InstanceKey(id="a", secret="2"), None)
    await stores.instances.create_key("two", InstanceKey(id="a", secret="3"), None)
    await stores.instances.revoke_key("one", "key", None)
    assert await _ends(stores) == {"key": now, "a": None}
    await stores.instances.rotate_key("one", InstanceKey(id="0", secret="4"), 60, None)
    assert await _ends(stores) == {"key": now, "a": now + 60 * MICROSECONDS, "0": None}
    stores.clock.advance(1)
    await stores.instances.revoke_key("one", "a", None)
    await stores.instances.revoke_key("one", "key", None)
    assert await _ends(stores) == {"key": now, "a": now + MICROSECONDS, "0": None}
    with refuses("KEY_NOT_FOUND"):
        await stores.instances.revoke_key("one", "b", None)


async def test_a_missing_instance_is_said_to_be_missing(stores: UserStores) -> None:
    key = InstanceKey(id="k", secret="s")
    for attempt in (
        stores.instances.get("no"),
        stores.instances.update(Instance(id="no"), ["flags"], None),
        stores.instances.delete("no", None),
        stores.instances.create_key("no", key, None),
        stores.instances.revoke_key("no", "k", None),
        stores.instances.rotate_key("no", key, 0, None),
    ):
        with refuses("INSTANCE_NOT_FOUND"):
            await attempt


async def test_a_repeated_rotation_adds_one_key(stores: UserStores) -> None:
    first = await stores.instances.rotate_key("one", InstanceKey(id="a", secret="1"), 0, repeatable("1"))
    assert await stores.instances.rotate_key("one", InstanceKey(id="b", secret="2"), 0, repeatable("1")) == first
    assert list(await _ends(stores)) == ["key", "a"]
