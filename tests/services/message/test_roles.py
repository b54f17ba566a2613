"""Roles through the stubs: what they permit counts in every service from the next call on (spec §7)."""

from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    CreateRoleRequest,
    DeleteRoleRequest,
    GetRoleRequest,
    ListRolesRequest,
    ListUserRolesRequest,
    UnassignRoleRequest,
    UpdateRolePermissionsRequest,
)
from roomline.v1.media_service_pb2 import GetAttachmentRequest, ReserveAttachmentRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.role_pb2 import ROLE_SCOPE_GLOBAL, ROLE_SCOPE_ROOM, Role, RoleScope
from roomline.v1.room_service_pb2 import CreateRoomRequest, DeleteRoomRequest, GetRoomRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest, GetUserRequest

from tests.support.cluster import Cluster
from tests.support.refusals import refuses


async def create(
    cluster: Cluster, name: str, *permissions: str, scope: RoleScope.ValueType = ROLE_SCOPE_GLOBAL
) -> Role:
    request = CreateRoleRequest(role=Role(name=name, scope=scope, permissions=permissions))
    return (await cluster.access.CreateRole(request, metadata=cluster.as_server())).role


async def assign(cluster: Cluster, user_id: str, name: str, room_id: str | None = None, request_id: str = "") -> None:
    request = AssignRoleRequest(user_id=user_id, role_name=name, room_id=room_id, request_id=request_id)
    await cluster.access.AssignRole(request, metadata=cluster.as_server())


async def test_the_life_of_a_role(cluster: Cluster) -> None:
    server = cluster.as_server()
    role = await create(cluster, "mods", "room:update", "room:delete")
    with refuses("ROLE_ALREADY_EXISTS", name="mods"):
        await create(cluster, "mods")
    get = GetRoleRequest(name="mods", scope=ROLE_SCOPE_GLOBAL)
    assert (await cluster.access.GetRole(get, metadata=server)).role == role
    change = UpdateRolePermissionsRequest(
        name="mods", scope=ROLE_SCOPE_GLOBAL, add_permissions=["user:get"], remove_permissions=["room:update"]
    )
    changed = (await cluster.access.UpdateRolePermissions(change, metadata=server)).role
    assert list(changed.permissions) == ["room:delete", "user:get"]
    assert list((await cluster.access.ListRoles(ListRolesRequest(), metadata=server)).roles) == [changed]
    await assign(cluster, "bob", "mods")
    listed = await cluster.access.ListUserRoles(ListUserRolesRequest(user_id="bob"), metadata=server)
    assert [one.role for one in listed.assignments] == [changed]
    delete = DeleteRoleRequest(name="mods", scope=ROLE_SCOPE_GLOBAL)
    for _ in range(2):
        await cluster.access.DeleteRole(delete, metadata=server)
    listed = await cluster.access.ListUserRoles(ListUserRolesRequest(user_id="bob"), metadata=server)
    assert list(listed.assignments) == []
    with refuses("ROLE_NOT_FOUND"):
        await cluster.access.GetRole(get, metadata=server)


async def test_what_a_role_must_be(cluster: Cluster) -> None:
    with refuses("FIELD_REQUIRED", field="role.scope"):
        await create(cluster, "mods", scope=RoleScope.ROLE_SCOPE_UNSPECIFIED)
    with refuses("FIELD_REQUIRED", field="role.name"):
        await create(cluster, "")
    with refuses("FIELD_INVALID", field="role.permissions[1]"):
        await create(cluster, "mods", "a:b", "Nonsense")
    with refuses("FIELD_REQUIRED", field="scope"):
        await cluster.access.GetRole(GetRoleRequest(name="mods"), metadata=cluster.as_server())


async def test_a_room_without_a_name_is_not_every_room(cluster: Cluster) -> None:
    server = cluster.as_server()
    with refuses("FIELD_REQUIRED", field="room_id"):
        await assign(cluster, "bob", "admin", "")
    with refuses("FIELD_REQUIRED", field="room_id"):
        await cluster.access.UnassignRole(UnassignRoleRequest(user_id="bob", room_id=""), metadata=server)


async def test_a_repeated_assignment_gets_its_answer_though_the_user_is_gone(cluster: Cluster) -> None:
    await assign(cluster, "bob", "admin", request_id="r")
    await cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=cluster.as_server())
    await assign(cluster, "bob", "admin", request_id="r")
    with refuses("USER_NOT_FOUND"):
        await assign(cluster, "bob", "admin")


async def test_every_service_asks_anew_for_each_call(cluster: Cluster) -> None:
    server, bob = cluster.as_server(), cluster.as_user("bob")
    await cluster.rooms.CreateRoom(CreateRoomRequest(id="den", name="Den"), metadata=bob)

    async def in_user_service() -> None:
        await cluster.users.GetUser(GetUserRequest(id="bob"), metadata=bob)

    async def in_message_service() -> None:
        await cluster.rooms.GetRoom(GetRoomRequest(room_id="den"), metadata=bob)

    async def in_its_transactions() -> None:
        parts = [Part(type="text/plain", content="hi")]
        await cluster.messages.SendMessage(SendMessageRequest(room_id="den", parts=parts), metadata=bob)

    async def in_media_service() -> None:
        request = ReserveAttachmentRequest(room_id="den", content_type="text/plain", content_length=0)
        reserved = await cluster.media.ReserveAttachment(request, metadata=bob)
        await cluster.media.GetAttachment(GetAttachmentRequest(id=reserved.attachment.id), metadata=bob)

    calls = (in_user_service, in_message_service, in_its_transactions, in_media_service)
    permissions = ["user:get", "room:get", "message:create", "file:create", "file:get"]
    await create(cluster, "none")
    await create(cluster, "all", *permissions)
    for _ in range(3):
        for call in calls:
            await call()
        await assign(cluster, "bob", "none")
        for call in calls:
            with refuses("PERMISSION_MISSING"):
                await call()
        await assign(cluster, "bob", "all")
        for call in calls:
            await call()
        change = UpdateRolePermissionsRequest(name="all", scope=ROLE_SCOPE_GLOBAL, remove_permissions=permissions)
        await cluster.access.UpdateRolePermissions(change, metadata=server)
        for call in calls:
            with refuses("PERMISSION_MISSING"):
                await call()
        change = UpdateRolePermissionsRequest(name="all", scope=ROLE_SCOPE_GLOBAL, add_permissions=permissions)
        await cluster.access.UpdateRolePermissions(change, metadata=server)


async def test_roles_end_with_their_room(cluster: Cluster) -> None:
    server, bob = cluster.as_server(), cluster.as_user("bob")
    create_den = CreateRoomRequest(id="den", name="Den")
    await cluster.rooms.CreateRoom(create_den, metadata=bob)
    await create(cluster, "deleter", "room:delete", scope=ROLE_SCOPE_ROOM)
    await assign(cluster, "bob", "deleter", "den")
    await cluster.rooms.DeleteRoom(DeleteRoomRequest(room_id="den"), metadata=bob)
    await cluster.rooms.CreateRoom(create_den, metadata=bob)
    with refuses("PERMISSION_MISSING"):
        await cluster.rooms.DeleteRoom(DeleteRoomRequest(room_id="den"), metadata=bob)
    listed = await cluster.access.ListUserRoles(ListUserRolesRequest(user_id="bob"), metadata=server)
    assert list(listed.assignments) == []
