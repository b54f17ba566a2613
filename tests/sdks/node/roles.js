/** Roles: create, list, change, delete, assign, and what they permit at once. */
"use strict";

const assert = require("node:assert/strict");
const { chatkit, makeRoom, makeUsers, refused, test } = require("./support");

const ROLE_NOT_FOUND = "services/chatkit_authorizer/not_found/role_not_found";
const ROLE_EXISTS = "services/chatkit_authorizer/role_already_exists";
const MISSING_PERMISSION = "services/chatkit_authorizer/authorization/missing_permission";
const PERMISSIONS = ["room:update", "cursors:read:get", "message:create"];

/** Renames the room with a token of the user's own. */
function rename(roomId, userId, name) {
  const jwt = chatkit.authenticate({ userId }).body.access_token;
  return chatkit.apiRequest({ method: "PUT", path: `/rooms/${roomId}`, jwt, body: { name } });
}

test("roles: create in both scopes, and list exactly those", async () => {
  assert.deepEqual(await chatkit.getRoles(), []);
  assert.equal(await chatkit.createGlobalRole({ name: "default", permissions: PERMISSIONS }), undefined);
  assert.deepEqual(await chatkit.getRoles(), [{ name: "default", scope: "global", permissions: PERMISSIONS }]);
  assert.equal(await chatkit.createRoomRole({ name: "mods", permissions: ["room:delete"] }), undefined);
  assert.deepEqual(await chatkit.getRoles(), [
    { name: "default", scope: "global", permissions: PERMISSIONS },
    { name: "mods", scope: "room", permissions: ["room:delete"] },
  ]);
});

test("roles: default and admin may be created at the same time", async () => {
  await Promise.all(["default", "admin"].map((name) => chatkit.createGlobalRole({ name, permissions: PERMISSIONS })));
  assert.equal((await chatkit.getRoles()).length, 2);
  await refused(chatkit.createGlobalRole({ name: "admin", permissions: PERMISSIONS }), 400, ROLE_EXISTS);
});

test("roles: a role without a name or with nonsense is refused", async () => {
  const error = "services/chatkit_authorizer/unprocessable_entity/validation_failed";
  await refused(chatkit.createGlobalRole({ permissions: PERMISSIONS }), 422, error);
  await refused(chatkit.createRoomRole({ name: "mods", permissions: ["do anything"] }), 422, error);
});

test("roles: delete, also what does not exist", async () => {
  await chatkit.createGlobalRole({ name: "mods", permissions: PERMISSIONS });
  await chatkit.createRoomRole({ name: "mods", permissions: PERMISSIONS });
  assert.equal(await chatkit.deleteGlobalRole({ name: "mods" }), undefined);
  assert.deepEqual((await chatkit.getRoles()).map(({ scope }) => scope), ["room"]);
  assert.equal(await chatkit.deleteRoomRole({ name: "mods" }), undefined);
  await chatkit.deleteGlobalRole({});
  await chatkit.deleteRoomRole({ name: "unheard of" });
  assert.deepEqual(await chatkit.getRoles(), []);
});

test("roles: assign a global role, read it, remove it", async () => {
  await makeUsers("alice");
  await chatkit.createGlobalRole({ name: "mods", permissions: PERMISSIONS });
  assert.deepEqual(await chatkit.getUserRoles({ userId: "alice" }), []);
  assert.equal(await chatkit.assignGlobalRoleToUser({ userId: "alice", name: "mods" }), undefined);
  assert.deepEqual(await chatkit.getUserRoles({ userId: "alice" }), [
    { role_name: "mods", name: "mods", scope: "global", permissions: PERMISSIONS },
  ]);
  assert.equal(await chatkit.removeGlobalRoleForUser({ userId: "alice" }), undefined);
  assert.deepEqual(await chatkit.getUserRoles({ userId: "alice" }), []);
});

test("roles: assign a room role, read it, remove it", async () => {
  const { id } = await makeRoom("alice");
  await chatkit.createRoomRole({ name: "mods", permissions: PERMISSIONS });
  assert.equal(await chatkit.assignRoomRoleToUser({ userId: "alice", name: "mods", roomId: id }), undefined);
  await chatkit.assignGlobalRoleToUser({ userId: "alice", name: "default" });
  assert.deepEqual((await chatkit.getUserRoles({ userId: "alice" }))[1], {
    role_name: "mods",
    name: "mods",
    scope: "room",
    permissions: PERMISSIONS,
    room_id: id,
  });
  assert.equal(await chatkit.removeRoomRoleForUser({ userId: "alice", roomId: id }), undefined);
  assert.deepEqual((await chatkit.getUserRoles({ userId: "alice" })).map((role) => role.role_name), ["default"]);
});

test("roles: what cannot be assigned", async () => {
  await makeUsers("alice");
  await refused(chatkit.assignGlobalRoleToUser({ userId: "alice", name: "mods" }), 404, ROLE_NOT_FOUND);
  const toNobody = chatkit.assignGlobalRoleToUser({ userId: "nobody", name: "admin" });
  await refused(toNobody, 404, "services/chatkit/not_found/user_not_found");
  const nowhere = chatkit.assignRoomRoleToUser({ userId: "alice", name: "admin", roomId: "nowhere" });
  await refused(nowhere, 404, "services/chatkit/not_found/room_not_found");
});

test("roles: permissions of a role, kept in order, added at the end", async () => {
  for (const [scope, name] of [["Global", "mods"], ["Room", "members"]]) {
    await chatkit[`create${scope}Role`]({ name, permissions: PERMISSIONS });
    const read = () => chatkit[`getPermissionsFor${scope}Role`]({ name });
    const change = (options) => chatkit[`updatePermissionsFor${scope}Role`]({ name, ...options });
    assert.deepEqual(await read(), PERMISSIONS);
    const both = { permissionsToAdd: ["file:get", "room:update"], permissionsToRemove: ["cursors:read:get"] };
    assert.equal(await change(both), undefined);
    assert.deepEqual(await read(), ["room:update", "message:create", "file:get"]);
    await change({ permissionsToRemove: ["room:update"] });
    await change({ permissionsToAdd: ["room:update"] });
    assert.deepEqual(await read(), ["message:create", "file:get", "room:update"]);
    await refused(chatkit[`getPermissionsFor${scope}Role`]({ name: "unheard" }), 404, ROLE_NOT_FOUND);
  }
});

test("roles: a user may at once what its role permits, and no longer what it does not", async () => {
  const { id } = await makeRoom("alice");
  await refused(rename(id, "alice", "one"), 401, MISSING_PERMISSION);
  await chatkit.assignRoomRoleToUser({ userId: "alice", name: "admin", roomId: id });
  assert.equal((await rename(id, "alice", "two")).statusCode, 204);
  await chatkit.removeRoomRoleForUser({ userId: "alice", roomId: id });
  await refused(rename(id, "alice", "three"), 401, MISSING_PERMISSION);
  assert.equal((await chatkit.getRoom({ roomId: id })).name, "two");
});

test("roles: authorizerRequest reaches the same service", async () => {
  await chatkit.createGlobalRole({ name: "mods", permissions: [] });
  const answer = await chatkit.authorizerRequest({ method: "GET", path: "/roles" });
  assert.deepEqual(JSON.parse(answer.body), [{ name: "mods", scope: "global", permissions: [] }]);
});
