"""`InstanceService`, over gRPC (spec §12.6)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.instance_service_pb2 import (
    CreateInstanceRequest,
    CreateKeyRequest,
    DeleteInstanceRequest,
    GetCredentialsRequest,
    GetInstanceRequest,
    IssueTestTokenRequest,
    ListInstancesRequest,
    ListKeysRequest,
    ResetInstanceRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
    UpdateInstanceRequest,
    WatchCredentialsRequest,
    WatchCredentialsResponse,
)
from roomline.v1.user_service_pb2 import GetUserRequest, ListUsersRequest

from services.user import directory
from tests.services.user.conftest import House, Metadata, Tenant
from tests.support.refusals import refuses

Watch = AsyncIterator[WatchCredentialsResponse]


@asynccontextmanager
async def watching(house: House) -> AsyncIterator[Watch]:
    call = house.instances.WatchCredentials(WatchCredentialsRequest(), metadata=house.service())
    yield aiter(call)
    call.cancel()


async def snapshot(watch: Watch) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    async for news in watch:
        found |= keys_of(news)
        if news.complete:
            return found
    raise AssertionError("the stream ended before it was complete")


def keys_of(news: WatchCredentialsResponse) -> dict[str, list[str]]:
    return {credentials.instance.id: [key.id for key in credentials.keys] for credentials in news.changed}


async def next_news(watch: Watch) -> WatchCredentialsResponse:
    async with asyncio.timeout(30):
        return await anext(watch)


def with_key(tenant: Tenant, key: InstanceKey) -> Tenant:
    return Tenant(tenant.id, key, tenant.clock)


async def accepted(house: House, metadata: Metadata) -> bool:
    try:
        await house.users.ListUsers(ListUsersRequest(), metadata=metadata)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_an_instance_is_made_with_id_and_key(house: House) -> None:
    made = await house.instances.CreateInstance(CreateInstanceRequest(), metadata=house.operator)
    assert made.instance.locator == f"v1:local:{made.instance.id}"
    assert len(made.key.secret) == 64
    assert await accepted(house, Tenant(made.instance.id, made.key, house.clock).server())
    found = await house.instances.GetInstance(GetInstanceRequest(instance_id=made.instance.id), metadata=house.operator)
    assert found.instance == made.instance


async def test_id_and_key_can_be_given(house: House) -> None:
    request = CreateInstanceRequest(
        instance=Instance(id="mine", flags=InstanceFlags(allow_reset=True), limits=InstanceLimits(batch_users=3)),
        key=InstanceKey(id="k", secret="of:another=/+system"),
    )
    made = await house.instances.CreateInstance(request, metadata=house.operator)
    assert (made.key.id, made.key.secret) == ("k", "of:another=/+system")
    assert made.instance.flags == request.instance.flags
    assert made.instance.limits == request.instance.limits
    assert await accepted(house, Tenant("mine", made.key, house.clock).server())
    with refuses("INSTANCE_ALREADY_EXISTS", id="mine"):
        await house.instances.CreateInstance(request, metadata=house.operator)
    bad = CreateInstanceRequest(instance=Instance(id="a:b"))
    with refuses("FIELD_INVALID", field="instance.id"):
        await house.instances.CreateInstance(bad, metadata=house.operator)


async def test_a_cluster_can_be_given(house: House) -> None:
    request = CreateInstanceRequest(instance=Instance(id="taken", cluster="us1"))
    made = await house.instances.CreateInstance(request, metadata=house.operator)
    assert made.instance.locator == "v1:us1:taken"
    bad = CreateInstanceRequest(instance=Instance(id="bad", cluster="us1:x"))
    with refuses("FIELD_INVALID", field="instance.cluster"):
        await house.instances.CreateInstance(bad, metadata=house.operator)


async def test_a_repeated_create_gives_the_same_instance_and_key(house: House) -> None:
    request = CreateInstanceRequest(request_id="once")
    first = await house.instances.CreateInstance(request, metadata=house.operator)
    assert await house.instances.CreateInstance(request, metadata=house.operator) == first
    assert len((await house.instances.ListInstances(ListInstancesRequest(), metadata=house.operator)).instances) == 1


async def test_instances_are_listed_in_pages(house: House) -> None:
    for name in ("b", "c", "a"):
        await house.tenant(name)
    page = await house.instances.ListInstances(ListInstancesRequest(page_size=2), metadata=house.operator)
    assert [instance.id for instance in page.instances] == ["a", "b"]
    following = ListInstancesRequest(page_size=2, page_token=page.next_page_token)
    page = await house.instances.ListInstances(following, metadata=house.operator)
    assert ([instance.id for instance in page.instances], page.next_page_token) == (["c"], "")
    with refuses("PAGE_TOKEN_INVALID"):
        await house.instances.ListInstances(ListInstancesRequest(page_token="WzFd"), metadata=house.operator)


async def test_update_by_mask(house: House, tenant: Tenant) -> None:
    async def update(instance: Instance, *paths: str) -> Instance:
        request = UpdateInstanceRequest(instance=instance, update_mask=FieldMask(paths=paths))
        return (await house.instances.UpdateInstance(request, metadata=house.operator)).instance

    both = InstanceFlags(allow_reset=True, test_token_provider=True)
    assert (await update(Instance(id="one", flags=both), "flags.allow_reset")).flags == InstanceFlags(allow_reset=True)
    assert (await update(Instance(id="one", flags=both))).flags == both
    changed = await update(Instance(id="one", limits=InstanceLimits(batch_users=3)), "limits", "flags.allow_reset")
    assert changed.flags == InstanceFlags(test_token_provider=True)
    assert changed.limits == InstanceLimits(batch_users=3)
    for path in ("id", "cluster", "flags.nonsense", "created_at"):
        with refuses("FIELD_INVALID", field="update_mask"):
            await update(Instance(id="one"), path)
    with refuses("FIELD_INVALID", field="instance.limits.batch_users"):
        await update(Instance(id="one", limits=InstanceLimits(batch_users=1001)))
    with refuses("INSTANCE_NOT_FOUND"):
        await update(Instance(id="no"))


async def test_keys_are_added_and_listed_without_secrets(house: House, tenant: Tenant) -> None:
    request = CreateKeyRequest(instance_id="one", key=InstanceKey(id="second", secret="another secret of its own"))
    added = (await house.instances.CreateKey(request, metadata=house.operator)).key
    assert added.secret == request.key.secret
    with refuses("KEY_ALREADY_EXISTS", id="second"):
        await house.instances.CreateKey(request, metadata=house.operator)
    made = (await house.instances.CreateKey(CreateKeyRequest(instance_id="one"), metadata=house.operator)).key
    listed = (await house.instances.ListKeys(ListKeysRequest(instance_id="one"), metadata=house.operator)).keys
    assert [key.id for key in listed] == [tenant.key.id, "second", made.id]
    assert not any(key.secret for key in listed)
    for key in (tenant.key, added, made):
        assert await accepted(house, with_key(tenant, key).server())
    with refuses("INSTANCE_NOT_FOUND"):
        await house.instances.ListKeys(ListKeysRequest(instance_id="no"), metadata=house.operator)


async def test_a_revoked_key_is_refused_at_once(house: House, tenant: Tenant) -> None:
    other = (await house.instances.CreateKey(CreateKeyRequest(instance_id="one"), metadata=house.operator)).key
    assert await accepted(house, tenant.server())
    revoke = RevokeKeyRequest(instance_id="one", key_id=tenant.key.id)
    await house.instances.RevokeKey(revoke, metadata=house.operator)
    with refuses("TOKEN_INVALID"):
        await house.users.ListUsers(ListUsersRequest(), metadata=tenant.server())
    assert await accepted(house, with_key(tenant, other).server())
    with refuses("KEY_NOT_FOUND"):
        await house.instances.RevokeKey(RevokeKeyRequest(instance_id="one", key_id="no"), metadata=house.operator)


async def test_a_rotated_key_is_accepted_until_its_grace_ends(house: House, tenant: Tenant) -> None:
    rotate = RotateKeyRequest(instance_id="one", grace_seconds=60)
    new = with_key(tenant, (await house.instances.RotateKey(rotate, metadata=house.operator)).key)
    old_token = tenant.server()
    assert await accepted(house, old_token)
    assert await accepted(house, new.server())
    house.clock.advance(60)
    assert not await accepted(house, old_token)
    assert not await accepted(house, tenant.server())
    assert await accepted(house, new.server())
    credentials = await house.instances.GetCredentials(
        GetCredentialsRequest(instance_id="one"), metadata=house.service()
    )
    assert [key.id for key in credentials.credentials.keys] == [new.key.id]


async def test_watchers_see_everything_then_what_changes(house: House, tenant: Tenant) -> None:
    await house.tenant("two")
    async with watching(house) as watch:
        assert (await snapshot(watch)).keys() == {"one", "two"}
        rotate = RotateKeyRequest(instance_id="one", grace_seconds=60)
        new = (await house.instances.RotateKey(rotate, metadata=house.operator)).key
        news = await next_news(watch)
        assert keys_of(news) == {"one": [tenant.key.id, new.id]}
        old_key, new_key = news.changed[0].keys
        assert old_key.HasField("revoked_at")
        assert new_key.secret == new.secret
        await house.instances.RevokeKey(
            RevokeKeyRequest(instance_id="one", key_id=tenant.key.id), metadata=house.operator
        )
        assert keys_of(await next_news(watch)) == {"one": [new.id]}
        update = UpdateInstanceRequest(instance=Instance(id="two", flags=InstanceFlags(allow_reset=True)))
        await house.instances.UpdateInstance(update, metadata=house.operator)
        assert (await next_news(watch)).changed[0].instance.flags.allow_reset
        await house.instances.DeleteInstance(DeleteInstanceRequest(instance_id="two"), metadata=house.operator)
        assert list((await next_news(watch)).deleted_instance_ids) == ["two"]
        assert (await house.tenant("three")).id == "three"
        assert keys_of(await next_news(watch)).keys() == {"three"}


async def test_a_large_snapshot_comes_in_pieces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "BATCH", 2)
    names = {str(number) for number in range(5)}
    for name in names:
        await house.tenant(name)
    async with watching(house) as watch:
        assert (await snapshot(watch)).keys() == names


async def test_a_stopping_server_ends_watches_without_delay(house: House, tenant: Tenant) -> None:
    async with watching(house) as watch:
        await snapshot(watch)
        house.server._before_stop()
        with refuses("SHUTTING_DOWN"):
            await next_news(watch)


async def test_instances_and_keys_outlive_a_restart(house: House, tenant: Tenant) -> None:
    revoked = (await house.instances.CreateKey(CreateKeyRequest(instance_id="one"), metadata=house.operator)).key
    await house.instances.RevokeKey(RevokeKeyRequest(instance_id="one", key_id=revoked.id), metadata=house.operator)
    await house.stop()
    await house.start()
    assert await accepted(house, tenant.server())
    assert not await accepted(house, with_key(tenant, revoked).server())
    async with watching(house) as watch:
        assert await snapshot(watch) == {"one": [tenant.key.id]}


async def test_test_tokens_are_for_instances_that_allow_them(house: House, tenant: Tenant) -> None:
    with refuses("TEST_TOKENS_DISABLED"):
        await house.instances.IssueTestToken(IssueTestTokenRequest(instance_id="one", user_id="u"))
    with refuses("TEST_TOKENS_DISABLED"):
        await house.instances.IssueTestToken(IssueTestTokenRequest(instance_id="no", user_id="u"))
    open_house = await house.tenant("open", test_token_provider=True)
    request = IssueTestTokenRequest(instance_id="open", user_id="nobody yet")
    with refuses("FIELD_REQUIRED", field="user_id"):
        await house.instances.IssueTestToken(IssueTestTokenRequest(instance_id="open"))

    async def issue() -> Metadata:
        issued = await house.instances.IssueTestToken(request)
        assert issued.expires_in == 86_400
        return (("authorization", f"Bearer {issued.access_token}"),)

    token = await issue()
    with refuses("USER_NOT_FOUND"):
        await house.users.GetUser(GetUserRequest(id="nobody yet"), metadata=token)
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await house.instances.ResetInstance(ResetInstanceRequest(), metadata=token)
    await house.instances.RotateKey(RotateKeyRequest(instance_id="open"), metadata=house.operator)
    assert not await accepted(house, token)
    assert not await accepted(house, open_house.server())
    token = await issue()
    assert await accepted(house, token)
    house.clock.advance(86_400)
    with refuses("TOKEN_EXPIRED"):
        await house.users.ListUsers(ListUsersRequest(), metadata=token)


async def test_instances_are_for_the_operator_alone(house: House, tenant: Tenant) -> None:
    stub = house.instances
    for metadata in (tenant.user("a"), tenant.server(), house.service("one")):
        for attempt in (
            stub.CreateInstance(CreateInstanceRequest(), metadata=metadata),
            stub.GetInstance(GetInstanceRequest(instance_id="one"), metadata=metadata),
            stub.ListInstances(ListInstancesRequest(), metadata=metadata),
            stub.UpdateInstance(UpdateInstanceRequest(instance=Instance(id="one")), metadata=metadata),
            stub.DeleteInstance(DeleteInstanceRequest(instance_id="one"), metadata=metadata),
            stub.CreateKey(CreateKeyRequest(instance_id="one"), metadata=metadata),
            stub.ListKeys(ListKeysRequest(instance_id="one"), metadata=metadata),
            stub.RevokeKey(RevokeKeyRequest(instance_id="one", key_id=tenant.key.id), metadata=metadata),
            stub.RotateKey(RotateKeyRequest(instance_id="one"), metadata=metadata),
        ):
            with refuses("CALLER_NOT_ALLOWED", level="operator"):
                await attempt


async def test_credentials_are_for_the_processes_alone(house: House, tenant: Tenant) -> None:
    request = GetCredentialsRequest(instance_id="one")
    for metadata in (tenant.user("a"), tenant.server(), house.operator):
        with refuses("CALLER_NOT_ALLOWED", level="service"):
            await house.instances.GetCredentials(request, metadata=metadata)
        with refuses("CALLER_NOT_ALLOWED", level="service"):
            await anext(aiter(house.instances.WatchCredentials(WatchCredentialsRequest(), metadata=metadata)))
    found = (await house.instances.GetCredentials(request, metadata=house.service())).credentials
    assert (found.instance.id, list(found.keys)) == ("one", [tenant.key])
    with refuses("INSTANCE_NOT_FOUND"):
        await house.instances.GetCredentials(GetCredentialsRequest(instance_id="no"), metadata=house.service())
