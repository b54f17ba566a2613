"""Roles: create, list, change, delete, assign (spec §7, A.6); for superusers only."""

from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import AUTHORIZER, CURSORS, V6, Caller, Reply, Server, fresh, path_of

DEFAULT = [
    *("cursors:read:get", "cursors:read:set", "file:create", "file:get", "message:create", "presence:subscribe"),
    *("room:create", "room:get", "room:join", "room:leave", "room:members:add", "room:members:remove"),
    *("room:messages:get", "room:typing_indicator:create", "user:get", "user:rooms:get"),
]
"""What the built-in role `default` permits (spec §7.1)."""


class Roles:
    """The calls of the service, with one token."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def call(self, method: str, path: str, body: object = None, api: str = AUTHORIZER) -> Reply:
        return self._caller.call(method, path, body, api)

    def create(self, name: str, *permissions: str, scope: str = "global") -> None:
        created(self.call("POST", "/roles", {"name": name, "scope": scope, "permissions": permissions}))

    def all(self) -> list[dict[str, Any]]:
        return self.call("GET", "/roles").read()  # type: ignore[no-any-return]

    def delete(self, name: str, scope: str = "global") -> None:
        self.call("DELETE", role_path(name, scope)).done()

    def assign(self, user: str, name: str, room: str | None = None) -> None:
        body = {"name": name} if room is None else {"name": name, "room_id": room}
        created(self.call("PUT", path_of("users", user, "roles"), body))

    def of(self, user: str) -> list[dict[str, Any]]:
        return self.call("GET", path_of("users", user, "roles")).read()  # type: ignore[no-any-return]

    def permissions(self, name: str, scope: str = "global") -> list[str]:
        return self.call("GET", role_path(name, scope, "permissions")).read()  # type: ignore[no-any-return]


def role_path(name: str, scope: str = "global", *rest: str) -> str:
    return path_of("roles", name, "scope", scope, *rest)


def created(reply: Reply) -> None:
    """Check a 201 without a body, of which there must not be a byte (spec §0.3)."""
    assert reply.status == 201
    assert reply.body == b""
    assert reply.headers.get("Content-Length") == "0"


@pytest.fixture
def roles(server: Server) -> Roles:
    return Roles(server.su())


@pytest.fixture
def mods(roles: Roles) -> str:
    """Create a global role with three permissions."""
    name = fresh("mods-")
    roles.create(name, "room:update", "user:get", "room:delete")
    return name


def test_a_created_role_is_listed_with_its_permissions_in_order(roles: Roles) -> None:
    first, second = fresh("role-"), fresh("role-")
    roles.create(first, "room:update", "file:get", "cursors:read:get")
    roles.create(second, scope="room")
    ours = [role for role in roles.all() if role["name"] in {first, second}]
    assert ours == [
        {"name": first, "scope": "global", "permissions": ["room:update", "file:get", "cursors:read:get"]},
        {"name": second, "scope": "room", "permissions": []},
    ]


def test_only_created_roles_are_listed(server: Server, roles: Roles) -> None:
    server.su().delete("/resources").done()
    user = server.new_user()
    assert roles.all() == []
    roles.assign(user, "default")
    assert roles.all() == []
    roles.create("first", "user:get")
    assert len(roles.all()) == 1
    roles.create("first", "user:get", scope="room")
    assert len(roles.all()) == 2
    server.su().delete("/resources").done()
    assert roles.all() == []


def test_a_name_that_is_taken_in_the_scope_is_refused(roles: Roles, mods: str) -> None:
    again = {"name": mods, "scope": "global", "permissions": []}
    roles.call("POST", "/roles", again).fails(400, codes.ROLE_EXISTS)
    roles.create(mods, scope="room")
    assert roles.permissions(mods) == ["room:update", "user:get", "room:delete"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 161}, "name"),
        ({"scope": None}, "scope"),
        ({"scope": ""}, "scope"),
        ({"scope": "instance"}, "scope"),
        ({"scope": ["room"]}, "scope"),
        ({"permissions": "user:get"}, "permissions"),
        ({"permissions": [5]}, "permissions"),
        ({"permissions": ["user:get", "everything"]}, "permissions"),
        ({"permissions": ["user:get "]}, "permissions"),
        ({"permissions": ["Room:Get"]}, "permissions"),
        ({"permissions": [""]}, "permissions"),
    ],
)
def test_a_malformed_role_is_refused(roles: Roles, change: dict[str, object], field: str) -> None:
    body = {"name": fresh(), "scope": "global", "permissions": ["user:get"], **change}
    description = roles.call("POST", "/roles", body).fails(422, codes.ROLE_VALIDATION_FAILED)
    assert f"Field `{field}" in description


def test_permissions_nobody_knows_are_kept(roles: Roles) -> None:
    name = fresh("role-")
    roles.create(name, "feeds:read", "a_b:c_d:e")
    assert roles.permissions(name) == ["feeds:read", "a_b:c_d:e"]


def test_a_deleted_role_is_gone_from_the_list_and_from_users(roles: Roles, mods: str, alice: str) -> None:
    roles.assign(alice, mods)
    roles.delete(mods)
    assert mods not in {role["name"] for role in roles.all()}
    assert roles.of(alice) == []
    roles.call("GET", role_path(mods, "global", "permissions")).fails(404, codes.ROLE_NOT_FOUND)


@pytest.mark.parametrize("scope", ["global", "room"])
def test_deleting_a_role_that_does_not_exist_succeeds(roles: Roles, mods: str, scope: str) -> None:
    roles.delete("undefined", scope)
    roles.delete(mods, "room")
    assert len(roles.permissions(mods)) == 3


def test_a_scope_in_the_path_must_be_one_of_two(roles: Roles, mods: str) -> None:
    for method, rest in (("DELETE", ()), ("GET", ("permissions",)), ("PUT", ("permissions",))):
        reply = roles.call(method, role_path(mods, "undefined", *rest), {} if method == "PUT" else None)
        reply.fails(422, codes.UNUSABLE_PATH)


@pytest.mark.parametrize("name", ["two words", "a/b", "100%", "#1+2", "Zoë", "👩🏽‍🚀", "7"])
def test_names_come_back_as_they_were(roles: Roles, alice: str, name: str) -> None:
    roles.delete(name)
    roles.create(name, "user:get")
    roles.assign(alice, name)
    assert [role["role_name"] for role in roles.of(alice)] == [name]
    assert roles.permissions(name) == ["user:get"]
    roles.delete(name)


def test_names_and_ids_may_be_left_unencoded(server: Server, roles: Roles) -> None:
    name, user = fresh("Größe "), server.new_user(fresh("zoë+"))
    roles.create(name, "user:get")
    raw = f"/roles/{name.replace(' ', '%20')}/scope/global"
    assert roles.call("GET", f"{raw}/permissions").read() == ["user:get"]
    created(roles.call("PUT", f"/users/{user}/roles", {"name": name}))
    assert len(roles.of(user)) == 1
    roles.call("DELETE", raw).done()


def test_an_assigned_role_shows_what_it_is(roles: Roles, mods: str, alice: str, room: str) -> None:
    roles.create(mods, "room:delete", scope="room")
    roles.assign(alice, mods)
    permissions = ["room:update", "user:get", "room:delete"]
    wide = {"role_name": mods, "name": mods, "scope": "global", "permissions": permissions}
    assert roles.of(alice) == [wide]
    roles.assign(alice, mods, room)
    narrow = {"role_name": mods, "name": mods, "scope": "room", "permissions": ["room:delete"], "room_id": room}
    assert roles.of(alice) == [wide, narrow]


def test_a_role_takes_the_place_of_the_earlier_one(roles: Roles, mods: str, alice: str, room: str) -> None:
    other = fresh("other-")
    roles.create(other)
    for name in (mods, other, other):
        roles.assign(alice, name)
    roles.assign(alice, "admin", room)
    assert [(role["name"], role.get("room_id")) for role in roles.of(alice)] == [(other, None), ("admin", room)]


def test_built_in_roles_need_not_be_created(roles: Roles, alice: str, room: str) -> None:
    roles.assign(alice, "default")
    assert roles.of(alice)[0]["permissions"] == DEFAULT
    roles.assign(alice, "admin", room)
    assert {*roles.of(alice)[1]["permissions"]} > {*DEFAULT, "room:delete", "room:update"}


def test_what_cannot_be_assigned(roles: Roles, mods: str, alice: str, room: str) -> None:
    path = path_of("users", alice, "roles")
    roles.call("PUT", path, {"name": "unheard of"}).fails(404, codes.ROLE_NOT_FOUND)
    roles.call("PUT", path, {"name": mods, "room_id": room}).fails(404, codes.ROLE_NOT_FOUND)
    roles.call("PUT", path, {"name": "admin", "room_id": fresh()}).fails(404, codes.ROOM_NOT_FOUND)
    nobody = path_of("users", fresh(), "roles")
    roles.call("PUT", nobody, {"name": mods}).fails(404, codes.USER_NOT_FOUND)
    for body, field in (({}, "name"), ({"name": 1}, "name"), ({"name": mods, "room_id": ""}, "room_id")):
        assert f"Field `{field}`" in roles.call("PUT", path, body).fails(422, codes.ROLE_VALIDATION_FAILED)
    assert roles.of(alice) == []


def test_null_for_the_room_means_everywhere(roles: Roles, mods: str, alice: str) -> None:
    created(roles.call("PUT", path_of("users", alice, "roles"), {"name": mods, "room_id": None}))
    assert roles.of(alice)[0]["scope"] == "global"


def test_taking_a_role_by_query_or_by_body(roles: Roles, mods: str, alice: str, room: str) -> None:
    path = path_of("users", alice, "roles")

    def give() -> None:
        roles.assign(alice, mods)
        roles.assign(alice, "admin", room)

    def left() -> list[str]:
        return [role["scope"] for role in roles.of(alice)]

    give()
    roles.call("DELETE", f"{path}?room_id={room}").done()
    assert left() == ["global"]
    roles.call("DELETE", f"{path}?room_id={room}").done()
    roles.call("DELETE", path).done()
    assert left() == []
    give()
    roles.call("DELETE", path, {"name": "admin", "room_id": room}).done()
    assert left() == ["global"]
    give()
    roles.call("DELETE", path, {"name": mods}).done()
    assert left() == ["room"]
    roles.call("DELETE", path, {"name": "admin", "room_id": 5}).fails(422, codes.ROLE_VALIDATION_FAILED)
    roles.call("DELETE", path, {"name": "admin", "room_id": ""}).fails(422, codes.ROLE_VALIDATION_FAILED)
    roles.call("DELETE", path, b"{").fails(400, "services/chatkit_authorizer/bad_request/malformed_json")
    roles.call("DELETE", path, {"room_id": "x" * 10_000}).fails(413, codes.REQUEST_TOO_LARGE)
    assert left() == ["room"]


@pytest.mark.parametrize(
    "names", [("add_permissions", "remove_permissions"), ("permissions_to_add", "permissions_to_remove")]
)
def test_a_change_of_permissions_keeps_the_order_and_appends(roles: Roles, mods: str, names: tuple[str, str]) -> None:
    path = role_path(mods, "global", "permissions")
    add, remove = names
    roles.call("PUT", path, {add: ["file:get", "room:update"], remove: ["user:get"]}).done()
    assert roles.permissions(mods) == ["room:update", "room:delete", "file:get"]
    roles.call("PUT", path, {add: ["user:get"], remove: None}).done()
    roles.call("PUT", path, {remove: ["room:update", "unheard:of"]}).done()
    roles.call("PUT", path).done()
    assert roles.permissions(mods) == ["room:delete", "file:get", "user:get"]
    roles.call("PUT", path, {add: ["nonsense"]}).fails(422, codes.ROLE_VALIDATION_FAILED)
    roles.call("PUT", path, {add: "user:get"}).fails(422, codes.ROLE_VALIDATION_FAILED)


def test_permissions_of_an_unknown_role(roles: Roles, mods: str) -> None:
    for path in (role_path(fresh(), "global", "permissions"), role_path(mods, "room", "permissions")):
        roles.call("GET", path).fails(404, codes.ROLE_NOT_FOUND)
        roles.call("PUT", path, {"add_permissions": ["user:get"]}).fails(404, codes.ROLE_NOT_FOUND)


def test_both_versions_are_served(roles: Roles, mods: str) -> None:
    for version in ("v1", "v2"):
        listed = roles.call("GET", "/roles", api=f"chatkit_authorizer/{version}").read()
        assert mods in {role["name"] for role in listed}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/roles", {"name": "x", "scope": "global", "permissions": ["room:delete"]}),
        ("POST", "/roles", {}),
        ("GET", "/roles", None),
        ("DELETE", "/roles/x/scope/global", None),
        ("PUT", "/users/{user}/roles", {"name": "admin"}),
        ("GET", "/users/{user}/roles", None),
        ("DELETE", "/users/{user}/roles", None),
        ("GET", "/roles/x/scope/global/permissions", None),
        ("PUT", "/roles/x/scope/global/permissions", {"add_permissions": ["room:delete"]}),
    ],
)
def test_user_tokens_may_do_none_of_it(
    server: Server, roles: Roles, alice: str, method: str, path: str, body: object
) -> None:
    roles.assign(alice, "admin")
    path = path.format(user=alice)
    Roles(server.user(alice)).call(method, path, body).fails(401, codes.MISSING_PERMISSION)
    Roles(server.nobody).call(method, path, body).fails(401, codes.MISSING_TOKEN)
    if body is not None:
        Roles(server.bearer("nonsense")).call(method, path, b"{").fails(401, codes.JWT_INVALID)


def test_a_role_counts_on_the_very_next_call(server: Server, roles: Roles, mods: str, alice: str, room: str) -> None:
    """In the message service, which has the roles, and in the user service, which asks it."""
    caller = server.user(alice)
    for _ in range(5):
        caller.put(f"/rooms/{room}", {"name": "n"}).fails(401, codes.MISSING_PERMISSION)
        caller.get(f"/rooms/{room}").read()
        roles.assign(alice, mods)
        caller.put(f"/rooms/{room}", {"name": "n"}).done()
        caller.get(f"/users/{alice}").read()
        caller.get(f"/rooms/{room}").fails(401, codes.MISSING_PERMISSION)  # the new role is instead of `default`
        roles.call("PUT", role_path(mods, "global", "permissions"), {"remove_permissions": ["user:get"]}).done()
        caller.get(f"/users/{alice}").fails(401, codes.MISSING_PERMISSION)
        roles.call("PUT", role_path(mods, "global", "permissions"), {"add_permissions": ["user:get"]}).done()
        caller.get(f"/users/{alice}").read()
        roles.call("DELETE", path_of("users", alice, "roles")).done()


def test_a_room_role_counts_in_its_room_besides_the_global_one(server: Server, roles: Roles, alice: str) -> None:
    mine, other = server.new_room(alice), server.new_room(alice)
    name = fresh("deleter-")
    roles.create(name, "room:delete", scope="room")
    roles.assign(alice, name, mine)
    caller = server.user(alice)
    caller.delete(f"/rooms/{other}").fails(401, codes.MISSING_PERMISSION)
    caller.get(f"/rooms/{mine}").read()
    caller.delete(f"/rooms/{mine}").done()
    assert roles.of(alice) == []  # gone with the room


def test_every_kind_of_call_asks_for_its_permission(server: Server, roles: Roles, alice: str, room: str) -> None:
    """A role without permissions: nothing that needs one goes through; permission comes before existence."""
    name = fresh("nothing-")
    roles.create(name)
    message = server.send(room, alice)
    roles.assign(alice, name)
    caller, cursor = server.user(alice), f"/cursors/0/rooms/{room}/users/{alice}"
    for method, path, body, api in (
        ("GET", f"/users/{alice}", None, V6),
        ("GET", f"/users/{fresh()}", None, V6),
        ("GET", f"/users/{alice}/rooms", None, V6),
        ("POST", "/rooms", {"name": "n"}, V6),
        ("GET", f"/rooms/{room}", None, V6),
        ("DELETE", f"/rooms/{fresh()}", None, V6),
        ("POST", f"/users/{alice}/rooms/{room}/join", None, V6),
        ("POST", f"/users/{alice}/rooms/{room}/leave", None, V6),
        ("PUT", f"/rooms/{room}/users/add", {"user_ids": [alice]}, V6),
        ("PUT", f"/rooms/{room}/users/remove", {"user_ids": [alice]}, V6),
        ("POST", f"/rooms/{room}/messages", {"parts": [{"type": "text/plain", "content": "x"}]}, V6),
        ("GET", f"/rooms/{room}/messages", None, V6),
        ("GET", f"/rooms/{room}/messages/{message}", None, V6),
        ("POST", f"/rooms/{room}/typing_indicators", None, V6),
        ("POST", f"/rooms/{room}/attachments", {"content_type": "image/png", "content_length": 1}, V6),
        ("PUT", cursor, {"position": 1}, CURSORS),
        ("GET", cursor, None, CURSORS),
    ):
        caller.call(method, path, body, api).fails(401, codes.MISSING_PERMISSION)
    roles.assign(alice, "default", room)
    caller.get(f"/rooms/{room}/messages/{message}").read()
    caller.post(f"/rooms/{room}/typing_indicators").done()
    server.user(alice).get(f"/users/{alice}").fails(401, codes.MISSING_PERMISSION)  # no room in its path


def test_a_role_called_default_is_everybodys_and_may_be_created_at_once_after_a_reset(server: Server) -> None:
    roles = Roles(server.su())
    server.su().delete("/resources").done()
    roles.create("default", "user:get")
    roles.create("admin", *DEFAULT, "room:delete", "room:update")
    alice = server.new_user()
    room = server.new_room(alice)
    server.user(alice).get(f"/users/{alice}").read()
    server.user(alice).get(f"/rooms/{room}").fails(401, codes.MISSING_PERMISSION)
    roles.assign(alice, "admin")
    server.user(alice).put(f"/rooms/{room}", {"name": "n"}).done()
    roles.delete("default")
    roles.call("DELETE", path_of("users", alice, "roles")).done()
    server.user(alice).get(f"/rooms/{room}").read()
    server.su().delete("/resources").done()


def test_roles_go_with_their_user(server: Server, roles: Roles, mods: str, alice: str) -> None:
    roles.assign(alice, mods)
    server.su().delete(path_of("users", alice)).done()
    assert roles.of(alice) == []
    server.new_user(alice)
    assert roles.of(alice) == []
