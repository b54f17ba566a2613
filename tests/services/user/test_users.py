"""`UserService`, over gRPC (spec §3)."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.instance_pb2 import Instance, InstanceLimits
from roomline.v1.instance_service_pb2 import UpdateInstanceRequest
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import (
    BatchCreateUsersRequest,
    BatchGetUsersRequest,
    CreateUserRequest,
    GetUserRequest,
    ListUsersRequest,
    NewUser,
    UpdateUserRequest,
)

from services.common.ids import MICROSECONDS
from services.common.timestamps import to_proto
from tests.services.user.conftest import House, Tenant
from tests.support.refusals import refuses


def new(user_id: str, **fields: object) -> NewUser:
    return NewUser(id=user_id, name=f"{user_id}'s name", **fields)  # type: ignore[arg-type]


def large(size: int) -> Struct:
    result = Struct()
    result.update({"x": "y" * size})
    return result


async def listed(house: House, tenant: Tenant, request: ListUsersRequest | None = None) -> list[str]:
    answer = await house.users.ListUsers(request or ListUsersRequest(), metadata=tenant.server())
    return [user.id for user in answer.users]


async def test_create_and_get(house: House, tenant: Tenant) -> None:
    request = CreateUserRequest(user=new("a", avatar_url="https://a", custom_data=large(1)))
    created = await house.users.CreateUser(request, metadata=tenant.server())
    found = await house.users.GetUser(GetUserRequest(id="a"), metadata=tenant.user("a"))
    assert found.user == created.user
    assert found.user.custom_data == large(1)
    with refuses("USER_NOT_FOUND"):
        await house.users.GetUser(GetUserRequest(id="b"), metadata=tenant.user("a"))
    with refuses("USER_ALREADY_EXISTS", id="a"):
        await house.users.CreateUser(request, metadata=tenant.server())


@pytest.mark.parametrize(
    ("user", "reason", "field"),
    [
        (NewUser(name="n"), "FIELD_REQUIRED", "user.id"),
        (NewUser(id="i"), "FIELD_REQUIRED", "user.name"),
        (NewUser(id="i" * 161, name="n"), "FIELD_INVALID", "user.id"),
        (NewUser(id="i", name="n" * 161), "FIELD_INVALID", "user.name"),
        (NewUser(id="i", name="n", avatar_url="u" * 8193), "FIELD_INVALID", "user.avatar_url"),
        (NewUser(id="i", name="n", custom_data=large(8192)), "FIELD_INVALID", "custom_data"),
        (NewUser(id="i", name="n", custom_data=large(65536)), "FIELD_INVALID", "user.custom_data"),
    ],
)
async def test_what_cannot_be_a_user(house: House, tenant: Tenant, user: NewUser, reason: str, field: str) -> None:
    with refuses(reason, field=field):
        await house.users.CreateUser(CreateUserRequest(user=user), metadata=tenant.server())
    assert await listed(house, tenant) == []


async def test_a_repeated_create_gets_the_first_answer(house: House, tenant: Tenant) -> None:
    request = CreateUserRequest(user=new("a"), request_id="once")
    first = await house.users.CreateUser(request, metadata=tenant.server())
    house.clock.advance(1)
    assert await house.users.CreateUser(request, metadata=tenant.server()) == first
    with refuses("REQUEST_ID_REUSED"):
        await house.users.CreateUser(CreateUserRequest(user=new("b"), request_id="once"), metadata=tenant.server())
    other = await house.tenant("two")
    assert (await house.users.CreateUser(request, metadata=other.server())).user.uid != first.user.uid


async def test_a_batch_comes_back_in_order(house: House, tenant: Tenant) -> None:
    request = BatchCreateUsersRequest(users=[new("c"), new("a"), new("b")])
    answer = await house.users.BatchCreateUsers(request, metadata=tenant.server())
    assert [user.id for user in answer.users] == ["c", "a", "b"]
    assert await listed(house, tenant) == ["c", "a", "b"]
    with refuses("USER_ALREADY_EXISTS", id="a"):
        await house.users.BatchCreateUsers(
            BatchCreateUsersRequest(users=[new("d"), new("a")]), metadata=tenant.server()
        )
    assert await listed(house, tenant) == ["c", "a", "b"]


async def test_the_instance_limits_a_batch(house: House, tenant: Tenant) -> None:
    request = BatchCreateUsersRequest(users=[new(str(number)) for number in range(11)])
    with refuses("FIELD_INVALID", field="users", rule="at most 10 items"):
        await house.users.BatchCreateUsers(request, metadata=tenant.server())
    with refuses("FIELD_REQUIRED", field="users"):
        await house.users.BatchCreateUsers(BatchCreateUsersRequest(), metadata=tenant.server())
    with refuses("FIELD_INVALID", field="users[1].custom_data"):
        await house.users.BatchCreateUsers(
            BatchCreateUsersRequest(users=[new("a"), new("b", custom_data=large(8192))]), metadata=tenant.server()
        )
    limits = Instance(id="one", limits=InstanceLimits(batch_users=11))
    await house.instances.UpdateInstance(UpdateInstanceRequest(instance=limits), metadata=house.operator)
    assert len((await house.users.BatchCreateUsers(request, metadata=tenant.server())).users) == 11


async def test_batch_get(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a", "b", "c")
    request = BatchGetUsersRequest(ids=["c", "no", "a", "c"])
    answer = await house.users.BatchGetUsers(request, metadata=house.service("one"))
    assert [user.id for user in answer.users] == ["c", "a"]


async def test_pages_of_users_made_at_the_same_time(house: House, tenant: Tenant) -> None:
    names = [f"{number:02}" for number in reversed(range(25))]
    await house.create(tenant, *names)
    found, token, sizes = [], "", []
    while True:
        answer = await house.users.ListUsers(ListUsersRequest(page_token=token), metadata=tenant.user("x"))
        found += [user.id for user in answer.users]
        sizes.append(len(answer.users))
        token = answer.next_page_token
        if not token:
            break
    assert (found, sizes) == (names, [20, 5])
    assert await listed(house, tenant, ListUsersRequest(page_size=1000)) == names
    with refuses("FIELD_INVALID", field="page_size"):
        await listed(house, tenant, ListUsersRequest(page_size=-1))


@pytest.mark.parametrize(
    "token", ["x", "!!", "W10", "WzFd", "WzEsMixd", "WzEsIjIiXQ", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LDFd"]
)
async def test_garbage_is_no_page_token(house: House, tenant: Tenant, token: str) -> None:
    with refuses("PAGE_TOKEN_INVALID"):
        await listed(house, tenant, ListUsersRequest(page_token=token))


async def test_created_from_is_inclusive(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")
    house.clock.advance(2)
    second = house.clock()
    await house.create(tenant, "b", "c")
    assert await listed(house, tenant, ListUsersRequest(created_from=to_proto(second))) == ["b", "c"]
    assert await listed(house, tenant, ListUsersRequest(created_from=to_proto(second - MICROSECONDS))) == ["b", "c"]
    assert await listed(house, tenant, ListUsersRequest(created_from=to_proto(second + 1))) == []
    page = await house.users.ListUsers(
        ListUsersRequest(created_from=to_proto(second), page_size=1), metadata=tenant.server()
    )
    following = ListUsersRequest(created_from=to_proto(second), page_token=page.next_page_token)
    assert await listed(house, tenant, following) == ["c"]
    with refuses("FIELD_INVALID", field="created_from"):
        await listed(house, tenant, ListUsersRequest(created_from=Timestamp(seconds=1 << 60)))


async def test_update_by_mask(house: House, tenant: Tenant) -> None:
    created = await house.users.CreateUser(
        CreateUserRequest(user=new("a", avatar_url="old", custom_data=large(1))), metadata=tenant.server()
    )
    house.clock.advance(1)
    request = UpdateUserRequest(user=User(id="a", name="New", avatar_url="new"), update_mask=FieldMask(paths=["name"]))
    updated = (await house.users.UpdateUser(request, metadata=tenant.server("somebody"))).user
    assert (updated.name, updated.avatar_url) == ("New", "old")
    assert (updated.created_at, updated.uid) == (created.user.created_at, created.user.uid)
    assert updated.updated_at == to_proto(house.clock())
    cleared = UpdateUserRequest(user=User(id="a"), update_mask=FieldMask(paths=["avatar_url"]))
    assert not (await house.users.UpdateUser(cleared, metadata=tenant.user("a"))).user.HasField("avatar_url")


async def test_a_star_as_the_mask_replaces_everything(house: House, tenant: Tenant) -> None:
    await house.users.CreateUser(
        CreateUserRequest(user=new("a", avatar_url="old", custom_data=large(1))), metadata=tenant.server()
    )
    request = UpdateUserRequest(user=User(id="a", name="New"), update_mask=FieldMask(paths=["*"]))
    updated = (await house.users.UpdateUser(request, metadata=tenant.server())).user
    assert (updated.id, updated.name) == ("a", "New")
    assert not updated.HasField("avatar_url")
    assert not updated.HasField("custom_data")
    with refuses("FIELD_REQUIRED", field="name"):
        request.user.name = ""
        await house.users.UpdateUser(request, metadata=tenant.server())


async def test_update_without_a_mask_takes_what_is_set(house: House, tenant: Tenant) -> None:
    await house.users.CreateUser(CreateUserRequest(user=new("a", avatar_url="old")), metadata=tenant.server())
    request = UpdateUserRequest(user=User(id="a", uid="ignored", custom_data=Struct()))
    updated = (await house.users.UpdateUser(request, metadata=tenant.server())).user
    assert (updated.name, updated.avatar_url) == ("a's name", "old")
    assert updated.HasField("custom_data")
    assert updated.uid != "ignored"


async def test_what_cannot_be_an_update(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a")

    async def update(user: User, *paths: str) -> None:
        request = UpdateUserRequest(user=user, update_mask=FieldMask(paths=paths))
        await house.users.UpdateUser(request, metadata=tenant.server())

    with refuses("FIELD_REQUIRED", field="name"):
        await update(User(id="a"), "name")
    for paths in (["id"], ["uid"], ["created_at"], ["custom_data.x"], ["nonsense"], ["name", "*"]):
        with refuses("FIELD_INVALID", field="update_mask"):
            await update(User(id="a", name="x"), *paths)
    with refuses("FIELD_INVALID", field="custom_data"):
        await update(User(id="a", custom_data=large(8192)))
    with refuses("FIELD_INVALID", field="user.name"):
        await update(User(id="a", name="x" * 161))
    with refuses("USER_NOT_FOUND"):
        await update(User(id="b", name="x"))


async def test_who_may_do_what(house: House, tenant: Tenant) -> None:
    await house.create(tenant, "a", "b")
    rename = UpdateUserRequest(user=User(id="a", name="x"))
    await house.users.UpdateUser(rename, metadata=tenant.user("a"))
    with refuses("SUBJECT_MISMATCH"):
        await house.users.UpdateUser(rename, metadata=tenant.user("b"))
    with refuses("CALLER_NOT_ALLOWED", level="server"):
        await house.users.CreateUser(CreateUserRequest(user=new("c")), metadata=tenant.user("a"))
    with refuses("CALLER_NOT_ALLOWED", level="user"):
        await house.users.GetUser(GetUserRequest(id="a"), metadata=house.operator)
    with refuses("TOKEN_MISSING"):
        await house.users.GetUser(GetUserRequest(id="a"))
    house.backend.permissions.clear()
    with refuses("PERMISSION_MISSING", permission="user:update"):
        await house.users.UpdateUser(rename, metadata=tenant.user("a"))
    with refuses("PERMISSION_MISSING", permission="user:get"):
        await house.users.GetUser(GetUserRequest(id="nobody"), metadata=tenant.user("a"))


async def test_instances_are_apart(house: House, tenant: Tenant) -> None:
    other = await house.tenant("two")
    await house.create(tenant, "same")
    await house.create(other, "same", "more")
    await house.users.UpdateUser(UpdateUserRequest(user=User(id="same", name="changed")), metadata=other.server())
    found = await house.users.GetUser(GetUserRequest(id="same"), metadata=tenant.server())
    assert found.user.name == "same"
    assert await listed(house, tenant) == ["same"]
    with refuses("USER_NOT_FOUND"):
        await house.users.GetUser(GetUserRequest(id="more"), metadata=tenant.server())
