"""What `RoleStore` and `AccessStore` promise about roles that were created (spec §7)."""

from collections.abc import Sequence

import pytest
from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    CheckRequest,
    CreateRoleRequest,
    DeleteRoleRequest,
    UnassignRoleRequest,
    UpdateRolePermissionsRequest,
)
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.role_pb2 import ROLE_SCOPE_GLOBAL, ROLE_SCOPE_ROOM, Role, RoleScope

from services.common.call import Caller
from services.message.roles import BUILT_IN
from tests.stores.conftest import SERVER, STRANGER, Stores, text, user
from tests.support.refusals import refuses

GLOBAL, ROOM = ROLE_SCOPE_GLOBAL, ROLE_SCOPE_ROOM


async def create(
    stores: Stores,
    name: str,
    *permissions: str,
    scope: RoleScope.ValueType = GLOBAL,
    request_id: str = "",
    caller: Caller = SERVER,
) -> Role:
    role = Role(name=name, scope=scope, permissions=permissions)
    return (await stores.roles.create(caller, CreateRoleRequest(role=role, request_id=request_id))).role


async def delete(stores: Stores, name: str, scope: RoleScope.ValueType = GLOBAL, request_id: str = "") -> None:
    await stores.roles.delete(SERVER, DeleteRoleRequest(name=name, scope=scope, request_id=request_id))


async def permitted(stores: Stores, permissions: Sequence[str], user_id: str = "bob", room_id: str = "") -> list[str]:
    """Those that the user has; every way to ask says the same."""
    found = [one for one in permissions if await stores.access.permits("one", user_id, one, room_id)]
    for one in permissions:
        request = CheckRequest(user_id=user_id, permission=one, room_id=room_id)
        assert (await stores.access.check("one", request)).allowed == (one in found)
    return found


async def test_a_role_comes_back_as_it_was_created(stores: Stores) -> None:
    assert await stores.roles.all("one") == []
    created = await create(stores, "mods", "room:update", "file:get", "room:update", "a_b:c", scope=ROOM)
    assert created == Role(name="mods", scope=ROOM, permissions=["room:update", "file:get", "a_b:c"])
    stores.clock.advance(1)
    empty = await create(stores, "a", scope=GLOBAL)
    assert await stores.roles.all("one") == [created, empty]
    assert await stores.roles.get("one", "mods", ROOM) == created
    with refuses("ROLE_NOT_FOUND"):
        await stores.roles.get("one", "mods", GLOBAL)


async def test_a_name_counts_once_in_a_scope(stores: Stores) -> None:
    await create(stores, "mods", "a:b", scope=ROOM)
    with refuses("ROLE_ALREADY_EXISTS", name="mods"):
        await create(stores, "mods", "c:d", scope=ROOM)
    await create(stores, "mods", "c:d", scope=GLOBAL)
    assert [role.permissions[0] for role in await stores.roles.all("one")] == ["c:d", "a:b"]


async def test_an_instance_does_not_see_the_roles_of_another(stores: Stores) -> None:
    await create(stores, "default", caller=STRANGER)
    await create(stores, "mods", "room:delete", caller=STRANGER)
    assert await stores.roles.all("one") == []
    with refuses("ROLE_NOT_FOUND"):
        await stores.assign("bob", "mods")
    assert await permitted(stores, ["room:get"]) == ["room:get"]


async def test_a_change_of_permissions_keeps_the_order_of_the_rest(stores: Stores) -> None:
    await create(stores, "mods", "a:a", "b:b", "c:c", "d:d")
    request = UpdateRolePermissionsRequest(
        name="mods",
        scope=GLOBAL,
        add_permissions=["e:e", "a:a", "f:f", "e:e", "d:d"],
        remove_permissions=["b:b", "d:d"],
    )
    changed = (await stores.roles.update(SERVER, request)).role
    assert list(changed.permissions) == ["a:a", "c:c", "e:e", "f:f", "d:d"]
    assert await stores.roles.get("one", "mods", GLOBAL) == changed
    request.scope = ROOM
    with refuses("ROLE_NOT_FOUND"):
        await stores.roles.update(SERVER, request)


