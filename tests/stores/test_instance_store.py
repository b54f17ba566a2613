"""The promises of `services/user/store.py` about instances and keys, on every backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits

from services.common.ids import MICROSECONDS
from services.common.timestamps import from_proto, to_proto
from services.user.store import Deletion, DeletionKind
from tests.stores.user_stores import UserStores, new, repeatable, user_stores
from tests.support.refusals import refuses


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[UserStores]:
    async with user_stores(tmp_path) as opened:
        yield opened


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
