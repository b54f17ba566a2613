"""Roles: create, list, change, delete, assign."""

from typing import Any

from tests.sdks.python.checks import Sdk, make_room, make_users, raising, same

PERMISSIONS = ["room:update", "cursors:read:get", "message:create"]


def assigned(sdk: Sdk, user_id: str) -> list[tuple[Any, ...]]:
    return [(role["role_name"], role["scope"], role.get("room_id")) for role in sdk.list_user_roles(user_id)]


def case_create_in_both_scopes_and_list(sdk: Sdk) -> None:
    same(sdk.list_all_roles(), [])
    same(sdk.create_global_role("mods", PERMISSIONS), None)
    same(sdk.create_room_role("members"), None)
    expected = [
        {"name": "mods", "scope": "global", "permissions": PERMISSIONS},
        {"name": "members", "scope": "room", "permissions": []},
    ]
    same(sdk.list_all_roles(), expected)
    with raising("PusherBadRequest", "services/chatkit_authorizer/role_already_exists"):
        sdk.create_global_role("mods", PERMISSIONS)


def case_delete_also_what_does_not_exist(sdk: Sdk) -> None:
    sdk.create_global_role("mods", PERMISSIONS)
    sdk.create_room_role("mods", PERMISSIONS)
    same(sdk.delete_global_role("mods"), None)
    same([role["scope"] for role in sdk.list_all_roles()], ["room"])
    same(sdk.delete_room_role("mods"), None)
    same(sdk.delete_room_role("mods"), None)
    same(sdk.list_all_roles(), [])


def case_assign_and_remove_with_the_room_in_the_body(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    sdk.create_global_role("mods", PERMISSIONS)
    sdk.create_room_role("members", PERMISSIONS)
    same(sdk.assign_global_role_to_user("mods", "alice"), None)
    same(sdk.assign_room_role_to_user("members", "alice", room_id), None)
    same(assigned(sdk, "alice"), [("mods", "global", None), ("members", "room", room_id)])
    same(sdk.list_user_roles("alice")[0]["permissions"], PERMISSIONS)
    same(sdk.remove_room_role_to_user("members", "alice", room_id), None)
    same(assigned(sdk, "alice"), [("mods", "global", None)])
    same(sdk.remove_global_role_to_user("mods", "alice"), None)
    same(assigned(sdk, "alice"), [])


def case_built_in_roles_can_be_assigned(sdk: Sdk) -> None:
    make_users(sdk, "alice")
    sdk.assign_global_role_to_user("default", "alice")
    sdk.assign_global_role_to_user("admin", "alice")
    same(assigned(sdk, "alice"), [("admin", "global", None)])
    with raising("PusherNotFound"):
        sdk.assign_global_role_to_user("unheard of", "alice")


def case_permissions_of_a_role(sdk: Sdk) -> None:
    sdk.create_global_role("mods", PERMISSIONS)
    sdk.create_room_role("mods", ["file:get"])
    same(sdk.list_permissions_for_global_role("mods"), PERMISSIONS)
    same(sdk.list_permissions_for_room_role("mods"), ["file:get"])
    with raising("PusherNotFound"):
        sdk.list_permissions_for_room_role("unheard of")


def case_change_permissions_by_names_of_its_own(sdk: Sdk) -> None:
    sdk.create_global_role("mods", PERMISSIONS)
    sdk.create_room_role("mods", PERMISSIONS)
    same(sdk.update_permissions_for_global_role("mods", ["file:get"], ["cursors:read:get"]), None)
    same(sdk.list_permissions_for_global_role("mods"), ["room:update", "message:create", "file:get"])
    same(sdk.update_permissions_for_room_role("mods", permissions_to_add=["file:get"]), None)
    same(sdk.update_permissions_for_room_role("mods", permissions_to_remove=["room:update"]), None)
    same(sdk.list_permissions_for_room_role("mods"), ["cursors:read:get", "message:create", "file:get"])