async def test_a_deleted_role_is_taken_from_everybody(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    for scope in (GLOBAL, ROOM):
        await create(stores, "mods", "room:delete", scope=scope)
    for user_id in ("bob", "ann"):
        await stores.assign(user_id, "mods")
        await stores.assign(user_id, "mods", "x")
    await delete(stores, "mods")
    for user_id in ("bob", "ann"):
        assert [found.room_id for found in await stores.access.assignments("one", user_id)] == ["x"]
        assert await permitted(stores, ["room:delete"], user_id) == []
    await delete(stores, "mods", ROOM)
    await delete(stores, "mods", ROOM)
    assert await stores.access.assignments("one", "bob") == []
    assert await stores.roles.all("one") == []
    await create(stores, "mods", scope=ROOM)
    assert await permitted(stores, ["room:delete"], room_id="x") == []


async def test_what_a_user_may_is_its_global_role_and_that_of_the_room(stores: Stores) -> None:
    for room_id in ("x", "y"):
        await stores.room("bob", room_id=room_id)
    await create(stores, "reader", "room:get")
    await create(stores, "mods", "room:delete", scope=ROOM)
    asked = ["room:get", "room:delete", "message:create"]
    assert await permitted(stores, asked, room_id="x") == ["room:get", "message:create"]
    await stores.assign("bob", "reader")
    await stores.assign("bob", "mods", "x")
    assert await permitted(stores, asked, room_id="x") == ["room:get", "room:delete"]
    assert await permitted(stores, asked, room_id="y") == ["room:get"]
    assert await permitted(stores, asked) == ["room:get"]
    assert await permitted(stores, asked, "ann", "x") == ["room:get", "message:create"]
    await stores.access.unassign(SERVER, UnassignRoleRequest(user_id="bob"))
    assert await permitted(stores, asked, room_id="x") == asked


async def test_a_role_called_default_counts_for_whoever_has_none(stores: Stores) -> None:
    asked = BUILT_IN["admin"]
    assert await permitted(stores, asked) == list(BUILT_IN["default"])
    await create(stores, "default", "room:delete", scope=ROOM)  # not what `default` means
    assert await permitted(stores, asked) == list(BUILT_IN["default"])
    await create(stores, "default", "room:get", "room:delete")
    assert await permitted(stores, asked) == ["room:get", "room:delete"]
    await stores.assign("bob", "admin")
    assert await permitted(stores, asked) == list(asked)
    await create(stores, "admin", "user:get")
    assert await permitted(stores, asked) == ["user:get"]
    await delete(stores, "default")
    assert await permitted(stores, asked, "ann") == list(BUILT_IN["default"])


async def test_assignments_say_what_counts_now(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await stores.assign("bob", "admin", "x")
    await stores.assign("bob", "default")
    built_in = [Role(name="default", scope=GLOBAL, permissions=BUILT_IN["default"])]
    built_in.append(Role(name="admin", scope=ROOM, permissions=BUILT_IN["admin"]))
    found = await stores.access.assignments("one", "bob")
    assert [one.role for one in found] == built_in
    assert [one.room_id if one.HasField("room_id") else None for one in found] == [None, "x"]
    own = await create(stores, "default", "a:b")
    assert [one.role for one in await stores.access.assignments("one", "bob")] == [own, built_in[1]]
    await stores.assign("bob", "admin")
    assert [one.role.name for one in await stores.access.assignments("one", "bob")] == ["admin", "admin"]


async def test_only_roles_of_the_scope_can_be_assigned(stores: Stores) -> None:
    await stores.room("bob", room_id="x")
    await create(stores, "everywhere")
    await create(stores, "here", scope=ROOM)
    for name, room_id in (("everywhere", "x"), ("here", ""), ("nowhere", ""), ("nowhere", "x")):
        with refuses("ROLE_NOT_FOUND"):
            await stores.assign("bob", name, room_id)
    assert await stores.access.assignments("one", "bob") == []


@pytest.mark.parametrize("room_id", ["", "x"])
async def test_sending_asks_for_the_permission_of_roles_that_were_created(stores: Stores, room_id: str) -> None:
    await stores.room("bob", room_id="x")
    await create(stores, "default", "room:get")
    await create(stores, "writer", "message:create", scope=ROOM if room_id else GLOBAL)
    request = SendMessageRequest(room_id="x", parts=[text("hello")])
    with refuses("PERMISSION_MISSING", permission="message:create"):
        await stores.messages.append(user("bob"), "bob", request)
    await stores.assign("bob", "writer", room_id)
    await stores.messages.append(user("bob"), "bob", request)
    await stores.messages.append(SERVER, "bob", request)
    with refuses("PERMISSION_MISSING"):
        await stores.messages.append(user("ann"), "ann", request)


async def test_repeated_requests_change_nothing_again(stores: Stores) -> None:
    first = await create(stores, "mods", "a:b", request_id="c")
    update = UpdateRolePermissionsRequest(name="mods", scope=GLOBAL, add_permissions=["c:d"], request_id="u")
    changed = await stores.roles.update(SERVER, update)
    assert await create(stores, "mods", "a:b", request_id="c") == first
    with refuses("REQUEST_ID_REUSED"):
        await create(stores, "others", request_id="c")
    await delete(stores, "mods", request_id="d")
    assert await stores.roles.update(SERVER, update) == changed
    await create(stores, "mods")
    await delete(stores, "mods", request_id="d")
    assert [role.name for role in await stores.roles.all("one")] == ["mods"]


async def test_a_role_goes_with_its_room_its_user_and_its_instance(stores: Stores) -> None:
    room = await stores.room("bob", room_id="x")
    await create(stores, "mods", "room:delete", scope=ROOM)
    await create(stores, "default")
    await stores.assign("bob", "mods", room.id)
    await stores.assign("ann", "default")
    await stores.purges.user("one", "bob")
    assert await stores.access.assignments("one", "bob") == []
    await stores.purges.instance("one")
    assert await stores.roles.all("one") == []
    assert await stores.access.assignments("one", "ann") == []
    assert await permitted(stores, ["room:get"], "ann") == ["room:get"]
    assert await create(stores, "mods", scope=ROOM) == Role(name="mods", scope=ROOM)


async def test_roles_leave_no_event(stores: Stores) -> None:
    await create(stores, "mods")
    await stores.access.assign(SERVER, AssignRoleRequest(user_id="bob", role_name="mods"), stores.clock())
    await delete(stores, "mods")
    assert await stores.kinds() == []
